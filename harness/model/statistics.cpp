#include "harness/model/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

// [smallest, largest] of 6 samples is the first to hold the median with 95 %: 1 - 2^-5 = 0.969.
constexpr std::size_t kLeastSamples = 6;

void require_some(std::span<const double> samples) {
  require_finite(samples);
  if (samples.empty())
    throw Error(Fault::config, "there are 0 samples and an estimate needs 1", "raise the budget of the run");
}

void require_confidence(double confidence) {
  if (!(confidence > 0.0 && confidence < 1.0))
    throw Error(Fault::config, fmt::format("confidence {} is not between 0 and 1", confidence),
                "give 0.95 for 95 %");
}

// [smallest, largest] of `ess` independent samples misses the median with probability 2 * 2^-ess.
bool enough_for_median(double ess, double confidence) { return std::exp2(1.0 - ess) <= 1.0 - confidence; }

Interval median_interval(std::span<const double> samples, double ess, double confidence) {
  const double n = static_cast<double>(samples.size());
  const double reach = student_t_quantile(0.5 + confidence / 2, ess - 1) * 0.5 / std::sqrt(ess);
  const double low = std::max(1.0, std::floor(n * (0.5 - reach)));  // ranks, from 1
  const double high = std::min(n, std::ceil(n * (0.5 + reach)) + 1);
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return {sorted[static_cast<std::size_t>(low) - 1], sorted[static_cast<std::size_t>(high) - 1]};
}

}  // namespace

MedianEstimate estimate_median(std::span<const double> samples, double confidence) {
  require_some(samples);
  require_confidence(confidence);
  MedianEstimate estimate{
      .median = *median(samples), .ess = effective_sample_size(samples), .n = samples.size()};
  if (enough_for_median(estimate.ess, confidence))
    estimate.interval = median_interval(samples, estimate.ess, confidence);
  return estimate;
}

MeanEstimate estimate_mean(std::span<const double> samples, double confidence) {
  require_some(samples);
  require_confidence(confidence);
  const std::size_t n = samples.size();
  MeanEstimate estimate{.mean = *mean(samples), .ess = mean_ess(samples), .n = n};
  if (n < kLeastSamples || !(estimate.ess > 1.0)) return estimate;
  const double reach = student_t_quantile(0.5 + confidence / 2, estimate.ess - 1) *
                       *standard_deviation(samples) / std::sqrt(estimate.ess);
  estimate.interval = Interval{estimate.mean - reach, estimate.mean + reach};
  return estimate;
}

RatioEstimate estimate_ratio(std::span<const double> a, std::span<const double> b, double confidence) {
  for (const std::span<const double> samples : {a, b}) {
    require_some(samples);
    if (const double least = *std::min_element(samples.begin(), samples.end()); !(least > 0.0))
      throw Error(Fault::device, fmt::format("a sample is {}, and a ratio needs times above 0", least),
                  "check the timer that took it (chokepoint doctor)");
  }
  require_confidence(confidence);
  const std::size_t blocks = std::min(a.size(), b.size()) / 2;
  if (blocks == 0) return {.ratio = a[0] / b[0], .ess = 1.0};
  std::vector<double> ratios(blocks);
  for (std::size_t i = 0; i < blocks; ++i) ratios[i] = (a[2 * i] + a[2 * i + 1]) / (b[2 * i] + b[2 * i + 1]);
  const MedianEstimate estimate = estimate_median(ratios, confidence);
  return {.ratio = estimate.median, .interval = estimate.interval, .ess = estimate.ess, .blocks = blocks};
}

Interval wilson_interval(std::size_t hits, std::size_t trials, double confidence) {
  require_confidence(confidence);
  if (trials == 0 || hits > trials)
    throw Error(Fault::config, fmt::format("{} of {} trials is no share", hits, trials), "run more trials");
  const double n = static_cast<double>(trials), share = static_cast<double>(hits) / n;
  const double z = normal_quantile(0.5 + confidence / 2), z2 = z * z;
  const double centre = (share + z2 / (2 * n)) / (1 + z2 / n);
  const double reach = z / (1 + z2 / n) * std::sqrt(share * (1 - share) / n + z2 / (4 * n * n));
  // At either end the bound is exactly that end; the formula misses it by a rounding.
  return {hits == 0 ? 0.0 : centre - reach, hits == trials ? 1.0 : centre + reach};
}

}  // namespace chokepoint
