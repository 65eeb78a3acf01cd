// What did power, clock and temperature do while a record was made? A series of at most kMostTracePoints readings, kept
// in provenance.power_trace. A record without one shows none.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/statistics.hpp"

namespace chokepoint {

inline constexpr std::size_t kMostTracePoints = 64;

struct TracePoint {
  double t_s = 0.0;  // since the load began
  double power_w = 0.0;
  std::optional<double> sm_clock_hz, temperature_c;
};

struct RecordedTrace {
  std::string source;            // "nvml instant power", "rapl"
  std::string load;              // "sampling": of all targets in turn; "energy": of this target alone
  std::vector<TracePoint> points;  // in order of time
  std::vector<Interval> windows_s;  // what the record's figures were taken from
};

// Every k-th point, the first one included, with the smallest k that leaves at most kMostTracePoints: readings as they
// were, no means.
std::vector<TracePoint> thinned(const std::vector<TracePoint>& points);

// Columns of equal length, null where nothing was read: {"source", "load", "t_s": [..], "power_w": [..],
// "sm_clock_hz": [..] | null, "temperature_c": [..] | null, "windows_s": [[from, to], ..]}. Thins the points.
Json to_json(const RecordedTrace& trace);

// Throws Error{config} naming file, line and key for columns of different lengths, too many points, or times that go
// back.
RecordedTrace recorded_trace_from_json(Fields fields);

// Absent for a record that keeps none.
std::optional<RecordedTrace> power_trace_of(const Json& provenance);

}  // namespace chokepoint
