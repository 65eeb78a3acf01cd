// What happened to one case over time: changes of level, spikes, or a drift?
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "harness/model/statistics.hpp"
#include "harness/track/change_points.hpp"

namespace chokepoint {

inline constexpr std::size_t kLeastPoints = 6;  // fewer have no levels to tell apart

struct LevelChange {
  std::size_t at = 0;       // first point of the new level
  double time_ratio = 1.0;  // new level over old: above 1 is slower
  Interval interval;        // 95 %
};

struct SeriesFindings {
  double deviation = 0.0;         // of one point around its level, relative
  std::vector<Segment> segments;  // levels in logarithms; with a drift: of the series without it, at the first point
  std::vector<LevelChange> changes;
  std::vector<std::size_t> spikes;  // points beyond kOutlier deviations of their level
  std::optional<double> drift;      // per point, relative; absent unless it explains more than levels alone
};

// `log_s` in order of time; `sample_deviations` of each from its own samples, 0 where unknown. A common slope is taken
// in when the penalised cost falls by more than the penalty of a change for it; otherwise a slow drift would come out
// as a staircase. Absent below kLeastPoints.
std::optional<SeriesFindings> analyse_series(const std::vector<double>& log_s,
                                             const std::vector<double>& sample_deviations);

}  // namespace chokepoint
