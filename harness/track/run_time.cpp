#include "harness/track/run_time.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/model/dependence.hpp"
#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

constexpr double kNearlyNormal = 200;                    // degrees of freedom from which a t is taken for a normal
constexpr double kFarthest = 8;                          // deviations of the beta beyond which no draw's median lands
constexpr double kRecordedQuantile = 1.959963984540054;  // recorded intervals have 95 %

// P(median of `ess` draws <= the value at `share` of the sorted samples): a beta with both parameters (ess + 1)/2,
// whose deviation is 0.5/sqrt(ess + 2), written as a t with ess + 1 degrees of freedom.
double median_is_below(double share, double ess) {
  const double reach = kFarthest * 0.5 / std::sqrt(ess + 2);
  if (share <= std::max(0.0, 0.5 - reach)) return 0.0;
  if (share >= std::min(1.0, 0.5 + reach)) return 1.0;
  const double df = ess + 1, t = std::sqrt(df) * (share - 0.5) / std::sqrt(share * (1 - share));
  return student_t_cdf(t, df > kNearlyNormal ? std::numeric_limits<double>::infinity() : df);
}

bool has_usable_samples(const std::vector<double>& samples) {
  return !samples.empty() && std::all_of(samples.begin(), samples.end(), [](double s) { return s > 0.0; });
}

std::optional<double> recorded_variance(const TimeSummary& time) {
  if (!time.ci_low || !time.ci_high || !(*time.ci_low > 0.0) || !(*time.ci_high >= *time.ci_low)) return std::nullopt;
  const double deviation = std::log(*time.ci_high / *time.ci_low) / (2 * kRecordedQuantile);
  return deviation * deviation;
}

}  // namespace

double bootstrap_variance_of_log_median(std::span<const double> samples, double ess) {
  std::vector<double> logs(samples.begin(), samples.end());
  std::sort(logs.begin(), logs.end());
  const double n = static_cast<double>(logs.size()), centre = std::log(logs[logs.size() / 2]);
  double first = 0.0, second = 0.0, below = 0.0;
  for (std::size_t i = 0; i < logs.size() && below < 1.0; ++i) {
    const double next = median_is_below(static_cast<double>(i + 1) / n, ess);
    if (next > below) {
      const double value = std::log(logs[i]) - centre;
      first += (next - below) * value;
      second += (next - below) * value * value;
    }
    below = next;
  }
  return std::max(0.0, second - first * first);
}

std::optional<RunTime> run_time_of(const Record& record) {
  if (record.status != Status::ok) return std::nullopt;
  const std::vector<double>& samples = record.time.samples;
  if (has_usable_samples(samples)) {
    const double variance = bootstrap_variance_of_log_median(samples, effective_sample_size(samples));
    const bool has_scatter = samples.size() > 1;
    return RunTime{std::log(*median(samples) / record.dilation), has_scatter ? std::optional(variance) : std::nullopt,
                   true};
  }
  return samples.empty() ? recorded_run_time_of(record) : std::nullopt;
}

std::optional<RunTime> recorded_run_time_of(const Record& record) {
  if (record.status != Status::ok || !record.time.median || !(*record.time.median > 0.0)) return std::nullopt;
  return RunTime{std::log(*record.time.median / record.dilation), recorded_variance(record.time), false};
}

}  // namespace chokepoint
