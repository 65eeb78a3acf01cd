#include "harness/claims/outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

DrawnSpread scaled(DrawnSpread spread, double scale) {
  for (double* value : {&spread.p5, &spread.p50, &spread.p95, &spread.point, &spread.unfitted}) *value /= scale;
  for (Swing& swing : spread.tornado) swing = {swing.at_lo / scale, swing.at_hi / scale};
  return spread;
}

std::optional<std::size_t> load_factor_of(const Prepared& prepared) {
  for (std::size_t i = 0; i < prepared.assumptions.size(); ++i)
    if (!prepared.load_factor.empty() && prepared.assumptions[i].key == prepared.load_factor) return i;
  return std::nullopt;
}

Judgement judged(const Claim& claim, const Prepared& prepared, const RowOutcome& row) {
  if (derivation_of(claim)->is_arithmetic) return judge_arithmetic(row.published, row.spread.point, row.tolerance);
  return judge({row.published, row.spread.p5, row.spread.p50, row.spread.p95, row.tolerance,
                claim.quantity.is_lower_better, row.bound, cap_of(prepared.assumptions, row.spread.shares)});
}

std::vector<RowOutcome> judged_rows(const Claim& claim, const Prepared& prepared, const DrawPlan& plan) {
  const std::vector<std::size_t> places = rows_of(claim, prepared);
  const double scale = scale_of(claim, prepared);
  const std::vector<DrawnSpread> spreads = spread_of(prepared, plan);
  std::vector<double> bounds;
  if (const auto load = load_factor_of(prepared)) bounds = predict_with(prepared, *load, 1.0, plan);
  std::vector<RowOutcome> rows;
  for (std::size_t i = 0; i < places.size(); ++i) {
    RowOutcome row;
    row.name = claim.quantity.rows.empty() && places[i] < prepared.rows.size() && places.size() > 1
                   ? prepared.rows[places[i]]
                   : claim.row_name(i);
    row.published = claim.quantity.values[i];
    row.tolerance = claim.tolerance_of(i);
    row.spread = scaled(spreads[places[i]], scale);
    if (!bounds.empty()) row.bound = bounds[places[i]] / scale;
    row.judgement = judged(claim, prepared, row);
    rows.push_back(std::move(row));
  }
  return rows;
}

// "unfitted 169100; published +6.2 % above it, of which expert_imbalance +3.0 %, jitter_rel +1.6 %; +1.4 % is left"
std::string residual_text(const RowOutcome& row, const std::vector<Assumption>& assumptions) {
  if (!(row.spread.unfitted > 0.0)) return "";
  const double whole = row.published / row.spread.unfitted - 1.0;
  double left = whole;
  std::string parts;
  for (std::size_t i = 0; i < assumptions.size(); ++i) {
    if (!assumptions[i].neutral || std::abs(row.spread.effects[i]) < 5e-4) continue;
    left -= row.spread.effects[i];
    parts +=
        fmt::format("{}{} {:+.1f} %", parts.empty() ? "" : ", ", assumptions[i].key, 100.0 * row.spread.effects[i]);
  }
  if (parts.empty()) return "";
  return fmt::format(
      "published is {:+.1f} % from the unfitted point; each alone at its middle gives {}; {:+.1f} % is left",
      100.0 * whole, parts, 100.0 * left);
}

void add_verdict(ClaimOutcome& outcome) {
  std::vector<Verdict> verdicts;
  for (const RowOutcome& row : outcome.rows) verdicts.push_back(row.judgement.verdict);
  outcome.verdict = worst(verdicts);
  for (const RowOutcome& row : outcome.rows)
    if (row.judgement.verdict == outcome.verdict) {
      outcome.reason = (row.name.empty() ? "" : row.name + ": ") + row.judgement.reason;
      break;
    }
}

void add_other_routes(ClaimOutcome& outcome, const ClaimOptions& options) {
  for (const std::string& route : derivation_of(outcome.claim)->routes) {
    if (route == outcome.route) continue;
    const Prepared prepared = prepared_for(outcome.claim, options, route);
    RouteOutcome other{route, {}, prepared.missing};
    if (prepared.missing.empty()) other.rows = judged_rows(outcome.claim, prepared, options.plan);
    outcome.other_routes.push_back(std::move(other));
  }
}

bool changes_power(const ClaimOptions& options) {
  return std::any_of(energy_keys().begin(), energy_keys().end(),
                     [&](const std::string& key) { return options.numbers.contains(key); });
}

// Hours as they are drawn, at the power of the machine.
void add_consumption(ClaimOutcome& outcome, const Prepared& prepared, const ClaimOptions& options) {
  if (!prepared.gpu_seconds) return;
  Prepared hours = prepared;
  hours.predict = prepared.gpu_seconds;
  hours.rows.clear();  // it is one number, whatever the claim states
  const DrawnSpread gpu_s = spread_of(hours, options.plan).front();
  const Estimate gpu_hours{gpu_s.p50 / kSecondsPerHour, gpu_s.p5 / kSecondsPerHour, gpu_s.p95 / kSecondsPerHour, "",
                           true};
  try {
    outcome.consumption =
        consumption_of(gpu_hours, prepared.gpu_seconds_of,
                       energy_figures(machine_for(outcome.claim, options)->profile, options.configs, kUsualFacility,
                                      options.numbers));
  } catch (const Error& error) {
    if (changes_power(options)) throw;
    outcome.consumption_gap = error.message();
  }
}

ClaimOutcome not_testable(ClaimOutcome outcome, std::vector<std::string> missing) {
  outcome.verdict = Verdict::not_testable;
  outcome.reason = "missing: " + joined(missing, "; ");
  outcome.missing = std::move(missing);
  return outcome;
}

ClaimOutcome derived_outcome(const Claim& original, const ClaimOptions& options) {
  ClaimOutcome outcome;
  outcome.claim = with_numbers(original, options.numbers);
  outcome.plan = options.plan;
  const Claim& claim = outcome.claim;
  if (const auto machine = machine_for(claim, options)) outcome.machine = machine->id;
  const Derivation* derivation = derivation_of(claim);
  if (!derivation)
    return not_testable(std::move(outcome), {fmt::format("a derivation of kind {} in this program", claim.kind)});
  outcome.route = route_of(claim);
  outcome.is_arithmetic = derivation->is_arithmetic;
  const Prepared prepared = prepared_for(claim, options, outcome.route);
  outcome.inputs = prepared.inputs;
  outcome.notes = prepared.notes;
  if (claim.hardware.empty() && !outcome.machine.empty())
    outcome.notes.push_back("the claim names no machine; " + hardware_of(claim) + " is what its kind stands for");
  outcome.assumptions = prepared.assumptions;
  if (!prepared.missing.empty()) return not_testable(std::move(outcome), prepared.missing);
  outcome.rows = judged_rows(claim, prepared, options.plan);
  add_verdict(outcome);
  outcome.what_if = what_ifs(claim, options, outcome.route, prepared);
  outcome.change_by_settings = change_by_settings(original, claim, options, outcome.route, prepared);
  add_consumption(outcome, prepared, options);
  outcome.residual = residual_text(outcome.rows.front(), prepared.assumptions);
  if (prepared.has_one_route)
    outcome.route.clear();
  else
    add_other_routes(outcome, options);
  return outcome;
}

}  // namespace

ClaimOutcome outcome_of(const Claim& claim, const ClaimOptions& options) {
  try {
    return derived_outcome(claim, options);
  } catch (const Error& error) {
    rethrow_with_place(claim, error);
  }
}

std::optional<std::string> chrome_trace_of(const Claim& claim, const ClaimOptions& options) {
  if (!derivation_of(claim)) return std::nullopt;
  const Prepared prepared = prepared_for(with_numbers(claim, options.numbers), options, route_of(claim));
  if (!prepared.chrome_trace) return std::nullopt;
  std::vector<double> values;
  for (const Assumption& assumption : prepared.assumptions) values.push_back(assumption.value);
  return prepared.chrome_trace(Drawn(prepared.assumptions, values, options.plan.seed));
}

std::vector<std::string> settable_keys(const Claim& claim, const ClaimOptions& options) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : claim.let) keys.push_back(name);
  const Derivation* derivation = derivation_of(claim);
  if (!derivation) return keys;
  const Prepared prepared = prepared_for(claim, options, route_of(claim));
  for (Resource resource : prepared.uses) keys.emplace_back(to_string(resource));
  for (const Assumption& assumption : prepared.assumptions) keys.push_back(assumption.key);
  if (prepared.gpu_seconds) keys.insert(keys.end(), energy_keys().begin(), energy_keys().end());
  return keys;
}

}  // namespace chokepoint
