#include "harness/cli/claims_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/report/cost_text.hpp"
#include "harness/report/text.hpp"
#include "harness/report/table.hpp"

namespace chokepoint {
namespace {

// "-15.6 % [-15.6, -8.6]": how far a ratio is from 1.
std::string rule_change_text(const Estimate& ratio) {
  const auto percent = [](double value) {
    const double change = 100.0 * (value - 1.0);
    return fmt::format("{:+.1f}", std::abs(change) < 0.05 ? 0.0 : change);
  };
  const std::string middle = percent(ratio.mid) + " %";
  if (percent(ratio.low) == percent(ratio.high)) return middle;
  return fmt::format("{} [{}, {}]", middle, percent(ratio.low), percent(ratio.high));
}

Estimate inverse(const Estimate& ratio) {
  return {1.0 / ratio.mid, 1.0 / ratio.high, 1.0 / ratio.low, "", ratio.verified};
}

struct RuleColumn {
  std::string title;
  int rank;
  std::string (*cell)(const RuleCostRow&);
};

// Without a price there are no dollars per token, and the price at which both are even is the next best.
const std::array<RuleColumn, 5> kColumns{{
    {"tokens/s", 0, [](const RuleCostRow& row) { return rule_change_text(row.throughput_ratio); }},
    {"GPU-hours", 3, [](const RuleCostRow& row) { return rule_change_text(inverse(row.throughput_ratio)); }},
    {"J/token", 1,
     [](const RuleCostRow& row) { return rule_change_text(row.joule_ratio) + (row.verified ? "" : " (?)"); }},
    {"even at $/h", 4,
     [](const RuleCostRow& row) {
       return row.money.break_even_usd_per_h ? range_text(*row.money.break_even_usd_per_h) : std::string();
     }},
    {"$/token", 2,
     [](const RuleCostRow& row) {
       return row.money.cost_ratio ? rule_change_text(*row.money.cost_ratio) : std::string();
     }},
}};

std::string pair_text(const RuleCostRow& row) { return fmt::format("{} instead of {}", row.cut, row.full); }

// "per GPU 97.2 instead of 115 tokens/s, 13.1 instead of 11.1 J per token, $8.57 instead of $7.12 per million tokens"
std::string per_token_text(const RuleCostRow& row) {
  const RuleCostSide &cut = row.cut_side, &full = row.full_side;
  const auto usd = [](const std::optional<double>& value) {
    return value ? fmt::format("${:.3g}", *value) : std::string("an unknown price");
  };
  return fmt::format("per GPU {:.4g} instead of {:.4g} tokens/s, {:.3g} instead of {:.3g} J per token, "
                     "{} instead of {} per million tokens",
                     cut.tokens_per_s, full.tokens_per_s, cut.joule_per_token, full.joule_per_token,
                     usd(cut.usd_per_million_tokens), usd(full.usd_per_million_tokens));
}

// Rows come pair by pair.
bool starts_pair(const RuleCost& cost, std::size_t i) {
  return i == 0 || pair_text(cost.rows[i]) != pair_text(cost.rows[i - 1]);
}

std::vector<std::string> notes_of(const RuleCost& cost) {
  std::vector<std::string> notes;
  for (const RuleCostRow& row : cost.rows)
    notes.push_back(fmt::format("{}, {}: {}; {}", row.cut, row.plan, row.because, per_token_text(row)));
  for (const RuleCostGap& gap : cost.gaps)
    notes.push_back(fmt::format("{}, {}: not modelled, {}", gap.cut, gap.plan, gap.reason));
  for (std::size_t i = 0; i < cost.rows.size(); ++i)
    if (starts_pair(cost, i) && !cost.rows[i].price_gap.empty())
      notes.push_back(cost.rows[i].price_gap + ", hence the rent at which both are even");
  if (std::any_of(cost.rows.begin(), cost.rows.end(), [](const RuleCostRow& row) { return !row.verified; }))
    notes.push_back("(?): a rated power behind these joules could not be verified");
  notes.insert(notes.end(), cost.prices.begin(), cost.prices.end());
  notes.insert(notes.end(), cost.assumptions.begin(), cost.assumptions.end());
  return notes;
}

Json json_of(const Estimate& estimate) {
  return {{"mid", estimate.mid}, {"low", estimate.low}, {"high", estimate.high}};
}

Json side_json(const RuleCostSide& side) {
  return {{"tokens_per_s_per_gpu", side.tokens_per_s},
          {"joule_per_token", side.joule_per_token},
          {"usd_per_million_tokens", side.usd_per_million_tokens ? Json(*side.usd_per_million_tokens) : Json()}};
}

Json row_json(const RuleCostRow& row) {
  const auto maybe = [](const std::optional<Estimate>& estimate) {
    return estimate ? json_of(*estimate) : Json();
  };
  return {{"plan", row.plan},
          {"parallel", row.parallel},
          {"cut", row.cut},
          {"full", row.full},
          {"cut_side", side_json(row.cut_side)},
          {"full_side", side_json(row.full_side)},
          {"throughput_ratio", json_of(row.throughput_ratio)},
          {"gpu_hours_ratio", json_of(inverse(row.throughput_ratio))},
          {"joule_per_token_ratio", json_of(row.joule_ratio)},
          {"joule_verified", row.verified},
          {"break_even_usd_per_h", maybe(row.money.break_even_usd_per_h)},
          {"usd_per_token_ratio", maybe(row.money.cost_ratio)},
          {"price_gap", row.price_gap.empty() ? Json() : Json(row.price_gap)},
          {"because", row.because},
          {"basis", "projected"}};
}

}  // namespace

std::string rule_cost_table(const RuleCost& cost, const Style& style) {
  std::vector<Column> columns = {{.title = "plan"}};
  for (const RuleColumn& column : kColumns)
    columns.push_back({.title = column.title, .align = Align::right, .rank = column.rank});
  Table table(columns);
  for (std::size_t i = 0; i < cost.rows.size(); ++i) {
    if (starts_pair(cost, i)) table.section(pair_text(cost.rows[i]));
    std::vector<Cell> cells = {Cell(cost.rows[i].plan)};
    for (const RuleColumn& column : kColumns) {
      const std::string text = column.cell(cost.rows[i]);
      cells.push_back(text.empty() ? Cell() : Cell(text));
    }
    table.row(std::move(cells));
  }
  std::string out;
  const auto paragraph = [&](const std::string& text, std::string_view first, Paint paint = Paint::plain) {
    for (const std::string& line : wrapped(printable(text, style.unicode), style.width, first))
      out += painted(line, paint, style) + '\n';
  };
  paragraph(
      fmt::format("What {} cost ({}): the cut machine over the full one (projected)", cost.rule, cost.title),
      "", Paint::strong);
  out += table.render(style);
  for (const std::string& note : notes_of(cost)) paragraph(note, "- ");
  return out;
}

std::string rule_cost_markdown(const RuleCost& cost) {
  std::string out = fmt::format("### What {} cost\n\n{} (projected)\n\n| machines | plan |", cost.rule,
                                markdown_text(cost.title));
  for (const RuleColumn& column : kColumns) out += fmt::format(" {} |", markdown_text(column.title));
  out += "\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n";
  for (const RuleCostRow& row : cost.rows) {
    out += fmt::format("| {} | {} |", markdown_text(pair_text(row)), markdown_text(row.plan));
    for (const RuleColumn& column : kColumns) out += fmt::format(" {} |", markdown_text(column.cell(row)));
    out += '\n';
  }
  out += '\n';
  for (const std::string& note : notes_of(cost)) out += "- " + markdown_text(note) + '\n';
  return out;
}

Json rule_cost_json(const RuleCost& cost) {
  Json json = {{"rule", cost.rule}, {"title", cost.title}, {"rows", Json::array()}, {"gaps", Json::array()}};
  for (const RuleCostRow& row : cost.rows) json["rows"].push_back(row_json(row));
  for (const RuleCostGap& gap : cost.gaps)
    json["gaps"].push_back({{"plan", gap.plan}, {"cut", gap.cut}, {"reason", gap.reason}});
  json["prices"] = cost.prices;
  json["assumptions"] = cost.assumptions;
  return json;
}

}  // namespace chokepoint
