#include "harness/track/series.hpp"

#include <algorithm>
#include <cmath>

#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

constexpr double kLeastDeviation = 1e-4;    // relative: what rounding and timers leave
constexpr std::size_t kMostPairs = 200000;  // of points for a slope
constexpr int kSlopeRounds = 5;
constexpr double kQuantile = 1.959963984540054;  // 95 %, both sides

std::vector<double> without_slope(const std::vector<double>& values, double slope) {
  std::vector<double> rest = values;
  for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= slope * static_cast<double>(i);
  return rest;
}

// The median of the slopes between pairs of points of one segment (Sen 1968); of long series every k-th point.
double slope_within(const std::vector<double>& values, const std::vector<Segment>& segments) {
  const std::size_t n = values.size();
  const std::size_t step =
      std::max<std::size_t>(1, static_cast<std::size_t>(std::sqrt(static_cast<double>(n * n / 2) / kMostPairs)));
  std::vector<double> slopes;
  for (const Segment& segment : segments)
    for (std::size_t i = segment.begin; i < segment.end; i += step)
      for (std::size_t j = i + step; j < segment.end; j += step)
        slopes.push_back((values[j] - values[i]) / static_cast<double>(j - i));
  return slopes.empty() ? 0.0 : *median(slopes);
}

struct Fit {
  double slope = 0.0;
  Segmentation segmentation;
};

// Levels with one slope for all of them: each found with the other held, a few times over.
Fit fit_with_slope(const std::vector<double>& values, double deviation, double penalty) {
  Fit best;
  double slope = slope_within(values, {{0, values.size(), 0.0}});
  for (int round = 0; round < kSlopeRounds; ++round) {
    Segmentation segmentation = find_segments(without_slope(values, slope), deviation, penalty);
    segmentation.cost += penalty;
    if (best.segmentation.segments.empty() || segmentation.cost < best.segmentation.cost) best = {slope, segmentation};
    const double next = slope_within(values, segmentation.segments);
    if (next == slope) break;
    slope = next;
  }
  return best;
}

// Points of a segment that are no outliers.
std::size_t inliers(const std::vector<double>& rest, const Segment& segment, double deviation) {
  return static_cast<std::size_t>(
      std::count_if(rest.begin() + static_cast<std::ptrdiff_t>(segment.begin),
                    rest.begin() + static_cast<std::ptrdiff_t>(segment.end),
                    [&](double value) { return std::abs(value - segment.level) <= kOutlier * deviation; }));
}

LevelChange change_between(const std::vector<double>& rest, const Segment& before, const Segment& after,
                           double deviation) {
  const double a = static_cast<double>(std::max<std::size_t>(1, inliers(rest, before, deviation)));
  const double b = static_cast<double>(std::max<std::size_t>(1, inliers(rest, after, deviation)));
  const double change = after.level - before.level, reach = kQuantile * deviation * std::sqrt(1 / a + 1 / b);
  return {after.begin, std::exp(change), {std::exp(change - reach), std::exp(change + reach)}};
}

}  // namespace

std::optional<SeriesFindings> analyse_series(const std::vector<double>& log_s,
                                             const std::vector<double>& sample_deviations) {
  const std::size_t n = log_s.size();
  if (n < kLeastPoints) return std::nullopt;
  const double sampled = sample_deviations.empty() ? 0.0 : *median(sample_deviations);
  const double deviation = std::max({neighbour_deviation(log_s), sampled, kLeastDeviation}),
               penalty = default_penalty(n);
  Fit fit{0.0, find_segments(log_s, deviation, penalty)};
  if (fit.segmentation.segments.size() > 1)
    if (Fit sloped = fit_with_slope(log_s, deviation, penalty); sloped.segmentation.cost < fit.segmentation.cost)
      fit = sloped;
  SeriesFindings findings{.deviation = deviation, .segments = fit.segmentation.segments};
  if (fit.slope != 0.0) findings.drift = std::expm1(fit.slope);
  const std::vector<double> rest = without_slope(log_s, fit.slope);
  for (std::size_t i = 0; i < findings.segments.size(); ++i) {
    const Segment& segment = findings.segments[i];
    if (i > 0) findings.changes.push_back(change_between(rest, findings.segments[i - 1], segment, deviation));
    for (std::size_t point = segment.begin; point < segment.end; ++point)
      if (std::abs(rest[point] - segment.level) > kOutlier * deviation) findings.spikes.push_back(point);
  }
  return findings;
}

}  // namespace chokepoint
