#include "harness/cli/claims_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/cli/claims_words.hpp"
#include "harness/report/table.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kShownWhatIf = 12;
constexpr std::size_t kTornadoBars = 6;
constexpr int kBarWidth = 40;

Paint paint_of_verdict(Verdict verdict) {
  if (is_failure(verdict)) return Paint::bad;
  return verdict == Verdict::reproduced || verdict == Verdict::arith_ok ? Paint::good : Paint::plain;
}

std::string deviation_text(const RowOutcome& row) {
  return row.judgement.deviation ? change_text(*row.judgement.deviation) : "";
}

Cell derived_cell(const ClaimOutcome& outcome, const RowOutcome& row) {
  return Cell(std::vector<std::string>{derived_text(outcome, row), figure_text(row.spread.p50)});
}

void add_rows(Table& table, const ClaimOutcome& outcome) {
  const std::string& id = outcome.claim.id;
  if (outcome.rows.empty()) {
    table.row(
        {id, outcome.claim.tier, Cell(), Cell(), Cell(), std::string(to_string(outcome.verdict)), Cell(), Cell()});
    return;
  }
  for (const RowOutcome& row : outcome.rows)
    table.row({row.name.empty() ? id : id + " " + row.name, outcome.claim.tier, published_text(outcome, row),
               derived_cell(outcome, row), deviation_text(row),
               Cell(std::string(to_string(row.judgement.verdict)), paint_of_verdict(row.judgement.verdict)),
               worst_grade(outcome), with_instead_text(outcome)});
}

void add_wrapped(std::string& out, const std::string& text, const std::string& first, const Style& style) {
  if (text.empty()) return;
  for (const std::string& line : wrapped(printable(text, style.unicode), style.width, first)) out += line + "\n";
}

// What stands behind a verdict, in one paragraph.
std::string behind(const ClaimOutcome& outcome) {
  std::vector<std::string> parts = {outcome.claim.source.cite + " (" + outcome.claim.source.url +
                                    (outcome.claim.source.is_primary ? ")" : ", secondary)")};
  for (const std::string& text : {outcome.reason, unfitted_text(outcome), inputs_text(outcome),
                                  consumption_text(outcome), seed_text(outcome)})
    if (!text.empty()) parts.push_back(text);
  if (outcome.change_by_settings)
    parts.push_back(
        fmt::format("as set, against the claim's own machine: {}", change_text(*outcome.change_by_settings)));
  else if (const std::string text = with_instead_text(outcome); !text.empty())
    parts.push_back(text);
  return joined(parts, ". ");
}

// "....[--|--].x.": p5, p50, p95 and the published value on one scale.
std::string interval_bar(const RowOutcome& row, const Style& style) {
  const double low = std::min(row.spread.p5, row.published), high = std::max(row.spread.p95, row.published);
  if (!(high > low)) return "";
  const double pad = 0.1 * (high - low);
  const auto place = [&](double value) {
    return static_cast<std::size_t>(std::lround((value - low + pad) / (high - low + 2 * pad) * (kBarWidth - 1)));
  };
  std::string bar(kBarWidth, '.');
  for (std::size_t i = place(row.spread.p5); i <= place(row.spread.p95); ++i) bar[i] = '-';
  bar[place(row.spread.p5)] = '[';
  bar[place(row.spread.p95)] = ']';
  bar[place(row.spread.p50)] = '|';
  bar[place(row.published)] = 'x';
  return painted(bar, Paint::faint, style);
}

void add_full_rows(std::string& out, const ClaimOutcome& outcome, const Style& style) {
  for (const RowOutcome& row : outcome.rows) {
    out += fmt::format("  {:<10} published {}, derived {} {}, {}\n", row.name, published_text(outcome, row),
                       derived_text(outcome, row), outcome.claim.quantity.unit, deviation_text(row));
    out += fmt::format("  {:<10} {}: {}\n", "",
                       painted(to_string(row.judgement.verdict), paint_of_verdict(row.judgement.verdict), style),
                       printable(row.judgement.reason, style.unicode));
    if (!outcome.is_arithmetic)
      out += fmt::format("  {:<10} {}  x published, [ ] 5th and 95th percentile, | median\n", "",
                         interval_bar(row, style));
    if (row.bound) out += fmt::format("  {:<10} kernels alone allow {}\n", "", figure_text(*row.bound));
  }
}

std::vector<std::size_t> by_swing(const DrawnSpread& spread) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < spread.tornado.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const auto width = [&](std::size_t i) { return std::abs(spread.tornado[i].at_hi - spread.tornado[i].at_lo); };
    return width(a) > width(b);
  });
  if (order.size() > kTornadoBars) order.resize(kTornadoBars);
  return order;
}

// Each source once, with the keys of what is from there, in the order of the table above it.
using Sources = std::vector<std::pair<std::string, std::vector<std::string>>>;

void add_source(Sources& sources, const std::string& key, const std::string& source) {
  for (auto& [text, keys] : sources) {
    if (text != source) continue;
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    return;
  }
  sources.push_back({source, {key}});
}

Sources sources_of(const std::vector<Assumption>& assumptions) {
  Sources sources;
  for (const Assumption& assumption : assumptions) add_source(sources, assumption.key, assumption.source);
  return sources;
}

// Below a table and never in it: whatever the width, a source is not left out.
void add_sources(std::string& out, const Sources& sources, const Style& style) {
  for (const auto& [text, keys] : sources) add_wrapped(out, joined(keys, ", ") + ": " + text, "  ", style);
}

void add_tornado(std::string& out, const ClaimOutcome& outcome, const Style& style) {
  if (outcome.rows.empty() || outcome.assumptions.empty()) return;
  const DrawnSpread& spread = outcome.rows.front().spread;
  Table table({{"assumption"},
               {"from", Align::right},
               {"to", Align::right},
               {"alone moves it", Align::right},
               {"of variance", Align::right},
               {"basis"},
               {"grade"}});
  for (const std::size_t i : by_swing(spread)) {
    const Assumption& assumption = outcome.assumptions[i];
    table.row({assumption.key, fmt::format("{:.4g}", assumption.lo), fmt::format("{:.4g}", assumption.hi),
               fmt::format("{} to {}", change_text(spread.tornado[i].at_lo / spread.point - 1.0),
                           change_text(spread.tornado[i].at_hi / spread.point - 1.0)),
               fmt::format("{:.0f} %", 100.0 * spread.shares[i]), assumption.basis,
               std::string(to_string(grade_of_basis(assumption.basis)))});
  }
  out += "\n" + table.render(style);
  add_sources(out, sources_of(outcome.assumptions), style);
}

// What the hours take and cost, and every figure between them.
void add_consumption(std::string& out, const ClaimOutcome& outcome, const Style& style) {
  const std::string text = consumption_text(outcome);
  if (text.empty()) return;
  out += "\n";
  add_wrapped(out, text, "  energy: ", style);
  if (!outcome.consumption) return;
  add_wrapped(out, outcome.consumption->basis, "  power of a GPU: ", style);
  Table table({{"figure"},
               {"value", Align::right},
               {"from", Align::right},
               {"to", Align::right},
               {"basis"},
               {"grade"}});
  for (const Assumption& figure : outcome.consumption->figures)
    table.row({figure.key, fmt::format("{:.4g}", figure.value), fmt::format("{:.4g}", figure.lo),
               fmt::format("{:.4g}", figure.hi), figure.basis, std::string(to_string(grade_of_basis(figure.basis)))});
  out += table.render(style);
  add_sources(out, sources_of(outcome.consumption->figures), style);
}

void add_inputs(std::string& out, const ClaimOutcome& outcome, const Style& style) {
  if (outcome.inputs.empty()) return;
  Table table({{"input"}, {"value", Align::right}, {"grade"}});
  Sources sources;
  for (const ClaimInput& input : outcome.inputs) {
    table.row({input.key, fmt::format("{}{}{}", figure_text(input.value), input.unit.empty() ? "" : " ", input.unit),
               std::string(to_string(input.grade))});
    add_source(sources, input.key, input.source);
  }
  out += "\n" + table.render(style);
  add_sources(out, sources, style);
}

void add_what_if(std::string& out, const ClaimOutcome& outcome, const Style& style) {
  if (outcome.what_if.empty()) return;
  std::vector<WhatIf> entries = outcome.what_if;
  std::stable_sort(entries.begin(), entries.end(),
                   [](const WhatIf& a, const WhatIf& b) { return std::abs(a.change) > std::abs(b.change); });
  Table table({{"with"}, {"changes it by", Align::right}});
  for (std::size_t i = 0; i < std::min(entries.size(), kShownWhatIf); ++i)
    table.row({entries[i].text, change_text(entries[i].change)});
  out += "\n" + table.render(style);
}

std::string markdown_cell(std::string text) {
  std::string out;
  for (const char c : text) out += c == '|' || c == '$' || c == '[' ? std::string("\\") + c : std::string(1, c);
  return out;
}

}  // namespace

std::string claims_table(const std::vector<ClaimOutcome>& outcomes, const Style& style) {
  Table table({{"claim"},
               {"tier", Align::left, 3},
               {"published", Align::right},
               {"derived [5 %, 95 %]", Align::right},
               {"off by", Align::right, 1},
               {"verdict"},
               {"worst input", Align::left, 2},
               {"what matters most", Align::left, 4, true}});
  for (const ClaimOutcome& outcome : outcomes) add_rows(table, outcome);
  std::string out = table.render(style) + "\n";
  for (const ClaimOutcome& outcome : outcomes) add_wrapped(out, behind(outcome), outcome.claim.id + ": ", style);
  out += "\n";
  add_wrapped(out,
              "Grades of inputs: A measured on the claimed GPU, B on a sibling and capped, C published, D a prior or a "
              "fit. Where D inputs make more than a third of the variance no verdict is better than "
              "CONSISTENT_BUT_WIDE. One claim in "
              "full: chokepoint claims ID.",
              "", style);
  return out;
}

std::string claims_markdown(const std::vector<ClaimOutcome>& outcomes) {
  std::string out =
      "| claim | published | derived, 5 to 95 % | verdict | inputs | what matters most |\n| --- | ---: | ---: | --- | "
      "--- | --- |\n";
  for (const ClaimOutcome& outcome : outcomes) {
    const std::string inputs = inputs_text(outcome) + (seed_text(outcome).empty() ? "" : "; " + seed_text(outcome));
    if (outcome.rows.empty())
      out += fmt::format("| {} | {} | | {}: {} | {} | |\n", markdown_cell(outcome.claim.statement),
                         markdown_cell(outcome.claim.source.cite), to_string(outcome.verdict),
                         markdown_cell(outcome.reason), markdown_cell(inputs));
    for (const RowOutcome& row : outcome.rows)
      out += fmt::format("| {}{} | {} | {} | {} | {} | {} |\n", markdown_cell(outcome.claim.statement),
                         row.name.empty() ? "" : " (" + markdown_cell(row.name) + ")",
                         markdown_cell(published_text(outcome, row)), markdown_cell(derived_text(outcome, row)),
                         to_string(row.judgement.verdict), markdown_cell(inputs),
                         markdown_cell(with_instead_text(outcome)));
  }
  return out;
}

std::string claim_in_full(const ClaimOutcome& outcome, const Style& style) {
  const Claim& claim = outcome.claim;
  std::string out = painted(claim.id, Paint::strong, style) + fmt::format("  {}  ", claim.tier) +
                    painted(to_string(outcome.verdict), paint_of_verdict(outcome.verdict), style) + "\n";
  add_wrapped(out, claim.statement, "  ", style);
  add_wrapped(
      out,
      fmt::format("{}{} ({}, {})", claim.source.cite, claim.source.locator.empty() ? "" : ", " + claim.source.locator,
                  claim.source.url, claim.source.is_primary ? "primary" : "secondary"),
      "  source: ", style);
  if (!outcome.machine.empty()) add_wrapped(out, outcome.machine, "  machine: ", style);
  if (outcome.rows.empty()) add_wrapped(out, outcome.reason, "  ", style);
  out += "\n";
  add_full_rows(out, outcome, style);
  if (outcome.change_by_settings)
    add_wrapped(out, change_text(*outcome.change_by_settings) + " against the claim's own machine and numbers",
                "  as set: ", style);
  add_wrapped(out, unfitted_text(outcome), "  ", style);
  add_wrapped(out, outcome.residual, "  residual: ", style);
  add_tornado(out, outcome, style);
  add_inputs(out, outcome, style);
  add_consumption(out, outcome, style);
  add_what_if(out, outcome, style);
  out += "\n";
  for (const std::string& note : outcome.notes) add_wrapped(out, note, "  note: ", style);
  for (const std::string& caveat : claim.caveats) add_wrapped(out, caveat, "  caveat: ", style);
  add_wrapped(out, seed_text(outcome), "  ", style);
  return out;
}

std::string sweep_chart(const std::string& title, const std::string& unit, const std::vector<SweptValue>& points,
                        const Style& style) {
  double largest = 1e-9;
  for (const SweptValue& point : points) largest = std::max(largest, std::abs(point.change));
  const int room = std::clamp(style.width - 36, 10, 60);
  std::string out = title + "\n";
  for (const SweptValue& point : points) {
    const auto length = static_cast<int>(std::lround(std::abs(point.change) / largest * room));
    std::string bar;
    for (int i = 0; i < length; ++i) bar += style.unicode ? "█" : "#";
    out += fmt::format("  {:>12}  {:>9}  {}\n", with_unit(point.rate, unit), change_text(point.change),
                       painted(bar, point.change > 0 ? Paint::bad : Paint::good, style));
  }
  return out;
}

}  // namespace chokepoint
