#include "harness/track/spread.hpp"

#include <algorithm>
#include <cmath>

#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

constexpr double kStep = 0.25, kSmallestLog2Tail = -100.0;  // of the tables, in log2 of the tail

double joined_width(double common_t, double own_t, const TwoPartNoise& spread) {
  return std::sqrt(common_t * common_t * spread.common_variance + own_t * own_t * spread.own_variance);
}

double upper_tail(double t, double df) { return student_t_cdf(-t, df); }

}  // namespace

double half_width(const TwoPartNoise& spread, double confidence) {
  const double below = 0.5 + confidence / 2;
  const double common = spread.common_variance > 0.0 ? student_t_quantile(below, spread.common_df) : 0.0;
  const double own = spread.own_variance > 0.0 ? student_t_quantile(below, spread.own_df) : 0.0;
  return joined_width(common, own, spread);
}

const std::vector<double>& Tails::quantiles_for(double df) {
  for (const auto& [known, table] : tables_)
    if (known == df) return table;
  std::vector<double> table;
  for (double log2_tail = -1.0; log2_tail >= kSmallestLog2Tail; log2_tail -= kStep)
    table.push_back(-student_t_quantile(std::exp2(log2_tail), df));
  return tables_.emplace_back(df, std::move(table)).second;
}

double Tails::common_quantile(double log2_tail, double df) {
  const std::vector<double>& table = quantiles_for(df);
  const double position = std::max(0.0, (-1.0 - log2_tail) / kStep);
  const std::size_t below = std::min(static_cast<std::size_t>(position), table.size() - 2);
  return std::lerp(table[below], table[below + 1], std::min(1.0, position - static_cast<double>(below)));
}

double Tails::tail(double difference, const TwoPartNoise& spread) {
  if (difference < 0.0) return 1.0 - tail(-difference, spread);
  if (!(spread.common_variance > 0.0))
    return spread.own_variance > 0.0 ? upper_tail(difference / std::sqrt(spread.own_variance), spread.own_df) : 0.5;
  if (!(spread.own_variance > 0.0)) return upper_tail(difference / std::sqrt(spread.common_variance), spread.common_df);
  // The own part's t, by bisection: the width grows with it.
  double low = 0.0, high = difference / std::sqrt(spread.own_variance);
  while (high - low > 1e-9 * (1.0 + high)) {
    const double own = (low + high) / 2;
    const double log2_tail = std::log2(std::max(upper_tail(own, spread.own_df), std::exp2(kSmallestLog2Tail)));
    (joined_width(common_quantile(log2_tail, spread.common_df), own, spread) < difference ? low : high) = own;
  }
  return upper_tail((low + high) / 2, spread.own_df);
}

}  // namespace chokepoint
