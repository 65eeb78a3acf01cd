// What does a counter of joules show while something runs? Read now and then between launches, never by a thread of its
// own: a machine that is measured has no core to spare.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/meters/meter.hpp"
#include "harness/model/recorded_trace.hpp"

namespace chokepoint {

class PowerPolls {
 public:
  // `source` names the meter in the trace. Reads once.
  PowerPolls(EnergyCounter& counter, std::string source, double now_s, double period_s = 0.05);

  // Reads when the last reading is a period old.
  void poll(double now_s);

  // Reads for the last time; joules since the first reading.
  double finish(double now_s);

  // Mean power between readings, at the middle of each stretch, the load beginning at the first reading; absent with
  // fewer than two stretches.
  std::optional<RecordedTrace> trace() const;

 private:
  void read(double now_s);

  EnergyCounter& counter_;
  std::string source_;
  double period_s_, first_s_, last_s_, first_j_, last_j_;
  std::vector<TracePoint> points_;
};

}  // namespace chokepoint
