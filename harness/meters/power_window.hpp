// How much power do readings of instant power show over a stretch of time, and how sure is that?
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace chokepoint {

struct PowerPoint {
  double at_s = 0.0, last_seen_s = 0.0;  // first and last fresh reading of this value
  double w = 0.0;
};

// Joules between two moments by trapezoids with interpolated edges; absent when the points do not reach both
// edges or leave a gap of more than `widest_gap_s`.
std::optional<double> integrated_j(const std::vector<PowerPoint>& points, double from_s, double to_s,
                                   double widest_gap_s = 3.0);

// A sensor of the H100 class averages over 25 ms and refreshes every 100 ms: three quarters of the time go unseen.
// Under a steady load of launches shorter than that the seen quarter speaks for the rest up to the readings' scatter.
struct PowerWindow {
  std::size_t points = 0;   // distinct readings; equal neighbours count once
  std::optional<double> w;  // mean; absent where integrated_j is
  bool is_flat = false;     // readings of the window are within half a percent: a steady load, or a sensor that is stuck
  double sampling = 0.0;    // half width at 95 % of a mean of so many readings that scatter so, relative
  double drift_w = 0.0;     // last fifth against the first fifth of the readings, absolute
};
PowerWindow power_window(const std::vector<PowerPoint>& points, double from_s, double to_s, double widest_gap_s);

}  // namespace chokepoint
