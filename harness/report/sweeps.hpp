// Which records differ in the rate of one cap alone, and what does tightening it cost? A curve of slowdown against
// the cap, and its knee.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/report/report.hpp"

namespace chokepoint {

struct SweepPoint {
  std::size_t record = 0;
  double rate = 0.0;  // target scale
  Bounded slowdown;   // time over that of the loosest cap
};

// Fewer caps are a comparison, not a curve.
inline constexpr std::size_t kLeastSweepPoints = 4;
inline constexpr double kKneeSlowdown = 1.05;

// The cap at which the curve reaches kKneeSlowdown, straight between neighbours in the logarithm of the rate; the
// interval is where the ends of the points' intervals reach it. Absent when the whole curve stays below.
struct Knee {
  double rate = 0.0;
  std::optional<Interval> interval;
};

struct Sweep {
  Resource resource = Resource::link;
  std::vector<SweepPoint> points;  // from the loosest cap to the tightest
  std::optional<Knee> knee;
};

// One curve per problem and resource, in the order of the records. The other caps of a curve have the same rates.
std::vector<Sweep> sweeps_of(const ReportInput& input);

}  // namespace chokepoint
