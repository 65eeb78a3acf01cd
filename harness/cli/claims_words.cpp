#include "harness/cli/claims_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/strings.hpp"
#include "harness/claims/money.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kShownSources = 3;  // per grade; the rest is counted

std::string interval_text(const RowOutcome& row, bool has_interval) {
  const DrawnSpread& spread = row.spread;
  if (!has_interval) return figure_text(spread.point);
  return fmt::format("{} [{}, {}]", figure_text(spread.p50), figure_text(spread.p5), figure_text(spread.p95));
}

void add_once(std::vector<std::string>& list, const std::string& text) {
  if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

std::string shortened_list(const std::vector<std::string>& list) {
  std::string text;
  for (std::size_t i = 0; i < std::min(list.size(), kShownSources); ++i) text += (i == 0 ? "" : "; ") + list[i];
  if (list.size() > kShownSources) text += fmt::format("; and {} more", list.size() - kShownSources);
  return text;
}

// "212 MWh [170, 297]"
std::string energy_text(const Estimate& kwh) {
  const bool is_large = kwh.mid >= 1e6;
  const double scale = is_large ? 1e6 : 1e3;
  const std::string range =
      kwh.is_exact() ? "" : fmt::format(" [{:.3g}, {:.3g}]", kwh.low / scale, kwh.high / scale);
  return fmt::format("{:.3g} {}{}", kwh.mid / scale, is_large ? "GWh" : "MWh", range);
}

bool has_neutral(const ClaimOutcome& outcome) {
  return std::any_of(outcome.assumptions.begin(), outcome.assumptions.end(),
                     [](const Assumption& assumption) { return assumption.neutral.has_value(); });
}

}  // namespace

std::string figure_text(double value) {
  constexpr std::pair<double, char> scales[] = {{1e12, 'T'}, {1e9, 'G'}, {1e6, 'M'}, {1e3, 'k'}};
  if (std::abs(value) >= 1e4)
    for (const auto& [scale, letter] : scales)
      if (std::abs(value) >= scale) return fmt::format("{:#.4g}{}", value / scale, letter);
  return fmt::format("{:.4g}", value);
}

std::string change_text(double change) {
  const std::string text = fmt::format("{:+.1f} %", 100.0 * change);
  return text == "-0.0 %" || text == "+0.0 %" ? "0.0 %" : text;
}

std::string derived_text(const ClaimOutcome& outcome, const RowOutcome& row) {
  return interval_text(row, !outcome.is_arithmetic);
}

std::string published_text(const ClaimOutcome& outcome, const RowOutcome& row) {
  return fmt::format("{} {}", figure_text(row.published), outcome.claim.quantity.unit);
}

std::string inputs_text(const ClaimOutcome& outcome) {
  std::string text;
  for (const Grade grade : {Grade::a, Grade::b, Grade::c, Grade::d}) {
    std::vector<std::string> names;
    for (const ClaimInput& input : outcome.inputs)
      if (input.grade == grade) add_once(names, input.source);
    for (const Assumption& assumption : outcome.assumptions)
      if (grade_of_basis(assumption.basis) == grade)
        add_once(names, fmt::format("{} {:.4g} to {:.4g} ({})", assumption.key, assumption.lo, assumption.hi,
                                    assumption.basis));
    if (names.empty()) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : ". ", to_string(grade), shortened_list(names));
  }
  return text;
}

std::string worst_grade(const ClaimOutcome& outcome) {
  if (outcome.is_arithmetic || outcome.rows.empty()) return "";
  Grade worst = Grade::a;
  for (const ClaimInput& input : outcome.inputs) worst = std::max(worst, input.grade);
  for (const Assumption& assumption : outcome.assumptions) worst = std::max(worst, grade_of_basis(assumption.basis));
  return std::string(to_string(worst));
}

std::string with_instead_text(const ClaimOutcome& outcome) {
  if (outcome.what_if.empty()) return "";
  const auto largest =
      std::max_element(outcome.what_if.begin(), outcome.what_if.end(),
                       [](const WhatIf& a, const WhatIf& b) { return std::abs(a.change) < std::abs(b.change); });
  return fmt::format("with {}: {}", largest->text, change_text(largest->change));
}

std::string seed_text(const ClaimOutcome& outcome) {
  if (outcome.is_arithmetic || outcome.rows.empty()) return "";
  return fmt::format("seed {}, {} draws", outcome.plan.seed, outcome.plan.draws);
}

std::string consumption_text(const ClaimOutcome& outcome) {
  if (!outcome.consumption_gap.empty()) return "no energy: " + outcome.consumption_gap;
  if (!outcome.consumption) return "";
  const Consumption& all = *outcome.consumption;
  const std::string energy =
      fmt::format("{}: {} GPU-hours, {} with the building's overhead, {} without; electricity {}", all.of,
                  figure_text(all.gpu_hours.mid), energy_text(all.facility_kwh), energy_text(exactly(all.it_kwh.mid)),
                  usd_text(all.electricity_usd));
  if (!all.rent_usd) return fmt::format("{}; {}", energy, all.rent_gap);
  return fmt::format("{}, {:.2g} % of the rent of {}", energy, 100.0 * *all.electricity_share, usd_text(*all.rent_usd));
}

std::string unfitted_text(const ClaimOutcome& outcome) {
  if (outcome.rows.empty() || outcome.is_arithmetic) return "";
  std::string text;
  if (has_neutral(outcome)) text = fmt::format("unfitted point {}", figure_text(outcome.rows.front().spread.unfitted));
  if (!outcome.route.empty() && !text.empty()) text += fmt::format(" (from {})", outcome.route);
  for (const RouteOutcome& route : outcome.other_routes) {
    if (!text.empty()) text += "; ";
    if (route.rows.empty()) {
      text += fmt::format("from {}: missing {}", route.route, joined(route.missing, ", "));
      continue;
    }
    const RowOutcome& row = route.rows.front();
    text += fmt::format("from {}: {}, unfitted {}", route.route, interval_text(row, true),
                        figure_text(row.spread.unfitted));
  }
  return text;
}

}  // namespace chokepoint
