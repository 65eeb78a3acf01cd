// How does a report look in a README or a CI summary? The tables of the terminal, all columns, as Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "harness/report/notes.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/sentences.hpp"
#include "harness/report/summary.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

std::string table_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += fmt::format(" {} |", cell);
  return line + '\n';
}

// The columns in which some row has content, after a first one for the case.
std::string table(const ReportInput& input, const ReportGroup& group) {
  const std::vector<Column> columns = columns_of(group);
  std::vector<bool> used(columns.size(), false);
  std::vector<std::vector<std::string>> rows;
  bool has_titles = false;
  for (const ReportCase& report_case : group.cases)
    for (const std::size_t record : report_case.records) {
      std::vector<std::string> row = {markdown_text(report_case.title)};
      has_titles = has_titles || !report_case.title.empty();
      const std::vector<Cell> cells = cells_of(group, input, record);
      for (std::size_t i = 0; i < columns.size(); ++i) {
        row.push_back(cells[i].forms.empty() ? "" : markdown_text(cells[i].forms.front()));
        used[i] = used[i] || !row.back().empty();
      }
      rows.push_back(std::move(row));
    }
  std::vector<std::string> titles, rules;
  if (has_titles) {
    titles.emplace_back("case");
    rules.emplace_back("---");
  }
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (used[i]) {
      titles.push_back(markdown_text(columns[i].title));
      rules.emplace_back(columns[i].align == Align::right ? "---:" : "---");
    }
  std::string out = table_row(titles) + table_row(rules);
  for (const std::vector<std::string>& row : rows) {
    std::vector<std::string> kept;
    if (has_titles) kept.push_back(row.front());
    for (std::size_t i = 0; i < columns.size(); ++i)
      if (used[i]) kept.push_back(row[i + 1]);
    out += table_row(kept);
  }
  return out;
}

std::string markdown_comparisons(const ReportInput& input, const ReportGroup& group) {
  std::string out;
  const std::vector<Record>& records = input.set.records;
  for (const ReportCase& report_case : group.cases) {
    for (const std::size_t i : report_case.comparisons) {
      const Comparison& comparison = input.comparisons[i];
      std::string line = report_case.short_title.empty() ? "" : report_case.short_title + ": ";
      if (group.has_several_kernels) line += records[comparison.a].kernel + ": ";
      out += "- " + markdown_text(line + ratio_sentence(comparison, records)) + '\n';
      for (const std::string& sentence : price_sentences(comparison, records))
        out += "  - " + markdown_text(sentence) + '\n';
      if (const std::string energy = energy_sentence(comparison, records); !energy.empty())
        out += "  - " + markdown_text(energy) + '\n';
    }
    if (report_case.comparisons_left_out > 0)
      out += fmt::format("- {} more pairs of targets: `--format json`\n", report_case.comparisons_left_out);
  }
  return out;
}

// As many whole lines as fit.
std::string cut(const std::string& text, std::size_t room) {
  if (text.size() <= room) return text;
  const std::size_t end = text.rfind('\n', room == 0 ? 0 : room - 1);
  return end == std::string::npos ? "" : text.substr(0, end + 1);
}

// GitHub shows a step summary of up to 1 MiB and refuses a larger one whole (GitHub Docs, "Workflow commands"). Notes
// keep a quarter of it at most, tables what is left, and a sentence says what was cut.
std::string within_limit(const std::string& head, const std::string& tables, const std::string& notes) {
  constexpr std::size_t limit = 1024 * 1024, sentence_room = 200;
  if (head.size() + tables.size() + notes.size() <= limit) return head + tables + notes;
  const std::string kept_notes = cut(notes, limit / 4), kept_head = cut(head, limit / 4);
  const std::string kept = cut(tables, limit - sentence_room - kept_head.size() - kept_notes.size());
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  const auto lost = lines(head) + lines(tables) + lines(notes) - lines(kept_head) - lines(kept) - lines(kept_notes);
  return fmt::format(
      "{}{}\n**Cut here: {} lines are left out, a CI step summary holds 1 MiB; `--format csv` or html has "
      "them.**\n{}",
      kept_head, kept, lost, kept_notes);
}

std::string render_markdown(const ReportInput& input, const Style&) {
  const std::vector<ReportGroup> groups = groups_of(input);
  std::string head, tables, notes;
  for (const std::string& sentence : summary_of(input, groups)) head += fmt::format("**{}.**\n\n", markdown_text(sentence));
  for (const HeaderLine& line : header_of(input))
    head += fmt::format("- {}: {}\n", markdown_text(line.label), markdown_text(line.text));
  for (const ReportGroup& group : groups) {
    tables += fmt::format("\n### {}\n\n", markdown_text(group.operation));
    if (!group.common.empty()) tables += markdown_text(group.common) + "\n\n";
    if (!group.energy_basis.empty()) tables += fmt::format("Energy is {}.\n\n", markdown_text(group.energy_basis));
    tables += table(input, group);
    if (const std::string pairs = markdown_comparisons(input, group); !pairs.empty()) tables += '\n' + pairs;
  }
  const std::vector<std::string> sentences = notes_of(input);
  if (!sentences.empty()) notes += "\n### Notes\n\n";
  for (const std::string& note : sentences) notes += "- " + markdown_text(note) + '\n';
  return within_limit(head, tables, notes);
}

const Register<Format> markdown_format{{.name = "markdown",
                                        .summary = "tables for a README or a CI summary",
                                        .ending = ".md",
                                        .render = render_markdown}};

}  // namespace
}  // namespace chokepoint
