#include "harness/meters/power_window.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {

std::optional<double> integrated_j(const std::vector<PowerPoint>& points, double from_s, double to_s,
                                   double widest_gap_s) {
  struct Corner {
    double at_s, w;
  };
  std::vector<Corner> corners;
  for (const PowerPoint& point : points) {
    corners.push_back({point.at_s, point.w});
    if (point.last_seen_s > point.at_s) corners.push_back({point.last_seen_s, point.w});
  }
  if (corners.empty() || corners.front().at_s > from_s || corners.back().at_s < to_s) return std::nullopt;
  double joule = 0.0;
  for (std::size_t i = 1; i < corners.size(); ++i) {
    const Corner &a = corners[i - 1], &b = corners[i];
    const double left_s = std::max(a.at_s, from_s), right_s = std::min(b.at_s, to_s);
    if (right_s <= left_s) continue;
    // Two corners of one point are a value that was seen all the time, however long.
    if (a.w != b.w && b.at_s - a.at_s > widest_gap_s) return std::nullopt;
    const double slope = (b.w - a.w) / (b.at_s - a.at_s);
    joule += (right_s - left_s) * (a.w + slope * (0.5 * (left_s + right_s) - a.at_s));
  }
  return joule;
}

namespace {

constexpr double kFlat = 0.005;

// Largest less smallest of the readings that held at some time between.
double range_w(const std::vector<PowerPoint>& points, double from_s, double to_s) {
  std::optional<double> least, most;
  for (const PowerPoint& point : points) {
    if (point.last_seen_s < from_s || point.at_s > to_s) continue;
    least = std::min(least.value_or(point.w), point.w);
    most = std::max(most.value_or(point.w), point.w);
  }
  return least ? *most - *least : 0.0;
}

}  // namespace

PowerWindow power_window(const std::vector<PowerPoint>& points, double from_s, double to_s, double widest_gap_s) {
  std::vector<double> w;
  for (const PowerPoint& point : points)
    if (point.at_s >= from_s && point.at_s <= to_s) w.push_back(point.w);
  PowerWindow window{.points = w.size()};
  const std::optional<double> joule = integrated_j(points, from_s, to_s, widest_gap_s);
  if (!joule || *joule <= 0.0) return window;
  window.w = *joule / (to_s - from_s);
  const double range = range_w(points, from_s, to_s) / *window.w;
  window.is_flat = range <= kFlat;
  window.sampling = range;
  if (w.size() < 2) return window;
  const auto n = static_cast<double>(w.size());
  window.sampling = student_t_quantile(0.975, n - 1.0) * *standard_deviation(w) / std::sqrt(n) / *window.w;
  const std::span<const double> all = w;
  const std::size_t fifth = std::max<std::size_t>(1, w.size() / 5);
  window.drift_w = std::abs(*mean(all.last(fifth)) - *mean(all.first(fifth)));
  return window;
}

}  // namespace chokepoint
