// A comparison as Markdown for a step's summary, as JUnit XML and as GitHub annotations.
#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/compare_text.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMarkdownRows = 20;  // the changes worth a look; the rest is in the file that was compared

// As code, so that "@h100-sxm" calls nobody and no mark-up acts: everything but letters, digits and harmless signs as
// character references.
std::string code(const std::string& text) {
  std::string out = "<code>";
  for (const char c : printable(text)) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_safe =
        byte >= 0x80 || std::isalnum(byte) != 0 || std::string_view(" ,.=/@-").find(c) != std::string_view::npos;
    out += is_safe ? std::string(1, c) : fmt::format("&#{};", byte);
  }
  return out + "</code>";
}

// Text in XML 1.0: marks as entities; characters that it cannot hold are gone after printable().
std::string xml(const std::string& text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  return out;
}

// https://docs.github.com/actions/reference/workflow-commands: data escapes %, CR and LF, properties : and , as well.
std::string command_data(const std::string& text, bool is_property) {
  std::string out;
  for (const char c : printable(text))
    if (c == '%' || (is_property && (c == ':' || c == ',')))
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  return out;
}

std::string why(const CaseComparison& one) {
  std::string text = one.time_ratio ? change_text(one) + " of the time" : one.reason;
  if (one.is_broken) text = "worked before: " + (one.reason.empty() ? std::string("a run of it failed") : one.reason);
  if (one.verdict == CaseVerdict::ambiguous) text += "; " + one.reason;
  for (const std::string& remark : one.remarks) text += "; " + remark;
  return text;
}

bool is_bad(const CaseComparison& one) { return one.is_broken || one.verdict == CaseVerdict::slower; }

std::string verdict_text(const CaseComparison& one) {
  if (one.is_broken) return "**broken**";
  if (one.verdict == CaseVerdict::slower) return "**slower**";
  return one.verdict == CaseVerdict::not_comparable ? "not comparable" : std::string(to_string(one.verdict));
}

std::string gate_sentence(const ComparisonText& text) {
  if (text.gate == GateOutcome::regression) return "A regression.";
  return text.gate == GateOutcome::undecided ? "Undecided, which --strict does not let pass." : "No regression.";
}

}  // namespace

std::string render_markdown(const ComparisonText& text, std::size_t most_bytes) {
  const ComparisonReport& report = *text.report;
  std::string head = fmt::format(
      "### chokepoint compare: {}\n\n{}; margin {:.3g} %, false discoveries at most {:.3g} %.\n\n", gate_sentence(text),
      counts_text(report), 100 * report.options.margin, 100 * report.options.false_discoveries);
  head += fmt::format("- base: {} ({} runs{}{})\n- new: {} ({} runs{}{})\n", code(text.base.name), text.base.runs,
                      text.base.commit.empty() ? "" : ", git ", markdown_text(text.base.commit), code(text.now.name),
                      text.now.runs, text.now.commit.empty() ? "" : ", git ", markdown_text(text.now.commit));
  std::string notes;
  for (const ConditionChange& change : report.changes)
    notes += fmt::format("- {} differs in {} cases{}: {} and {}\n", markdown_text(change.mismatch.name), change.cases,
                         change.is_allowed ? " (allowed)" : ", which were not compared",
                         markdown_text(change.mismatch.base), markdown_text(change.mismatch.now));
  for (const std::string& warning : report.warnings) notes += fmt::format("- {}\n", markdown_text(warning));
  std::string rows;
  std::size_t shown = 0, worth = 0;
  const std::size_t room =
      most_bytes > head.size() + notes.size() + 400 ? most_bytes - head.size() - notes.size() - 400 : 0;
  for (const std::size_t i : worst_first(report)) {
    const CaseComparison& one = report.cases[i];
    if (one.verdict == CaseVerdict::same && !one.is_broken) continue;
    ++worth;
    const std::string row = fmt::format(
        "| {} | {} | {} | {} |\n", verdict_text(one), code(short_name(one.case_id)), markdown_text(change_text(one)),
        one.time_ratio && one.verdict != CaseVerdict::ambiguous ? "" : markdown_text(one.reason));
    if (shown < kMarkdownRows && rows.size() + row.size() <= room) {
      rows += row;
      ++shown;
    }
  }
  std::string out = head;
  if (!rows.empty()) out += "\n| verdict | case | time, new over base | why |\n| --- | --- | ---: | --- |\n" + rows;
  if (worth > shown) out += fmt::format("\n{} more that are not the same.\n", worth - shown);
  if (!notes.empty() && out.size() + notes.size() + 1 <= most_bytes) out += '\n' + notes;
  return out.size() <= most_bytes ? out : std::string();
}

std::string render_junit(const ComparisonText& text) {
  const ComparisonReport& report = *text.report;
  std::size_t failures = 0, skipped = 0;
  std::string cases;
  for (const CaseComparison& one : report.cases) {
    cases += fmt::format("    <testcase classname=\"{}\" name=\"{}\"",
                         xml(one.case_id.substr(0, one.case_id.find('/'))), xml(one.case_id));
    const bool is_open = one.verdict == CaseVerdict::ambiguous || one.verdict == CaseVerdict::not_comparable;
    if (is_bad(one) || (is_open && text.strict)) {
      ++failures;
      cases += fmt::format(">\n      <failure type=\"{}\" message=\"{}\"/>\n    </testcase>\n",
                           one.is_broken ? "broken" : to_string(one.verdict), xml(why(one)));
    } else if (is_open) {
      ++skipped;
      cases += fmt::format(">\n      <skipped message=\"{}: {}\"/>\n    </testcase>\n", to_string(one.verdict),
                           xml(why(one)));
    } else {
      cases += "/>\n";
    }
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"chokepoint compare\" tests=\"{}\" "
      "failures=\"{}\" errors=\"0\" skipped=\"{}\">\n{}  </testsuite>\n</testsuites>\n",
      report.cases.size(), failures, skipped, cases);
}

std::string render_annotations(const ComparisonText& text) {
  const ComparisonReport& report = *text.report;
  std::string out;
  std::size_t written = 0, bad = 0;
  for (const std::size_t i : worst_first(report)) {
    const CaseComparison& one = report.cases[i];
    const bool is_open = one.verdict == CaseVerdict::ambiguous || one.verdict == CaseVerdict::not_comparable;
    if (is_bad(one)) ++bad;
    if (written == kMostAnnotations || (!is_bad(one) && !(is_open && text.strict))) continue;
    ++written;
    out += fmt::format(
        "::{} title={}::{}: {}\n", is_bad(one) ? "error" : "warning",
        command_data(fmt::format("chokepoint: {}", one.is_broken ? "broken" : to_string(one.verdict)), true),
        command_data(short_name(one.case_id), false), command_data(why(one), false));
  }
  if (bad > kMostAnnotations)
    out += fmt::format("::notice title=chokepoint::{} more regressions are in the summary\n", bad - kMostAnnotations);
  return out;
}

}  // namespace chokepoint
