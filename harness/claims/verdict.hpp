// Does a published number follow from what is known? One word per number, by a rule that is the same for all.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/claims/derivation.hpp"

namespace chokepoint {

enum class Verdict {
  reproduced,           // inside the interval, close to its middle, and the interval is narrow
  consistent_but_wide,  // inside the interval, and no more can be said
  optimistic,           // outside on the side the claimant would like
  pessimistic,          // outside on the other side
  bounded,              // holds a load that no kernel can tell, and stays below what kernels allow
  not_testable,         // something it would be derived from is missing
  arith_ok,             // follows from its own numbers
  arith_fail,           // does not
};
std::string_view to_string(Verdict verdict);  // "REPRODUCED"

bool is_failure(Verdict verdict);       // optimistic, pessimistic, arith_fail
bool is_inconclusive(Verdict verdict);  // consistent_but_wide, bounded, not_testable

// A number as published, and what the derivation says it is.
struct Evidence {
  double published = 0.0;
  double lo = 0.0, mid = 0.0, hi = 0.0;  // 5th, 50th and 95th percentile
  double tolerance = 0.0;                // relative
  bool is_lower_better = false;
  std::optional<double> bound;  // what kernels allow where the claim holds a load
  std::string cap;              // why the verdict may not be REPRODUCED; empty when it may
};

struct Judgement {
  Verdict verdict = Verdict::not_testable;
  std::optional<double> deviation;  // published / mid - 1; absent when what was derived is not above 0
  std::optional<double> sigma;      // standard deviations (of logarithms) from the middle; absent without width
  std::string reason;
};

Judgement judge(const Evidence& evidence);
Judgement judge_arithmetic(double published, double derived, double tolerance);

// A claim is worth what its worst number is worth: failures first, then what could not be tested.
Verdict worst(std::span<const Verdict> verdicts);

// Why the evidence allows no more than CONSISTENT_BUT_WIDE: assumptions of grade D with more than a third of the
// variance, together, because a guess must not get better by being split into two. Empty when nothing is in the way.
// `shares` has one entry per assumption.
std::string cap_of(const std::vector<Assumption>& assumptions, std::span<const double> shares);

}  // namespace chokepoint
