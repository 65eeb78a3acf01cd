#include "harness/model/distributions.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// Regularised incomplete beta function I_x(a, b) by its continued fraction (NIST DLMF 8.17.22), for x below
// the mean (a + 1)/(a + b + 2), where it converges in some sqrt(max(a, b)) steps. `rest` is 1 - x.
double beta_fraction(double x, double rest, double a, double b) {
  const double tiny = std::numeric_limits<double>::min();
  const double front =
      std::exp(a * std::log(x) + b * std::log(rest) + std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b)) /
      a;
  double value = 1.0, numerator = 1.0, denominator = 0.0;  // modified Lentz: ratios of successive convergents
  for (int step = 1; step <= 10000; ++step) {
    const double m = step / 2;
    const double term = step % 2 == 0 ? m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
                                      : -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    denominator = 1.0 + term * denominator;
    if (std::abs(denominator) < tiny) denominator = tiny;
    denominator = 1.0 / denominator;
    numerator = 1.0 + term / numerator;
    if (std::abs(numerator) < tiny) numerator = tiny;
    value *= numerator * denominator;
    if (std::abs(numerator * denominator - 1.0) < 1e-15) break;
  }
  return front / value;
}

// P(T > t) for t >= 0: half of I_x(df/2, 1/2) at x = df/(df + t^2).
double student_t_tail(double t, double df) {
  const double square = t * t / df;
  const double x = 1.0 / (1.0 + square), rest = 1.0 / (1.0 + 1.0 / square);
  if (!(x > 0.0)) return 0.0;
  if (!(rest > 0.0)) return 0.5;
  const double a = df / 2, b = 0.5;
  return 0.5 *
         (x < (a + 1) / (a + b + 2) ? beta_fraction(x, rest, a, b) : 1.0 - beta_fraction(rest, x, b, a));
}

// The t >= 0 whose upper tail is `tail`, for a decreasing function. Bisection: slow (some 60 evaluations),
// sure.
template <class Tail>
double upper_quantile(const Tail& tail_of, double tail) {
  double low = 0.0, high = 1.0;
  while (tail_of(high) > tail && high < 1e150) low = high, high *= 2;
  while (high - low > 1e-13 * high) {
    const double middle = (low + high) / 2;
    (tail_of(middle) > tail ? low : high) = middle;
  }
  return (low + high) / 2;
}

void require_probability(double probability) {
  if (!(probability > 0.0 && probability < 1.0))
    throw Error(Fault::config, fmt::format("probability {} is not between 0 and 1", probability),
                "give a confidence above 0 and below 1, 0.95 for 95 %");
}

void require_degrees(double df) {
  if (!(df > 0.0))
    throw Error(Fault::config, fmt::format("{} degrees of freedom are not above 0", df),
                "estimate from more samples");
}

// Cornish-Fisher expansion of t about the normal quantile (Abramowitz and Stegun 26.7.5), to 1/df^2.
double expanded_quantile(double z, double df) {
  const double z2 = z * z;
  return z * (1.0 + (z2 + 1) / (4 * df) + ((5 * z2 + 16) * z2 + 3) / (96 * df * df));
}

}  // namespace

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double normal_quantile(double probability) {
  require_probability(probability);
  if (probability == 0.5) return 0.0;
  if (probability < 0.5) return -upper_quantile([](double x) { return normal_cdf(-x); }, probability);
  return upper_quantile([](double x) { return normal_cdf(-x); }, 1.0 - probability);
}

double student_t_cdf(double t, double degrees_of_freedom) {
  require_degrees(degrees_of_freedom);
  if (std::isinf(degrees_of_freedom)) return normal_cdf(t);
  return t < 0.0 ? student_t_tail(-t, degrees_of_freedom) : 1.0 - student_t_tail(t, degrees_of_freedom);
}

double student_t_quantile(double probability, double degrees_of_freedom) {
  require_probability(probability);
  const double df = degrees_of_freedom;
  require_degrees(df);
  if (probability == 0.5) return 0.0;
  if (std::isinf(df)) return normal_quantile(probability);
  if (df > 1e5) return expanded_quantile(normal_quantile(probability), df);
  const auto tail = [df](double t) { return student_t_tail(t, df); };
  return probability < 0.5 ? -upper_quantile(tail, probability) : upper_quantile(tail, 1.0 - probability);
}

}  // namespace chokepoint
