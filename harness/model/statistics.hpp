// What do repeated samples say about a time or a ratio, and how sure is that? Estimates with intervals that
// stay valid when neighbouring samples depend on each other.
//
// Samples are in the order in which they were taken. Every function throws Error{device} on a sample that is
// not finite: a broken timer must not become a number.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace chokepoint {

struct Interval {
  double low = 0.0, high = 0.0;
  bool contains(double value) const { return low <= value && value <= high; }
  double half_width() const { return (high - low) / 2; }
};

// Descriptive statistics. Empty samples have none; deviation and variation need two.
// Quantile at `p` in [0, 1] by linear interpolation between order statistics (type 7 of Hyndman and Fan
// 1996).
std::optional<double> quantile(std::span<const double> samples, double p);
std::optional<double> median(std::span<const double> samples);
std::optional<double> mean(std::span<const double> samples);
std::optional<double> standard_deviation(std::span<const double> samples);        // divisor n - 1
std::optional<double> coefficient_of_variation(std::span<const double> samples);  // absent when the mean is 0

// Integrated autocorrelation time in samples: 1 for independent ones, 1 + 2 * sum of correlations otherwise.
// Sums up to the first lag that is 5 times the time summed so far (Sokal 1997, section 3), at most n/2. At
// least 1; constant samples give 1.
double autocorrelation_time(std::span<const double> samples);

// The same quantity from the spread of `batches` consecutive means: length * var(batch means) / var(samples).
// Sees slow wandering that the window above cuts off. Below 1 it is noise and reads 1; batches shorter than 2
// give 1.
double batch_means_time(std::span<const double> samples, std::size_t batches = 16);

// How many independent samples would fix the median as well: n / max(autocorrelation, batch means time), both
// of the indicator x > median (and of x >= median where samples tie with the median; the slower counts). In
// [1, n]; constant samples give n, empty ones 0.
double effective_sample_size(std::span<const double> samples);

// `interval` holds the true median with probability `confidence` or more: order statistics at 0.5 +- t *
// 0.5/sqrt(ess), t with ess - 1 degrees of freedom, ranks rounded outwards. Absent when even [smallest,
// largest] of `ess` independent samples would miss more often, 2^(1 - ess) > 1 - confidence: below 6 samples
// at 95 %.
struct MedianEstimate {
  double median = 0.0;
  std::optional<Interval> interval;
  double ess = 0.0;
  std::size_t n = 0;
};
MedianEstimate estimate_median(std::span<const double> samples,
                               double confidence);  // Error{config} when empty

// mean +- t * deviation / sqrt(ess), ess from the samples themselves. Recorded, never used to stop: rare
// bursts break it. Absent below 6 samples.
struct MeanEstimate {
  double mean = 0.0;
  std::optional<Interval> interval;
  double ess = 0.0;
  std::size_t n = 0;
};
MeanEstimate estimate_mean(std::span<const double> samples, double confidence);  // Error{config} when empty

// How much longer does A take than B? Both were sampled in blocks A B B A: samples 2i and 2i+1 of each are
// block i, so drift that both share cancels inside a block. `ratio` is the median over blocks of
// sum(a)/sum(b), its interval that of a median. Samples beyond the common whole blocks are left out. Without
// one whole block the first pair gives the ratio, and there is no interval. Throws Error{config} when either
// is empty, Error{device} on a sample <= 0.
struct RatioEstimate {
  double ratio = 0.0;
  std::optional<Interval> interval;
  double ess = 0.0;        // in blocks
  std::size_t blocks = 0;  // 0 when the ratio is that of a single pair
};
RatioEstimate estimate_ratio(std::span<const double> a, std::span<const double> b, double confidence);

// Interval of a probability after `hits` of `trials` (Wilson 1927). Error{config} without trials.
Interval wilson_interval(std::size_t hits, std::size_t trials, double confidence);

}  // namespace chokepoint
