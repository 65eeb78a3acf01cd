#include "harness/claims/outcome.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/quantity_unit.hpp"

namespace chokepoint {
namespace {

const Derivation* find_derivation_of(const Claim& claim) {
  return Registry<Derivation>::instance().find(claim.kind);
}

// The profile that the claim names, or that its kind of derivation stands for.
std::string hardware_of(const Claim& claim) {
  const Derivation* derivation = find_derivation_of(claim);
  if (!claim.hardware.empty() || !derivation || !derivation->default_hardware) return claim.hardware;
  return derivation->default_hardware(claim);
}

std::optional<Machine> machine_for(const Claim& claim, const ClaimOptions& options) {
  const std::string hardware = hardware_of(claim);
  if (hardware.empty()) return std::nullopt;
  std::vector<std::string> known;
  for (const Profile& profile : options.profiles) known.push_back(profile.id);
  if (std::find(known.begin(), known.end(), hardware) == known.end())
    claim.reject("hardware", fmt::format("is \"{}\", which is no profile", hardware), suggestion(hardware, known));
  const std::string& id = options.profile.empty() ? hardware : options.profile;
  return machine_of(find_profile(options.profiles, id), options.rates);
}

// The claim as `--set` changes it: a name in `let` has another value, an assumption is drawn no more.
Claim with_numbers(Claim claim, const std::map<std::string, double>& numbers) {
  for (auto& [name, value] : claim.let)
    if (const auto found = numbers.find(name); found != numbers.end()) value = found->second;
  return claim;
}

void replace_assumptions(Prepared& prepared, const Claim& claim, const std::map<std::string, double>& numbers) {
  for (Assumption& assumption : prepared.assumptions) {
    for (const Assumption& own : claim.assumptions)
      if (own.key == assumption.key) {
        const Assumption fallback = assumption;
        assumption = own;
        assumption.neutral = fallback.neutral;
        if (assumption.source.empty()) assumption.source = "the claim, " + claim.file->path;
      }
    if (const auto found = numbers.find(assumption.key); found != numbers.end())
      assumption = {assumption.key, found->second, found->second, found->second, "published", "set on the command line",
                    std::nullopt};
  }
}

void require_inputs(Prepared& prepared, const Claim& claim) {
  for (const std::string& glob : claim.inputs) {
    const bool is_there = std::any_of(prepared.inputs.begin(), prepared.inputs.end(),
                                      [&](const ClaimInput& input) { return glob_matches(glob, input.key); });
    if (!is_there) prepared.missing.push_back(fmt::format("an input that matches {}", glob));
  }
}

Prepared prepared_for(const Claim& claim, const ClaimOptions& options, const std::string& route) {
  Prepared prepared = find_derivation_of(claim)->prepare(
      {claim, machine_for(claim, options), options.configs, route, options.records.get()});
  replace_assumptions(prepared, claim, options.numbers);
  if (prepared.missing.empty()) require_inputs(prepared, claim);
  return prepared;
}

// Which of the derivation's numbers each number of the claim is.
std::vector<std::size_t> kernel_rows_of(const Claim& claim, const Prepared& prepared) {
  const std::size_t given = std::max<std::size_t>(1, prepared.rows.size());
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < claim.quantity.values.size(); ++i) rows.push_back(i);
  if (claim.quantity.rows.empty() || prepared.rows.empty()) {
    if (rows.size() != given)
      claim.reject("quantity/value",
                   fmt::format("has {} numbers, but {} gives {}{}", rows.size(), claim.kind, given,
                               prepared.rows.empty() ? "" : ": " + joined(prepared.rows, ", ")),
                   "say in rows which ones they are");
    return rows;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string& name = claim.quantity.rows[i];
    const auto found = std::find(prepared.rows.begin(), prepared.rows.end(), name);
    if (found == prepared.rows.end())
      claim.reject(fmt::format("quantity/rows/{}", i),
                   fmt::format("is \"{}\", which {} does not give", name, claim.kind), suggestion(name, prepared.rows));
    rows[i] = static_cast<std::size_t>(found - prepared.rows.begin());
  }
  return rows;
}

// What a number of the derivation is divided by to be in the claim's unit.
double scale_of_unit(const Claim& claim, const Prepared& prepared) {
  if (prepared.base_unit.empty()) return 1.0;
  const QuantityUnit unit = *quantity_unit(claim.quantity.unit);
  if (unit.base != prepared.base_unit)
    claim.reject("quantity/unit",
                 fmt::format("is {}, but {} of kind {} is in {}", claim.quantity.unit, claim.quantity.name, claim.kind,
                             prepared.base_unit),
                 "write a unit of that kind");
  return unit.scale;
}

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
  if (find_derivation_of(claim)->is_arithmetic)
    return judge_arithmetic(row.published, row.spread.point, row.tolerance);
  return judge({row.published, row.spread.p5, row.spread.p50, row.spread.p95, row.tolerance,
                claim.quantity.is_lower_better, row.bound, cap_of(prepared.assumptions, row.spread.shares)});
}

std::vector<RowOutcome> judged_rows(const Claim& claim, const Prepared& prepared, const DrawPlan& plan) {
  const std::vector<std::size_t> places = kernel_rows_of(claim, prepared);
  const double scale = scale_of_unit(claim, prepared);
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

double first_number(const Claim& claim, const Prepared& prepared, const Predict& predict, const DrawPlan& plan) {
  return predict_at_values(prepared, predict, plan)[kernel_rows_of(claim, prepared).front()];
}

// Rates worth asking about: half of it, and those of other machines of the same silicon, with their names.
std::map<double, std::string> other_rates(const Machine& machine, const ClaimOptions& options, Resource resource) {
  const double own = machine.nominal(resource);
  std::map<double, std::string> rates = {{own / 2.0, "half"}};
  for (const Profile& profile : options.profiles) {
    if (profile.architecture != machine.profile.architecture || resource == Resource::compute) continue;
    const std::optional<double> rate = machine_of(profile).rate[resource].nominal;
    if (!rate || std::abs(*rate / own - 1.0) < 0.02) continue;
    std::string& names = rates[*rate];
    names += (names.empty() ? "" : ", ") + profile.id;
  }
  return rates;
}

void add_machine_what_ifs(const Claim& claim, const ClaimOptions& options, const std::string& route,
                          const Prepared& prepared, double base, std::vector<WhatIf>& what_if) {
  const std::optional<Machine> machine = machine_for(claim, options);
  if (!machine) return;
  for (Resource resource : prepared.uses)
    for (const auto& [rate, names] : other_rates(*machine, options, resource)) {
      ClaimOptions changed = options;
      changed.rates[resource] = rate;
      const Prepared other = prepared_for(claim, changed, route);
      if (!other.missing.empty()) continue;
      what_if.push_back(
          {fmt::format("{} {} ({}) instead of {}", to_string(resource), rate_text(rate, resource), names,
                       rate_text(machine->nominal(resource), resource)),
           first_number(claim, other, other.predict, options.plan) / base - 1.0});
    }
}

std::vector<WhatIf> what_ifs(const Claim& claim, const ClaimOptions& options, const std::string& route,
                             const Prepared& prepared) {
  std::vector<WhatIf> what_if;
  const double base = first_number(claim, prepared, prepared.predict, options.plan);
  if (base == 0.0) return what_if;
  add_machine_what_ifs(claim, options, route, prepared, base, what_if);
  for (const Alternative& alternative : prepared.alternatives)
    what_if.push_back(
        {alternative.text, first_number(claim, prepared, alternative.predict, options.plan) / base - 1.0});
  return what_if;
}

bool changes_anything(const ClaimOptions& options) {
  return !options.profile.empty() || !options.rates.empty() || !options.numbers.empty();
}

// Against the claim's own machine, assumptions and `let`.
std::optional<double> change_by_settings(const Claim& original, const Claim& claim, const ClaimOptions& options,
                                         const std::string& route, const Prepared& prepared) {
  if (!changes_anything(options)) return std::nullopt;
  ClaimOptions own = options;
  own.profile.clear();
  own.rates.clear();
  own.numbers.clear();
  const Prepared before = prepared_for(original, own, route);
  if (!before.missing.empty()) return std::nullopt;
  const double base = first_number(original, before, before.predict, options.plan);
  if (base == 0.0) return std::nullopt;
  return first_number(claim, prepared, prepared.predict, options.plan) / base - 1.0;
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
  for (const std::string& route : find_derivation_of(outcome.claim)->routes) {
    if (route == outcome.route) continue;
    const Prepared prepared = prepared_for(outcome.claim, options, route);
    RouteOutcome other{route, {}, prepared.missing};
    if (prepared.missing.empty()) other.rows = judged_rows(outcome.claim, prepared, options.plan);
    outcome.other_routes.push_back(std::move(other));
  }
}

ClaimOutcome not_testable(ClaimOutcome outcome, std::vector<std::string> missing) {
  outcome.verdict = Verdict::not_testable;
  outcome.reason = "missing: " + joined(missing, "; ");
  outcome.missing = std::move(missing);
  return outcome;
}

std::string route_of(const Claim& claim) {
  return claim.model.text("route", find_derivation_of(claim)->routes.front());
}

}  // namespace

ClaimOutcome outcome_of(const Claim& original, const ClaimOptions& options) {
  ClaimOutcome outcome;
  outcome.claim = with_numbers(original, options.numbers);
  outcome.plan = options.plan;
  const Claim& claim = outcome.claim;
  if (const auto machine = machine_for(claim, options)) outcome.machine = machine->id;
  const Derivation* derivation = find_derivation_of(claim);
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
  outcome.residual = residual_text(outcome.rows.front(), prepared.assumptions);
  if (prepared.has_one_route)
    outcome.route.clear();
  else
    add_other_routes(outcome, options);
  return outcome;
}

std::vector<double> changes_along(const Claim& claim, const ClaimOptions& options, Resource resource,
                                  const std::vector<double>& rates) {
  std::vector<double> changes;
  if (!find_derivation_of(claim) || hardware_of(claim).empty()) return changes;
  const std::string route = route_of(claim);
  const Prepared own = prepared_for(claim, options, route);
  if (!own.missing.empty()) return changes;
  const double base = first_number(claim, own, own.predict, options.plan);
  for (double rate : rates) {
    ClaimOptions changed = options;
    changed.rates[resource] = rate;
    const Prepared prepared = prepared_for(claim, changed, route);
    changes.push_back(first_number(claim, prepared, prepared.predict, options.plan) / base - 1.0);
  }
  return changes;
}

std::optional<std::string> chrome_trace_of(const Claim& claim, const ClaimOptions& options) {
  if (!find_derivation_of(claim)) return std::nullopt;
  const Prepared prepared = prepared_for(with_numbers(claim, options.numbers), options, route_of(claim));
  if (!prepared.chrome_trace) return std::nullopt;
  std::vector<double> values;
  for (const Assumption& assumption : prepared.assumptions) values.push_back(assumption.value);
  return prepared.chrome_trace(Drawn(prepared.assumptions, values, options.plan.seed));
}

std::vector<std::string> settable_keys(const Claim& claim, const ClaimOptions& options) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : claim.let) keys.push_back(name);
  const Derivation* derivation = find_derivation_of(claim);
  if (!derivation) return keys;
  const Prepared prepared = prepared_for(claim, options, route_of(claim));
  for (Resource resource : prepared.uses) keys.emplace_back(to_string(resource));
  for (const Assumption& assumption : prepared.assumptions) keys.push_back(assumption.key);
  return keys;
}

}  // namespace chokepoint
