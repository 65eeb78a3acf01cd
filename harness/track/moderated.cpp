#include "harness/track/moderated.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace chokepoint {
namespace {

constexpr double kLeastModeratedVariance = 1e-12;  // of logarithms: a millionth, below what timers resolve

// psi and psi' of x > 0: recurrence up to 10, then the asymptotic series (NIST DLMF 5.5.2, 5.11.2, 5.15.5, 5.15.8).
double digamma(double x) {
  double shift = 0.0;
  for (; x < 10; ++x) shift -= 1 / x;
  const double square = 1 / (x * x);
  return shift + std::log(x) - 0.5 / x - square * (1.0 / 12 - square * (1.0 / 120 - square / 252));
}

double trigamma(double x) {
  double shift = 0.0;
  for (; x < 10; ++x) shift += 1 / (x * x);
  const double inverse = 1 / x, square = inverse * inverse;
  return shift + inverse + square / 2 + square * inverse * (1.0 / 6 - square * (1.0 / 30 - square / 42));
}

// The x > 0 whose trigamma is `value`, by bisection of its logarithm: trigamma falls.
double trigamma_inverse(double value) {
  double low = 1e-6, high = 1e9;
  while (high / low > 1 + 1e-10) {
    const double middle = std::sqrt(low * high);
    (trigamma(middle) > value ? low : high) = middle;
  }
  return std::sqrt(low * high);
}

// log s^2 freed of the bias that its degrees of freedom give it.
double unbiased_log(const Variance& one) {
  return std::log(std::max(one.value, kLeastModeratedVariance)) - digamma(one.df / 2) + std::log(one.df / 2);
}

}  // namespace

Variance fit_prior(std::span<const Variance> cases) {
  std::vector<double> logs;
  double noise = 0.0;  // of the logarithms, from their degrees of freedom alone
  for (const Variance& one : cases)
    if (one.df > 0.0) {
      logs.push_back(unbiased_log(one));
      noise += trigamma(one.df / 2);
    }
  if (logs.size() < static_cast<std::size_t>(kLeastCasesForPrior)) return {};
  const double n = static_cast<double>(logs.size()), most_df = n - 1;
  double centre = 0.0, spread = 0.0;
  for (const double value : logs) centre += value / n;
  for (const double value : logs) spread += (value - centre) * (value - centre) / (n - 1);
  const double excess = spread - noise / n;
  const double df = excess > 0.0 ? std::min(most_df, 2 * trigamma_inverse(excess)) : most_df;
  if (!(excess > 0.0)) return {std::exp(centre), df};
  return {std::exp(centre + digamma(df / 2) - std::log(df / 2)), df};
}

Variance moderated(const Variance& prior, const Variance& own) {
  const double df = prior.df + own.df;
  if (df <= 0.0) return {};
  return {(prior.df * prior.value + own.df * own.value) / df, df};
}

}  // namespace chokepoint
