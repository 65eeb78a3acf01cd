#include "harness/cli/compare_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "harness/base/units.hpp"
#include "harness/report/table.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kRowsShown = 40;

Paint paint_of(const CaseComparison& one) {
  if (one.verdict == CaseVerdict::slower || one.is_broken) return Paint::bad;
  return one.verdict == CaseVerdict::faster ? Paint::good : Paint::plain;
}

std::string time_text(const std::optional<double>& seconds) { return seconds ? duration_text(*seconds, 4) : ""; }

std::string note_of(const CaseComparison& one) {
  std::string note = one.is_broken && one.verdict == CaseVerdict::not_comparable ? "broken: " + one.reason : one.reason;
  if (one.runs_needed)
    note += fmt::format("; {} runs a side would tell", *one.runs_needed);
  else if (one.verdict == CaseVerdict::ambiguous)
    note += fmt::format("; more than {} runs a side: take a quieter machine or a larger --margin", kMostRunsASide);
  for (const std::string& remark : one.remarks) note += (note.empty() ? "" : "; ") + remark;
  return note;
}

std::string side_text(const SideText& side) {
  return fmt::format("{} ({} run{}{}{})", side.name, side.runs, side.runs == 1 ? "" : "s",
                     side.commit.empty() ? "" : ", git ", side.commit);
}

std::string paragraph(const std::string& text, const Style& style, const std::string& first) {
  std::string out;
  for (const std::string& line : wrapped(printable(text, style.unicode), style.width, first)) out += line + '\n';
  return out;
}

std::string share_text(const std::optional<double>& share) {
  return share ? fmt::format("{:.2f} %", 100 * *share) : "";
}

Json case_json(const CaseComparison& one) {
  return {{"case_id", one.case_id},
          {"verdict", to_string(one.verdict)},
          {"is_broken", one.is_broken},
          {"reason", one.reason},
          {"base_runs", one.base_runs},
          {"new_runs", one.new_runs},
          {"base_target_time_s", or_null(one.base_s)},
          {"new_target_time_s", or_null(one.new_s)},
          {"time_ratio_new_over_base", or_null(one.time_ratio)},
          {"ci_low", one.interval ? Json(one.interval->low) : Json(nullptr)},
          {"ci_high", one.interval ? Json(one.interval->high) : Json(nullptr)},
          {"p", or_null(one.p)},
          {"q", or_null(one.q)},
          {"noise", one.noise ? Json(to_string(*one.noise)) : Json(nullptr)},
          {"detectable_slow_down", or_null(one.detectable)},
          {"runs_needed", one.runs_needed ? Json(*one.runs_needed) : Json(nullptr)},
          {"remarks", one.remarks}};
}

Json side_json(const SideText& side) {
  return {{"name", side.name}, {"runs", side.runs}, {"git", side.commit.empty() ? Json(nullptr) : Json(side.commit)}};
}

}  // namespace

std::string short_name(const std::string& case_id) { return case_id.substr(0, case_id.rfind('#')); }

std::vector<std::size_t> worst_first(const ComparisonReport& report) {
  std::vector<std::size_t> order(report.cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    const CaseComparison& one = report.cases[i];
    const double change = one.time_ratio ? std::abs(std::log(*one.time_ratio)) : 0.0;
    return std::tuple(one.is_broken ? -1 : static_cast<int>(one.verdict), -change);
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });
  return order;
}

std::string counts_text(const ComparisonReport& report) {
  std::string text = fmt::format("{} slower, {} faster, {} ambiguous, {} same, {} not comparable of {} cases",
                                 report.count(CaseVerdict::slower), report.count(CaseVerdict::faster),
                                 report.count(CaseVerdict::ambiguous), report.count(CaseVerdict::same),
                                 report.count(CaseVerdict::not_comparable), report.cases.size());
  if (report.broken() > 0) text += fmt::format("; {} worked before and no longer do", report.broken());
  return text;
}

std::string change_text(const CaseComparison& one) {
  if (!one.time_ratio) return "";
  const auto percent = [](double ratio) { return fmt::format("{:+.2f}", 100 * (ratio - 1)); };
  std::string text = percent(*one.time_ratio) + " %";
  if (one.interval) text += fmt::format(" [{}, {}]", percent(one.interval->low), percent(one.interval->high));
  return text;
}

std::string render_table(const ComparisonText& text, const Style& style, bool all) {
  const ComparisonReport& report = *text.report;
  std::string out = paragraph(side_text(text.base), style, "base  ") + paragraph(side_text(text.now), style, "new   ");
  out += paragraph(counts_text(report), style, "");
  out += paragraph(
      fmt::format(
          "time on the target, new over base; intervals {:.3g} %, margin {:.3g} %, false discoveries at most {:.3g} %",
          100 * report.options.confidence, 100 * report.options.margin, 100 * report.options.false_discoveries),
      style, "");
  Table table({{.title = "verdict"},
               {.title = "case", .tail = 24},
               {.title = "base", .align = Align::right, .rank = 3},
               {.title = "new", .align = Align::right, .rank = 2},
               {.title = "change", .align = Align::right},
               {.title = "q", .align = Align::right, .rank = 4},
               {.title = "runs", .align = Align::right, .rank = 5},
               {.title = "noise from", .rank = 6},
               {.title = "note", .rank = 1}});
  std::size_t shown = 0;
  const std::vector<std::size_t> order = worst_first(report);
  for (const std::size_t i : order) {
    const CaseComparison& one = report.cases[i];
    if (!all && shown == kRowsShown) break;
    ++shown;
    table.row({Cell(std::string(to_string(one.verdict)), paint_of(one)), Cell(short_name(one.case_id)),
               Cell(time_text(one.base_s)), Cell(time_text(one.new_s)), Cell(change_text(one), paint_of(one)),
               Cell(one.q ? fmt::format("{:.2g}", *one.q) : ""),
               Cell(fmt::format("{}+{}", one.base_runs, one.new_runs)),
               Cell(one.noise ? std::string(to_string(*one.noise)) : ""), Cell(note_of(one))});
  }
  out += '\n' + table.render(style);
  if (shown < order.size()) out += fmt::format("{} more: --all\n", order.size() - shown);
  if (!report.changes.empty() || !report.warnings.empty()) out += '\n';
  for (const ConditionChange& change : report.changes)
    out += paragraph(
        fmt::format("{} differs in {} cases ({}): {} and {}", change.mismatch.name, change.cases,
                    change.is_allowed ? "allowed" : "not compared", change.mismatch.base, change.mismatch.now),
        style, "note: ");
  for (const std::string& warning : report.warnings) out += paragraph(warning, style, "note: ");
  return out;
}

Json render_json(const ComparisonText& text) {
  const ComparisonReport& report = *text.report;
  Json cases = Json::array(), changes = Json::array(), verdicts = Json::object();
  for (const CaseComparison& one : report.cases) cases.push_back(case_json(one));
  for (const ConditionChange& change : report.changes)
    changes.push_back({{"name", change.mismatch.name},
                       {"base", change.mismatch.base},
                       {"new", change.mismatch.now},
                       {"cases", change.cases},
                       {"is_allowed", change.is_allowed}});
  for (const CaseVerdict verdict : {CaseVerdict::slower, CaseVerdict::faster, CaseVerdict::ambiguous,
                                    CaseVerdict::not_comparable, CaseVerdict::same})
    verdicts[std::string(to_string(verdict))] = report.count(verdict);
  const char* gate = text.gate == GateOutcome::passed       ? "passed"
                     : text.gate == GateOutcome::regression ? "regression"
                                                            : "undecided";
  return {{"schema", "chokepoint/compare/1"},
          {"base", side_json(text.base)},
          {"new", side_json(text.now)},
          {"margin", report.options.margin},
          {"confidence", report.options.confidence},
          {"false_discovery_rate", report.options.false_discoveries},
          {"allowed", report.options.allowed},
          {"strict", text.strict},
          {"gate", gate},
          {"verdicts", verdicts},
          {"broken", report.broken()},
          {"common_time_ratio", or_null(report.common_ratio)},
          {"condition_changes", changes},
          {"warnings", report.warnings},
          {"cases", cases}};
}

std::string render_calibration(const Calibration& calibration, const CompareOptions& options, const Style& style,
                               bool all) {
  std::string out = paragraph(fmt::format("{} runs on {}", calibration.runs, calibration.device), style, "");
  const RunNoise& noise = calibration.noise;
  if (noise.common.df > 0.0)
    out += paragraph(fmt::format("a run moves all of its cases together by {:.2f} % (standard deviation)",
                                 100 * std::sqrt(noise.common.value)),
                     style, "");
  if (noise.prior.df > 0.0)
    out += paragraph(fmt::format("and each case by {:.2f} % more", 100 * std::sqrt(noise.prior.value)), style, "");
  out += paragraph(fmt::format("\"found\" is the least slow-down that a comparison with a margin of {:.3g} % calls "
                               "slower with 95 %, by runs a side",
                               100 * options.margin),
                   style, "");
  Table table({{.title = "case", .tail = 24},
               {.title = "runs", .align = Align::right, .rank = 3},
               {.title = "run to run", .align = Align::right},
               {.title = "samples alone", .align = Align::right, .rank = 2},
               {.title = "found 1+1", .align = Align::right},
               {.title = "3+3", .align = Align::right},
               {.title = "5+5", .align = Align::right},
               {.title = "note", .rank = 1}});
  std::vector<std::size_t> order(calibration.cases.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return calibration.cases[a].run_deviation.value_or(1e9) > calibration.cases[b].run_deviation.value_or(1e9);
  });
  std::size_t shown = 0;
  for (const std::size_t i : order) {
    const CaseCalibration& one = calibration.cases[i];
    if (!all && shown == kRowsShown) break;
    ++shown;
    table.row({Cell(short_name(one.case_id)), Cell(fmt::format("{}", one.runs)), Cell(share_text(one.run_deviation)),
               Cell(share_text(one.sample_deviation)), Cell(share_text(one.detectable[0])),
               Cell(share_text(one.detectable[1])), Cell(share_text(one.detectable[2])), Cell(one.obstacle)});
  }
  out += '\n' + table.render(style);
  if (shown < order.size()) out += fmt::format("{} more: --all\n", order.size() - shown);
  if (!calibration.warnings.empty()) out += '\n';
  for (const std::string& warning : calibration.warnings) out += paragraph(warning, style, "note: ");
  return out;
}

}  // namespace chokepoint
