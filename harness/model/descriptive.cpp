#include "harness/model/descriptive.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

double sorted_quantile(std::span<const double> sorted, double p) {
  const double position = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  if (below + 1 >= sorted.size()) return sorted.back();
  const double fraction = position - static_cast<double>(below);
  return std::lerp(sorted[below], sorted[below + 1], fraction);
}

double sum_of(std::span<const double> samples) {
  double sum = 0.0;
  for (double sample : samples) sum += sample;
  return sum;
}

double mean_of(std::span<const double> samples) {
  return sum_of(samples) / static_cast<double>(samples.size());
}

// Needs two samples.
double variance_of(std::span<const double> samples) {
  const double centre = mean_of(samples);
  double squares = 0.0;
  for (double sample : samples) squares += (sample - centre) * (sample - centre);
  return squares / static_cast<double>(samples.size() - 1);
}

bool constant(std::span<const double> samples) {
  return std::all_of(samples.begin(), samples.end(),
                     [&](double sample) { return sample == samples.front(); });
}

}  // namespace

void require_finite(std::span<const double> samples) {
  for (std::size_t i = 0; i < samples.size(); ++i)
    if (!std::isfinite(samples[i]))
      throw Error(Fault::device,
                  fmt::format("sample {} of {} is {}, not a number", i + 1, samples.size(), samples[i]),
                  "check the timer that took it (chokepoint doctor)");
}

std::vector<double> quantiles(std::span<const double> samples, std::span<const double> p) {
  require_finite(samples);
  for (double share : p)
    if (!(share >= 0.0 && share <= 1.0))
      throw Error(Fault::config, fmt::format("quantile {} is not between 0 and 1", share),
                  "give 0.5 for the median");
  if (samples.empty()) return {};
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  std::vector<double> values;
  for (double share : p) values.push_back(sorted_quantile(sorted, share));
  return values;
}

std::optional<double> quantile(std::span<const double> samples, double p) {
  const std::vector<double> values = quantiles(samples, std::span(&p, 1));
  return values.empty() ? std::nullopt : std::optional(values.front());
}

std::optional<double> median(std::span<const double> samples) { return quantile(samples, 0.5); }

std::optional<double> mean(std::span<const double> samples) {
  require_finite(samples);
  if (samples.empty()) return std::nullopt;
  return mean_of(samples);
}

std::optional<double> standard_deviation(std::span<const double> samples) {
  require_finite(samples);
  if (samples.size() < 2) return std::nullopt;
  return constant(samples) ? 0.0 : std::sqrt(variance_of(samples));
}

std::optional<double> coefficient_of_variation(std::span<const double> samples) {
  const std::optional<double> deviation = standard_deviation(samples);
  if (!deviation || mean_of(samples) == 0.0) return std::nullopt;
  return *deviation / std::abs(mean_of(samples));
}

}  // namespace chokepoint
