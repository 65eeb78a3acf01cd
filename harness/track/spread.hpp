// How sure is a difference whose noise has two parts, each known from few runs only?
//
// What whole runs have in common (a clock, a temperature, a layout of memory) moves all of their cases together and is
// known from as many values as there are runs; what each case adds is known better, since cases lend each other
// strength. The half width at a tail of alpha is sqrt(t_common^2 v_common + t_own^2 v_own), each t with its own degrees
// of freedom (Graybill and Wang 1980 for sums of variances): where one part is zero this is the usual interval, and a
// part that came out small by chance keeps its large t, which a single averaged number of degrees of freedom would
// forget.
#pragma once

#include <limits>
#include <vector>

namespace chokepoint {

inline constexpr double kManyDegrees = std::numeric_limits<double>::infinity();

struct TwoPartNoise {
  double common_variance = 0.0, common_df = kManyDegrees;
  double own_variance = 0.0, own_df = kManyDegrees;
};

// Half the width of the two-sided interval with this confidence.
double half_width(const TwoPartNoise& spread, double confidence);

// The tails alpha at which the half width is the difference, for many differences; 0.5 for 0, above it below 0.
class Tails {
 public:
  double tail(double difference, const TwoPartNoise& spread);

 private:
  const std::vector<double>& quantiles_for(double df);
  double common_quantile(double log2_tail, double df);

  std::vector<std::pair<double, std::vector<double>>> tables_;  // by degrees of freedom
};

}  // namespace chokepoint
