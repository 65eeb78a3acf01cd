#include "harness/cli/history_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/units.hpp"
#include "harness/cli/compare_text.hpp"
#include "harness/report/table.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

std::string percent(double ratio) { return fmt::format("{:+.2f} %", 100 * (ratio - 1)); }

std::string change_text(const LevelChange& change) {
  return fmt::format("{} [{:+.2f}, {:+.2f}]", percent(change.time_ratio), 100 * (change.interval.low - 1),
                     100 * (change.interval.high - 1));
}

const HistoryPoint& point(const AnalysedSeries& analysed, std::size_t i) {
  return analysed.series.points[analysed.points[i]];
}

// "slower +3.1 %", "spike" for each point of the series; empty where nothing happened.
std::vector<std::string> marks_of(const AnalysedSeries& analysed) {
  std::vector<std::string> marks(analysed.series.points.size());
  for (std::size_t i = 1; i < marks.size(); ++i) {
    const HistoryPoint &before = analysed.series.points[i - 1], &now = analysed.series.points[i];
    if (before.environment != now.environment) marks[i] = fmt::format("environment: {}", now.environment);
  }
  if (!analysed.findings) return marks;
  const auto add = [&](std::size_t at, const std::string& text) {
    std::string& mark = marks[analysed.points[at]];
    mark = mark.empty() ? text : text + "; " + mark;
  };
  for (const LevelChange& change : analysed.findings->changes)
    add(change.at, fmt::format("{} by {}", change.time_ratio > 1 ? "slower" : "faster", change_text(change)));
  for (const std::size_t spike : analysed.findings->spikes) add(spike, "spike");
  return marks;
}

std::string drift_text(const SeriesFindings& findings, std::size_t points) {
  const double all = std::pow(1 + *findings.drift, static_cast<double>(points - 1));
  return fmt::format("drifts by {} from run to run, {} in all", percent(1 + *findings.drift), percent(all));
}

std::string history_paragraph(const std::string& text, const Style& style) {
  std::string out;
  for (const std::string& line : wrapped(printable(text, style.unicode), style.width)) out += line + '\n';
  return out;
}

}  // namespace

AnalysedSeries analyse(HistorySeries series) {
  AnalysedSeries analysed{std::move(series), {}, std::nullopt};
  std::vector<double> log_s, deviations;
  for (std::size_t i = 0; i < analysed.series.points.size(); ++i)
    if (const HistoryPoint& one = analysed.series.points[i]; one.log_s) {
      analysed.points.push_back(i);
      log_s.push_back(*one.log_s);
      deviations.push_back(one.deviation.value_or(0.0));
    }
  analysed.findings = analyse_series(log_s, deviations);
  return analysed;
}

std::string doubt_about(const AnalysedSeries& analysed, const LevelChange& change) {
  const HistoryPoint &before = point(analysed, change.at - 1), &after = point(analysed, change.at);
  std::string doubt;
  if (before.environment != after.environment)
    doubt = fmt::format("environment changed: {} to {}", before.environment, after.environment);
  if (before.commit == after.commit)
    doubt += fmt::format("{}same commit before and after: the machine, not the code", doubt.empty() ? "" : "; ");
  return doubt;
}

std::string render_series(const AnalysedSeries& analysed, const Style& style) {
  const HistorySeries& series = analysed.series;
  std::string out = history_paragraph(
      fmt::format("{} on {}: {} runs", series.case_id, series.machine, series.points.size()), style);
  if (!analysed.findings)
    out += history_paragraph(fmt::format("{} runs with a time; changes are looked for from {} on",
                                         analysed.points.size(), kLeastPoints),
                             style);
  if (analysed.findings && analysed.findings->drift)
    out += history_paragraph(drift_text(*analysed.findings, analysed.points.size()), style);
  Table table({{.title = "finished"},
               {.title = "commit"},
               {.title = "run", .rank = 3},
               {.title = "time", .align = Align::right},
               {.title = "samples alone", .align = Align::right, .rank = 2},
               {.title = "status", .rank = 1},
               {.title = "what happened"}});
  const std::vector<std::string> marks = marks_of(analysed);
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    const HistoryPoint& one = series.points[i];
    table.row({Cell(one.finished), Cell(one.commit), Cell(one.run_id),
               Cell(one.log_s ? duration_text(std::exp(*one.log_s), 4) : ""),
               Cell(one.deviation ? fmt::format("{:.2f} %", 100 * *one.deviation) : ""),
               Cell(one.status == "ok" ? "" : one.status + (one.reason.empty() ? "" : ": " + one.reason)),
               Cell(marks[i])});
  }
  return out + table.render(style);
}

std::string render_changes(const std::vector<AnalysedSeries>& all, double margin, const Style& style) {
  struct Row {
    const AnalysedSeries* analysed;
    const LevelChange* change;
  };
  std::vector<Row> rows;
  std::size_t small = 0, short_ones = 0;
  std::vector<const AnalysedSeries*> drifting;
  for (const AnalysedSeries& analysed : all) {
    if (!analysed.findings) ++short_ones;
    if (!analysed.findings) continue;
    if (analysed.findings->drift) drifting.push_back(&analysed);
    for (const LevelChange& change : analysed.findings->changes)
      if (std::abs(std::log(change.time_ratio)) >= std::log1p(margin))
        rows.push_back({&analysed, &change});
      else
        ++small;
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return a.change->time_ratio > b.change->time_ratio; });
  std::string out = history_paragraph(
      fmt::format("{} changes of {:.3g} % or more in {} series (a case on a machine); {} smaller ones, {} "
                  "drifts, {} series of fewer than {} runs",
                  rows.size(), 100 * margin, all.size(), small, drifting.size(), short_ones, kLeastPoints),
      style);
  Table table({{.title = "change"},
               {.title = "time, new over old", .align = Align::right},
               {.title = "case", .tail = 24},
               {.title = "first commit"},
               {.title = "last before", .rank = 2},
               {.title = "finished", .rank = 1},
               {.title = "machine", .rank = 4},
               {.title = "doubt", .rank = 3}});
  for (const Row& row : rows)
    table.row(
        {Cell(row.change->time_ratio > 1 ? "slower" : "faster", row.change->time_ratio > 1 ? Paint::bad : Paint::good),
         Cell(change_text(*row.change)), Cell(short_name(row.analysed->series.case_id)),
         Cell(point(*row.analysed, row.change->at).commit), Cell(point(*row.analysed, row.change->at - 1).commit),
         Cell(point(*row.analysed, row.change->at).finished), Cell(row.analysed->series.machine),
         Cell(doubt_about(*row.analysed, *row.change))});
  if (!rows.empty()) out += '\n' + table.render(style);
  if (!drifting.empty()) out += '\n';
  for (const AnalysedSeries* one : drifting)
    out += history_paragraph(fmt::format("{} on {} {}", short_name(one->series.case_id), one->series.machine,
                                         drift_text(*one->findings, one->points.size())),
                             style);
  return out;
}

Json series_json(const AnalysedSeries& analysed) {
  Json points = Json::array(), changes = Json::array(), spikes = Json::array();
  for (const HistoryPoint& one : analysed.series.points)
    points.push_back({{"run_id", one.run_id},
                      {"git", one.commit},
                      {"finished", one.finished},
                      {"environment", one.environment},
                      {"status", one.status},
                      {"reason", one.reason},
                      {"target_time_s", one.log_s ? Json(std::exp(*one.log_s)) : Json(nullptr)},
                      {"sample_deviation", or_null(one.deviation)}});
  Json drift = nullptr, deviation = nullptr;
  if (analysed.findings) {
    const SeriesFindings& findings = *analysed.findings;
    for (const LevelChange& change : findings.changes)
      changes.push_back({{"point", analysed.points[change.at]},
                         {"git", point(analysed, change.at).commit},
                         {"git_before", point(analysed, change.at - 1).commit},
                         {"finished", point(analysed, change.at).finished},
                         {"time_ratio_new_over_old", change.time_ratio},
                         {"ci_low", change.interval.low},
                         {"ci_high", change.interval.high},
                         {"doubt", doubt_about(analysed, change)}});
    for (const std::size_t spike : findings.spikes) spikes.push_back(analysed.points[spike]);
    drift = or_null(findings.drift);
    deviation = findings.deviation;
  }
  return {{"case_id", analysed.series.case_id},
          {"machine", analysed.series.machine},
          {"is_analysed", analysed.findings.has_value()},
          {"deviation", deviation},
          {"drift_per_run", drift},
          {"changes", changes},
          {"spikes", spikes},
          {"points", points}};
}

}  // namespace chokepoint
