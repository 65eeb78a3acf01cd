// How much do runs of one case differ when it was run a few times only? Cases lend each other strength: the variance of
// a case is drawn towards what cases have on average, the more the less they differ among themselves.
#pragma once

#include <span>

namespace chokepoint {

// A variance and the degrees of freedom it was estimated with; 0 of them: unknown.
struct Variance {
  double value = 0.0, df = 0.0;
};

// The scaled inverse chi-squared prior that fits variances of many cases (Smyth 2004, section 6.2: moments of the
// logarithms). Its degrees of freedom are at most the number of cases less one, however alike they look: that many
// values cannot show more. Below kLeastCasesForPrior cases there is none.
Variance fit_prior(std::span<const Variance> cases);

inline constexpr int kLeastCasesForPrior = 5;

// The posterior mean (Smyth 2004, eq. 2): both weighted by their degrees of freedom, which add up.
Variance moderated(const Variance& prior, const Variance& own);

}  // namespace chokepoint
