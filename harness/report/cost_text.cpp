#include "harness/report/cost_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "harness/base/strings.hpp"
#include "harness/report/text.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/sentences.hpp"
#include "harness/report/table.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostSwings = 8;  // of a tornado; the rest moves little
constexpr int kBarWidth = 24;

std::string pair_text(const CostRow& row) {
  return fmt::format("{} against {}", row.question.target.target, row.question.reference.target);
}

std::string percent_text(double share) { return fmt::format("{:.0f} %", 100.0 * share); }

std::string verdict_text(const CostRow& row) {
  const CostAnswer& answer = row.answer;
  switch (answer.verdict) {
    case CostVerdict::wins:
      return "cheaper";
    case CostVerdict::loses:
      return "dearer";
    case CostVerdict::open:
      return "open: no price";
    case CostVerdict::depends:
      break;
  }
  if (answer.swings.empty())
    return "depends";  // cannot happen with a range, and without one it wins or loses
  return answer.flips.empty() ? "depends on several" : "depends on " + answer.flips;
}

Paint verdict_paint(CostVerdict verdict) {
  return verdict == CostVerdict::wins    ? Paint::good
         : verdict == CostVerdict::loses ? Paint::bad
                                         : Paint::plain;
}

// What a table has in its cells, the same for the terminal and for Markdown: forms that are all true, the
// longest first.
using Forms = std::vector<std::string>;

struct CostColumn {
  std::string title;
  int rank;
  Forms (*cell)(const CostRow&);
};

Forms maybe_range(const std::optional<Estimate>& estimate) {
  if (!estimate) return {};
  return {range_text(*estimate), range_text(exactly(estimate->mid))};
}

// The label says which case it is where there is one; a kernel of its own always does.
Forms case_forms(const Record& record) {
  const Json& provenance = record.provenance;
  const bool has_label = provenance.contains("label") && provenance["label"].is_string();
  const std::string label = has_label ? provenance["label"].get<std::string>() : "";
  const std::string short_form = fmt::format("{}, {}, {}", label.empty() ? record.operation : label,
                                             record.kernel, to_string(record.dtype));
  return {case_text(record), short_form};
}

const std::array<CostColumn, 9> kColumns{{
    {"throughput", 0,
     [](const CostRow& row) {
       return Forms{fmt::format("{} ({})", ratio_text(row.throughput_ratio), to_string(row.basis))};
     }},
    {"even at $/h", 2, [](const CostRow& row) { return maybe_range(row.answer.break_even_usd_per_h); }},
    {"even at purchase $", 3,
     [](const CostRow& row) { return maybe_range(row.answer.break_even_capex_usd); }},
    {"$/h", 6, [](const CostRow& row) { return maybe_range(row.answer.target_usd_per_h); }},
    {"reference $/h", 7, [](const CostRow& row) { return maybe_range(row.answer.reference_usd_per_h); }},
    {"$/Mtoken", 8, [](const CostRow& row) { return maybe_range(row.target_usd_per_million_tokens); }},
    {"cost ratio", 1, [](const CostRow& row) { return maybe_range(row.answer.cost_ratio); }},
    {"P(cheaper)", 5,
     [](const CostRow& row) {
       return row.answer.win_probability ? Forms{percent_text(*row.answer.win_probability)} : Forms();
     }},
    {"verdict", 0, [](const CostRow& row) { return Forms{verdict_text(row)}; }},
}};

// Rows of one pair of targets stand together.
std::vector<std::pair<std::string, std::vector<const CostRow*>>> by_pair(const CostReport& report) {
  std::vector<std::pair<std::string, std::vector<const CostRow*>>> pairs;
  for (const CostRow& row : report.rows) {
    const std::string name = pair_text(row);
    auto found =
        std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == name; });
    if (found == pairs.end()) found = pairs.insert(pairs.end(), {name, {}});
    found->second.push_back(&row);
  }
  return pairs;
}

std::string paragraph(std::string_view text, const Style& style, std::string_view first,
                      Paint paint = Paint::plain) {
  std::string out;
  for (const std::string& line : wrapped(printable(text, style.unicode), style.width, first))
    out += painted(line, paint, style) + '\n';
  return out;
}

std::string rows_text(const CostReport& report, const std::vector<const CostRow*>& rows, const Style& style) {
  std::vector<Column> columns = {{.title = "case"}};
  for (const CostColumn& column : kColumns)
    columns.push_back({.title = column.title,
                       .align = column.title == "verdict" ? Align::left : Align::right,
                       .rank = column.rank});
  Table table(columns);
  for (const CostRow* row : rows) {
    std::vector<Cell> cells = {Cell(case_forms(report.set.records[row->target]))};
    for (const CostColumn& column : kColumns)
      cells.emplace_back(column.cell(*row),
                         column.title == "verdict" ? verdict_paint(row->answer.verdict) : Paint::plain);
    table.row(std::move(cells));
  }
  std::string out = table.render(style);
  if (const std::vector<std::string> dropped = table.dropped(style); !dropped.empty())
    out += paragraph(fmt::format("not shown at {} columns: {}", style.width, joined(dropped, ", ")), style,
                     "  ", Paint::faint);
  return out;
}

std::string end_text(double end, double outcome) {
  return fmt::format("{} at {}", range_text(exactly(outcome)), range_text(exactly(end)));
}

std::string text_bar(double size, double largest, bool unicode) {
  const int length = static_cast<int>(std::lround(kBarWidth * size / largest));
  std::string text;
  for (int i = 0; i < std::max(1, length); ++i) text += unicode ? "█" : "#";
  return text;
}

std::string tornado_text(const CostReport& report, const Style& style) {
  const CostRow& row = median_row(report);
  const std::vector<CostSwing>& swings = row.answer.swings;
  if (swings.empty()) return "";
  std::string out = paragraph(fmt::format("What the {} of {} hangs on ({}{})", row.answer.swings_of,
                                          pair_text(row), case_text(report.set.records[row.target]),
                                          report.rows.size() > 1 ? ", the case in the middle" : ""),
                              style, "", Paint::strong);
  Table table({{.title = "variable"},
               {.title = "with its low end", .align = Align::right, .rank = 1},
               {.title = "with its high end", .align = Align::right, .rank = 1},
               {.title = "swing", .rank = 2}});
  for (std::size_t i = 0; i < std::min(kMostSwings, swings.size()); ++i)
    table.row({Cell(swings[i].variable), Cell(end_text(swings[i].low, swings[i].outcome_low)),
               Cell(end_text(swings[i].high, swings[i].outcome_high)),
               Cell(text_bar(swings[i].size(), swings.front().size(), style.unicode))});
  return out + table.render(style);
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += fmt::format(" {} |", cell);
  return line + '\n';
}

// Columns in which some row has content.
std::string rows_markdown(const CostReport& report, const std::vector<const CostRow*>& rows) {
  std::vector<std::string> titles = {"case"}, rules = {"---"};
  std::vector<const CostColumn*> used;
  for (const CostColumn& column : kColumns)
    if (std::any_of(rows.begin(), rows.end(),
                    [&](const CostRow* row) { return !column.cell(*row).empty(); })) {
      used.push_back(&column);
      titles.push_back(column.title);
      rules.emplace_back(column.title == "verdict" ? "---" : "---:");
    }
  std::string out = markdown_row(titles) + markdown_row(rules);
  for (const CostRow* row : rows) {
    std::vector<std::string> cells = {markdown_text(case_text(report.set.records[row->target]))};
    for (const CostColumn* column : used) {
      const Forms forms = column->cell(*row);
      cells.push_back(forms.empty() ? "" : markdown_text(forms.front()));
    }
    out += markdown_row(cells);
  }
  return out;
}

std::string tornado_markdown(const CostReport& report) {
  const CostRow& row = median_row(report);
  if (row.answer.swings.empty()) return "";
  std::string out = fmt::format("\n### What the {} hangs on\n\n{}: {}\n\n", row.answer.swings_of,
                                markdown_text(pair_text(row)),
                                markdown_text(case_text(report.set.records[row.target])));
  out += markdown_row({"variable", "with its low end", "with its high end"}) +
         markdown_row({"---", "---:", "---:"});
  for (std::size_t i = 0; i < std::min(kMostSwings, row.answer.swings.size()); ++i) {
    const CostSwing& swing = row.answer.swings[i];
    out += markdown_row({markdown_text(swing.variable), end_text(swing.low, swing.outcome_low),
                         end_text(swing.high, swing.outcome_high)});
  }
  return out;
}

Json json_of(const Estimate& estimate) {
  return {{"mid", estimate.mid}, {"low", estimate.low}, {"high", estimate.high}};
}

Json json_of(const std::optional<Estimate>& estimate) { return estimate ? json_of(*estimate) : Json(); }

Json with_source(const Estimate& estimate) {
  Json json = json_of(estimate);
  json["source"] = estimate.source;
  json["verified"] = estimate.verified;
  return json;
}

Json swings_json(const CostAnswer& answer) {
  Json swings = Json::array();
  for (const CostSwing& swing : answer.swings)
    swings.push_back({{"variable", swing.variable},
                      {"low", swing.low},
                      {"high", swing.high},
                      {"outcome_low", swing.outcome_low},
                      {"outcome_high", swing.outcome_high}});
  return swings;
}

Json row_json(const CostReport& report, const CostRow& row) {
  const Record &target = report.set.records[row.target], &reference = report.set.records[row.reference];
  const CostAnswer& answer = row.answer;
  const auto interval = row.throughput_ratio.interval;
  CostQuestion question = row.question;
  Json assumptions = Json::object();
  for_each_variable(question, [&](const std::string& name, Estimate& estimate) {
    assumptions[name] = with_source(estimate);
  });
  return {{"operation", target.operation},
          {"kernel", target.kernel},
          {"dtype", to_string(target.dtype)},
          {"shape", target.shape.text()},
          {"target", target.target},
          {"reference", reference.target},
          {"target_case_id", target.case_id},
          {"reference_case_id", reference.case_id},
          {"basis", to_string(row.basis)},
          {"possession", row.question.target.possession == Possession::owned ? "owned" : "rented"},
          {"throughput_ratio",
           {{"value", row.throughput_ratio.value},
            {"ci_low", interval ? Json(interval->low) : Json()},
            {"ci_high", interval ? Json(interval->high) : Json()},
            {"confidence", row.confidence}}},
          {"break_even_price_ratio", json_of(answer.break_even_price_ratio)},
          {"break_even_usd_per_h", json_of(answer.break_even_usd_per_h)},
          {"break_even_capex_usd", json_of(answer.break_even_capex_usd)},
          {"target_usd_per_h", json_of(answer.target_usd_per_h)},
          {"reference_usd_per_h", json_of(answer.reference_usd_per_h)},
          {"target_usd_per_million_tokens", json_of(row.target_usd_per_million_tokens)},
          {"reference_usd_per_million_tokens", json_of(row.reference_usd_per_million_tokens)},
          {"cost_ratio", json_of(answer.cost_ratio)},
          {"win_probability", answer.win_probability ? Json(*answer.win_probability) : Json()},
          {"verdict", to_string(answer.verdict)},
          {"flips", answer.flips.empty() ? Json() : Json(answer.flips)},
          {"price_gap", row.price_gap.empty() ? Json() : Json(row.price_gap)},
          {"swings_of", answer.swings_of},
          {"swings", swings_json(answer)},
          {"assumptions", assumptions}};
}

}  // namespace

std::string range_text(const Estimate& estimate, int digits) {
  const auto number = [&](double value) {
    if (std::abs(value) >= 1000.0) return fmt::format("{:.0f}", value);
    return fmt::format("{:#.{}g}", value, digits);
  };
  if (estimate.is_exact()) return number(estimate.mid);
  return fmt::format("{} [{}, {}]", number(estimate.mid), number(estimate.low), number(estimate.high));
}

std::vector<std::string> cost_summary(const CostReport& report) {
  static const std::vector<std::pair<CostVerdict, std::string>> words = {
      {CostVerdict::wins, "cheaper"},
      {CostVerdict::loses, "dearer"},
      {CostVerdict::depends, "undecided"},
      {CostVerdict::open, "without a price"}};
  std::vector<std::string> sentences;
  for (const auto& [name, rows] : by_pair(report)) {
    std::vector<std::string> parts;
    for (const auto& [verdict, word] : words) {
      const auto count = std::count_if(rows.begin(), rows.end(), [&, &wanted = verdict](const CostRow* row) {
        return row->answer.verdict == wanted;
      });
      if (count > 0) parts.push_back(fmt::format("{} in {}", word, count));
    }
    const auto [least, most] =
        std::minmax_element(rows.begin(), rows.end(), [](const CostRow* a, const CostRow* b) {
          return a->answer.break_even_price_ratio.mid < b->answer.break_even_price_ratio.mid;
        });
    const std::string low = fmt::format("{:.3g}", (*least)->answer.break_even_price_ratio.mid);
    const std::string high = fmt::format("{:.3g}", (*most)->answer.break_even_price_ratio.mid);
    sentences.push_back(fmt::format("{}: {} of {} cases; even at {}{} times the reference's price", name,
                                    joined(parts, ", "), rows.size(), low, low == high ? "" : " to " + high));
  }
  return sentences;
}

std::string cost_table(const CostReport& report, const Style& style) {
  std::string out;
  for (const auto& [name, rows] : by_pair(report)) {
    const std::string how = report.options.possession == Possession::owned ? "owned" : "rented";
    out += paragraph(fmt::format("{}, {} (projected)", name, how), style, "", Paint::strong);
    out += rows_text(report, rows, style) + '\n';
  }
  if (const std::string tornado = tornado_text(report, style); !tornado.empty()) out += tornado + '\n';
  out += paragraph("Notes", style, "", Paint::strong);
  for (const std::string& note : report.notes) out += paragraph(note, style, "- ");
  out += '\n' + paragraph("In short", style, "", Paint::strong);
  for (const std::string& sentence : cost_summary(report)) out += paragraph(sentence, style, "- ");
  return out;
}

std::string cost_markdown(const CostReport& report) {
  std::string out;
  for (const std::string& sentence : cost_summary(report))
    out += fmt::format("**{}.**\n\n", markdown_text(sentence));
  for (const auto& [name, rows] : by_pair(report))
    out += fmt::format("### {} (projected)\n\n{}\n", markdown_text(name), rows_markdown(report, rows));
  out += tornado_markdown(report) + "\n### Notes\n\n";
  for (const std::string& note : report.notes) out += "- " + markdown_text(note) + '\n';
  return out;
}

Json cost_json(const CostReport& report) {
  Json json = {{"possession", report.options.possession == Possession::owned ? "owned" : "rented"},
               {"cost_book", {{"id", report.options.book.id}, {"sha256", report.options.book.hash}}},
               {"facility", report.options.facility},
               {"seed", report.options.seed},
               {"draws", kCostDraws},
               {"rows", Json::array()},
               {"notes", report.notes},
               {"summary", cost_summary(report)}};
  for (const CostRow& row : report.rows) json["rows"].push_back(row_json(report, row));
  return json;
}

}  // namespace chokepoint
