// What had the load done by when? Launches and busy time over the moments of one stretch of load.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "harness/meters/power_trace.hpp"

namespace chokepoint {

// What a slice of load did: 20 to 50 ms of back-to-back launches, no L2 flush in between. To leave no gap, enqueue
// the next slice before waiting for this one.
struct LoadStep {
  std::int64_t launches = 0;  // finished during this call
  double busy_s = 0.0;        // of them on the device's own clock
};
using KeepBusy = std::function<LoadStep()>;

class LoadLog {
 public:
  explicit LoadLog(double now_s) { points_.push_back({now_s, 0.0, 0.0}); }

  void add(double now_s, const LoadStep& step);

  double began_s() const { return points_.front().at_s; }
  double ended_s() const { return points_.back().at_s; }
  double launches() const { return points_.back().launches; }
  double launches_at(double at_s) const { return at(at_s).launches; }
  double busy_at(double at_s) const { return at(at_s).busy_s; }

 private:
  struct Point {
    double at_s, launches, busy_s;
  };

  Point at(double at_s) const;

  std::vector<Point> points_;
};

// Adds slices of load to the log until then.
void keep_busy_until(PowerInstrument& instrument, double until_s, const KeepBusy& keep_busy, LoadLog& log);

}  // namespace chokepoint
