// How does a history look on a terminal and to other programs?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/report/style.hpp"
#include "harness/track/history.hpp"
#include "harness/track/series.hpp"

namespace chokepoint {

// A series and what was found in it; `points` are the positions of its points that have a time, which is what findings
// count.
struct AnalysedSeries {
  HistorySeries series;
  std::vector<std::size_t> points;
  std::optional<SeriesFindings> findings;
};

AnalysedSeries analyse(HistorySeries series);

// What a reader has to know about a change before blaming its commit: the environment changed too, or the commit did
// not. Empty when there is nothing.
std::string doubt_about(const AnalysedSeries& analysed, const LevelChange& change);

std::string render_series(const AnalysedSeries& analysed, const Style& style);
std::string render_changes(const std::vector<AnalysedSeries>& all, double margin, const Style& style);
Json series_json(const AnalysedSeries& analysed);

}  // namespace chokepoint
