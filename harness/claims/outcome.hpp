// What came of a claim? From its file and a machine to a verdict, with everything that a reader who doubts it wants to
// see: inputs and where they are from, assumptions and what they do, what would have changed it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/claims/claim_energy.hpp"
#include "harness/claims/claim_what_if.hpp"
#include "harness/claims/verdict.hpp"

namespace chokepoint {

// One number of a claim, in the claim's unit.
struct RowOutcome {
  std::string name;  // empty when the claim has one number without a name
  double published = 0.0, tolerance = 0.0;
  DrawnSpread spread;
  std::optional<double> bound;  // what kernels allow, where the claim holds a load
  Judgement judgement;
};

// An independent way to the same number, beside the one that was judged.
struct RouteOutcome {
  std::string route;
  std::vector<RowOutcome> rows;
  std::vector<std::string> missing;  // not empty: no rows
};

struct ClaimOutcome {
  Claim claim;
  Verdict verdict = Verdict::not_testable;
  std::string reason, machine, route;
  std::vector<std::string> missing;
  std::vector<RowOutcome> rows;
  std::vector<RouteOutcome> other_routes;
  std::vector<Assumption> assumptions;
  std::vector<ClaimInput> inputs;
  std::vector<WhatIf> what_if;
  std::optional<double> change_by_settings;  // first number against the claim's own machine and assumptions
  std::string residual;                      // where the distance between published and unfitted may come from
  std::vector<std::string> notes;
  std::optional<Consumption> consumption;  // of the GPU-hours behind a claim about training
  std::string consumption_gap;             // why there is none although there are hours
  DrawPlan plan;
  bool is_arithmetic = false;
};

// Throws Error{config} for a claim that cannot be meant (an unknown profile, rows that do not fit); what is merely
// missing gives NOT_TESTABLE.
ClaimOutcome outcome_of(const Claim& claim, const ClaimOptions& options);

// What was simulated for this claim, every assumption at its value, for chrome://tracing; absent where nothing was.
std::optional<std::string> chrome_trace_of(const Claim& claim, const ClaimOptions& options);

// What `--set KEY=VALUE` may name for this claim: resources, its assumptions, names in `let`, and where GPU-hours stand
// behind it what they take and cost.
std::vector<std::string> settable_keys(const Claim& claim, const ClaimOptions& options);

}  // namespace chokepoint
