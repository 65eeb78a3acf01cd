// How does a report look on a terminal? Aligned tables that fit the width, then the comparisons, then what to doubt.
#include "harness/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/strings.hpp"
#include "harness/report/notes.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/sentences.hpp"
#include "harness/report/summary.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

std::string paragraph(std::string_view text, const Style& style, std::string_view first, Paint paint = Paint::plain) {
  std::string out;
  for (const std::string& line : wrapped(printable(text, style.unicode), style.width, first))
    out += painted(line, paint, style) + '\n';
  return out;
}

std::string header(const ReportInput& input, const Style& style) {
  std::string out;
  int width = 0;
  const std::vector<HeaderLine> lines = header_of(input);
  for (const HeaderLine& line : lines) width = std::max(width, display_width(printable(line.label, style.unicode)));
  for (const HeaderLine& line : lines)
    out += paragraph(line.text, style, padded_right(printable(line.label, style.unicode), width) + "  ");
  return out;
}

std::string table_comparisons(const ReportInput& input, const ReportGroup& group, const Style& style) {
  std::string out;
  const std::vector<Record>& records = input.set.records;
  for (const ReportCase& report_case : group.cases) {
    if (report_case.comparisons.empty()) continue;
    if (!report_case.short_title.empty()) out += paragraph(report_case.short_title, style, "  ", Paint::strong);
    for (const std::size_t i : report_case.comparisons) {
      const Comparison& comparison = input.comparisons[i];
      const std::string kernel = group.has_several_kernels ? records[comparison.a].kernel + ": " : "";
      out += paragraph(kernel + ratio_sentence(comparison, records), style, "  ");
      std::vector<std::string> more = price_sentences(comparison, records);
      if (const std::string energy = energy_sentence(comparison, records); !energy.empty()) more.push_back(energy);
      for (const std::string& sentence : more) out += paragraph(sentence, style, "    ");
    }
    if (report_case.comparisons_left_out > 0)
      out += paragraph(fmt::format("{} more pairs of targets: --format json", report_case.comparisons_left_out), style,
                       "  ", Paint::faint);
  }
  return out;
}

std::string group_text(const ReportInput& input, const ReportGroup& group, const Style& style) {
  Table table(columns_of(group));
  for (const ReportCase& report_case : group.cases) {
    if (!report_case.title.empty()) table.section(report_case.title);
    for (const std::size_t record : report_case.records) table.row(cells_of(group, input, record));
  }
  std::string out = paragraph(group.operation, style, "", Paint::strong);
  if (!group.common.empty()) out += paragraph(group.common, style, "", Paint::faint);
  if (!group.energy_basis.empty())
    out += paragraph(fmt::format("energy is {}", group.energy_basis), style, "", Paint::faint);
  out += table.render(style);
  if (const std::vector<std::string> dropped = table.dropped(style); !dropped.empty())
    out += paragraph(fmt::format("not shown at {} columns: {}", style.width, joined(dropped, ", ")), style, "  ",
                     Paint::faint);
  if (const std::string pairs = table_comparisons(input, group, style); !pairs.empty()) out += '\n' + pairs;
  return out;
}

std::string render_table(const ReportInput& input, const Style& style) {
  const std::vector<ReportGroup> groups = groups_of(input);
  std::string out = header(input, style);
  for (const ReportGroup& group : groups) out += '\n' + group_text(input, group, style);
  const auto list = [&](const char* title, const std::vector<std::string>& sentences) {
    if (!sentences.empty()) out += '\n' + paragraph(title, style, "", Paint::strong);
    for (const std::string& sentence : sentences) out += paragraph(sentence, style, "- ");
  };
  list("Notes", notes_of(input));
  list("In short", summary_of(input, groups));  // last, where a terminal leaves the eye
  return out;
}

const Register<Format> table_format{
    {.name = "table", .summary = "aligned text for a terminal, as wide as it is", .render = render_table}};

}  // namespace
}  // namespace chokepoint
