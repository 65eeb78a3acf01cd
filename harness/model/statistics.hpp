// What do repeated samples say about a time or a ratio, and how sure is that? Estimates with intervals that
// stay valid when neighbouring samples depend on each other.
//
// Samples are in the order in which they were taken. Every function throws Error{device} on a sample that is
// not finite: a broken timer must not become a number.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "harness/model/dependence.hpp"
#include "harness/model/descriptive.hpp"

namespace chokepoint {

struct Interval {
  double low = 0.0, high = 0.0;
  bool contains(double value) const { return low <= value && value <= high; }
  double half_width() const { return (high - low) / 2; }
};

// `interval` holds the true median with probability `confidence` or more: order statistics at 0.5 +- t *
// 0.5/sqrt(ess), t with ess - 1 degrees of freedom, ranks rounded outwards. Absent when even [smallest,
// largest] of `ess` independent samples would miss more often, 2^(1 - ess) > 1 - confidence: below 6 samples
// at 95 %.
struct MedianEstimate {
  double median = 0.0;
  std::optional<Interval> interval = std::nullopt;
  double ess = 0.0;
  std::size_t n = 0;
};
MedianEstimate estimate_median(std::span<const double> samples,
                               double confidence);  // Error{config} when empty

// mean +- t * deviation / sqrt(ess), ess from the samples themselves. Recorded, never used to stop: rare
// bursts break it. Absent below 6 samples.
struct MeanEstimate {
  double mean = 0.0;
  std::optional<Interval> interval = std::nullopt;
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
  std::optional<Interval> interval = std::nullopt;
  double ess = 0.0;        // in blocks
  std::size_t blocks = 0;  // 0 when the ratio is that of a single pair
};
RatioEstimate estimate_ratio(std::span<const double> a, std::span<const double> b, double confidence);

// Interval of a probability after `hits` of `trials` (Wilson 1927). Error{config} without trials.
Interval wilson_interval(std::size_t hits, std::size_t trials, double confidence);

}  // namespace chokepoint
