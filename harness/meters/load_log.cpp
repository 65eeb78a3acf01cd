#include "harness/meters/load_log.hpp"

#include <algorithm>

namespace chokepoint {

void LoadLog::add(double now_s, const LoadStep& step) {
  points_.push_back({now_s, points_.back().launches + static_cast<double>(step.launches),
                     points_.back().busy_s + step.busy_s});
}

// Launches of one slice finish evenly over it.
LoadLog::Point LoadLog::at(double at_s) const {
  const auto after = std::lower_bound(points_.begin(), points_.end(), at_s,
                                      [](const Point& point, double value) { return point.at_s < value; });
  if (after == points_.begin()) return points_.front();
  if (after == points_.end()) return points_.back();
  const Point &a = after[-1], &b = *after;
  const double share = b.at_s > a.at_s ? (at_s - a.at_s) / (b.at_s - a.at_s) : 1.0;
  return {at_s, a.launches + share * (b.launches - a.launches), a.busy_s + share * (b.busy_s - a.busy_s)};
}

void keep_busy_until(PowerInstrument& instrument, double until_s, const KeepBusy& keep_busy, LoadLog& log) {
  while (instrument.now_s() < until_s) {
    const LoadStep step = keep_busy();
    log.add(instrument.now_s(), step);
  }
}

}  // namespace chokepoint
