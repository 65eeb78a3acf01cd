// Is one case fit to be compared, and what does it say so far?
#pragma once

#include <optional>
#include <vector>

#include "harness/track/compare.hpp"
#include "harness/track/sides.hpp"
#include "harness/track/spread.hpp"

namespace chokepoint {

// A case on its way to a verdict.
struct Candidate {
  MatchedCase matched;
  std::vector<Mismatch> mismatches;
  SideTimes base, now;
  bool is_comparable = false;
  double log_ratio = 0.0, sample_variance = 0.0;
  TwoPartNoise spread;                  // of log_ratio
  std::optional<TwoPartNoise> one_run;  // where it is known
};

bool is_allowed(const Mismatch& mismatch, const CompareOptions& options);

// Fills what the candidate's records say and the beginning of its result: times, or why there is nothing to compare.
CaseComparison examine(Candidate& candidate, const CompareOptions& options);

}  // namespace chokepoint
