// Where does the level of a series change? Outliers are no change.
//
// The segmentation that minimises
//   sum over segments of min over level of sum min((x - level)^2 / deviation^2, kOutlier^2)  +  penalty * changes
// exactly: the penalised cost that PELT minimises (Killick, Fearnhead and Eckley 2012), with the bounded loss for which
// a single far point costs no more than kOutlier^2 and so makes no segment (Fearnhead and Rigaill 2019, biweight loss,
// K = 3), solved by keeping the cost as a function of the current level (their algorithm R-FPOP), which has nothing to
// search again.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace chokepoint {

inline constexpr double kOutlier = 3.0;  // deviations

struct Segment {
  std::size_t begin = 0, end = 0;  // [begin, end)
  double level = 0.0;
};

struct Segmentation {
  std::vector<Segment> segments;  // in order, together the whole series
  double cost = 0.0;              // penalties included
};

// Error{config} unless deviation and penalty are above 0. An empty series has no segments.
Segmentation find_segments(std::span<const double> series, double deviation, double penalty);

// max(19, 4 + 3 log n). Above the 2 log n of the literature, since thousands of series are looked at; and above what
// two outliers cost (2 * kOutlier^2 = 18), so that two far points in a row, at the end of a series too, are no change,
// and three are one. On independent normal noise below one series in a hundred shows a change (a test).
double default_penalty(std::size_t n);

// Of one value around its level: the median distance of neighbours, which steps, spikes and drift hardly move, over
// that of a normal.
double neighbour_deviation(std::span<const double> series);

}  // namespace chokepoint
