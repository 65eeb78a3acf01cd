// How far can a derived number be off, and because of what? Assumptions are drawn from what they may be; what comes out
// is an interval, the share that each assumption has in it, and what each does on its own.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/claims/derivation.hpp"

namespace chokepoint {

inline constexpr double kSigmasOf90Percent = 1.6448536269514722;  // normal quantile of 0.95

struct DrawPlan {
  std::uint64_t seed = 20241227;  // goes into the output
  std::int64_t draws = 2000;
};

// One assumption alone at its ends, all others at their values.
struct Swing {
  double at_lo = 0.0, at_hi = 0.0;
};

// One number of a claim. Everything is in the unit of the derivation; vectors have one entry per assumption.
struct DrawnSpread {
  double p5 = 0.0, p50 = 0.0, p95 = 0.0;
  double point = 0.0;     // every assumption at its value
  double unfitted = 0.0;  // assumptions that have a neutral value at it: nothing assumed that could have been fitted
  std::vector<double> shares;  // of the variance, 0 to 1: that of the mean given this assumption (first-order Sobol)
  std::vector<Swing> tornado;
  std::vector<double> effects;  // relative to `unfitted`: this assumption alone moved from neutral to its middle
};

// One DrawnSpread per row. Log-normal with lo and hi as 5th and 95th percentile; lo = hi is a constant. The same seed
// gives the same numbers on any machine and any number of threads. Throws Error{config} when a prediction is not
// finite.
std::vector<DrawnSpread> spread_of(const Prepared& prepared, const DrawPlan& plan);

// The prediction with every assumption at its value, or with one of them at another.
std::vector<double> predict_at_values(const Prepared& prepared, const Predict& predict, const DrawPlan& plan);
std::vector<double> predict_with(const Prepared& prepared, std::size_t assumption, double value, const DrawPlan& plan);

// The value of an assumption at a probability in (0, 1).
double quantile_of(const Assumption& assumption, double probability);

}  // namespace chokepoint
