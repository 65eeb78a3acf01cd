#include "harness/model/dependence.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

constexpr double kWindow = 5.0;  // Sokal's c
constexpr double kLevels[] = {0.1, 0.25, 0.5, 0.75, 0.9};

// 1 + 2 * sum of covariance(lag)/covariance(0), by Sokal's window. `covariance(lag)` is called for 1, 2, 3,
// ...
template <class Covariance>
double windowed_time(std::size_t n, double variance, const Covariance& covariance) {
  double time = 1.0;
  for (std::size_t lag = 1; lag <= n / 2; ++lag) {
    time += 2.0 * covariance(lag) / variance;
    if (static_cast<double>(lag) >= kWindow * time) break;
  }
  return std::max(1.0, time);
}

// Four partial sums: one would make each addition wait for the last.
double dot(const double* a, const double* b, std::size_t count) {
  double sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4)
    for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (; i < count; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// Zeros and ones, 64 to a word: a slow drift needs n/2 lags, which this makes affordable at 100,000 samples.
class Bits {
 public:
  explicit Bits(std::size_t count) : words_(count / 64 + 2, 0) {}  // one word of zeros beyond the last

  void set(std::size_t i) { words_[i / 64] |= std::uint64_t{1} << i % 64; }
  bool at(std::size_t i) const { return (words_[i / 64] >> i % 64 & 1U) != 0; }

  // How often both i and i + lag are set.
  std::uint64_t pairs(std::size_t lag) const {
    const std::size_t skip = lag / 64, shift = lag % 64;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i + skip + 1 < words_.size(); ++i) {
      const std::uint64_t low = words_[i + skip] >> shift;
      const std::uint64_t high = shift == 0 ? 0 : words_[i + skip + 1] << (64 - shift);
      count += static_cast<std::uint64_t>(std::popcount(words_[i] & (low | high)));
    }
    return count;
  }

 private:
  std::vector<std::uint64_t> words_;
};

// The autocorrelation time of zeros and ones; the same value as from the samples as doubles.
double indicator_time(std::span<const double> indicator) {
  const std::size_t n = indicator.size();
  Bits bits(n);
  std::size_t ones = 0;
  for (std::size_t i = 0; i < n; ++i)
    if (indicator[i] > 0.0) bits.set(i), ++ones;
  if (ones == 0 || ones == n) return 1.0;
  const double share = static_cast<double>(ones) / static_cast<double>(n);
  std::size_t first = 0, last = 0;  // ones among the first and among the last `lag` samples
  // sum over i of (x_i - share)(x_{i+lag} - share), multiplied out.
  const auto covariance = [&](std::size_t lag) {
    first += bits.at(lag - 1) ? 1 : 0;
    last += bits.at(n - lag) ? 1 : 0;
    return static_cast<double>(bits.pairs(lag)) - share * static_cast<double>(2 * ones - first - last) +
           static_cast<double>(n - lag) * share * share;
  };
  return windowed_time(n, static_cast<double>(n) * share * (1 - share), covariance);
}

template <class Above>
double time_of(std::span<const double> samples, const Above& above) {
  std::vector<double> indicator(samples.size());
  std::transform(samples.begin(), samples.end(), indicator.begin(),
                 [&](double x) { return above(x) ? 1.0 : 0.0; });
  return std::max(indicator_time(indicator), batch_means_time(indicator));
}

double worth(std::size_t n, double time) {
  const double count = static_cast<double>(n);
  return std::clamp(count / time, 1.0, count);
}

}  // namespace

double autocorrelation_time(std::span<const double> samples) {
  const std::optional<double> deviation = standard_deviation(samples);
  if (!deviation || *deviation == 0.0) return 1.0;
  const double centre = *mean(samples);
  const std::size_t n = samples.size();
  std::vector<double> centred(samples.begin(), samples.end());
  for (double& value : centred) value -= centre;
  const double* data = centred.data();
  return windowed_time(n, dot(data, data, n),
                       [&](std::size_t lag) { return dot(data, data + lag, n - lag); });
}

double batch_means_time(std::span<const double> samples, std::size_t batches) {
  if (batches < 2)
    throw Error(Fault::config, fmt::format("{} batches have no spread", batches), "give 2 batches or more");
  const std::size_t length = samples.size() / batches;
  if (length < 2) return 1.0;
  const std::span<const double> used = samples.last(length * batches);
  const double spread = *standard_deviation(used);
  if (spread == 0.0) return 1.0;
  std::vector<double> means(batches);
  for (std::size_t batch = 0; batch < batches; ++batch)
    means[batch] = *mean(used.subspan(batch * length, length));
  const double ratio = *standard_deviation(means) / spread;
  return std::max(1.0, static_cast<double>(length) * ratio * ratio);
}

double mean_ess(std::span<const double> samples) {
  if (samples.empty()) return 0.0;
  return worth(samples.size(), std::max(autocorrelation_time(samples), batch_means_time(samples)));
}

double effective_sample_size(std::span<const double> samples) {
  const std::vector<double> levels = quantiles(samples, kLevels);
  if (levels.empty()) return 0.0;
  double time = 1.0;
  for (double level : levels) time = std::max(time, time_of(samples, [&](double x) { return x > level; }));
  return worth(samples.size(), time);
}

}  // namespace chokepoint
