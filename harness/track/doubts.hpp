// What has to be known before a comparison is trusted: conditions that differ, and where its noise comes from.
#pragma once

#include <vector>

#include "harness/track/candidate.hpp"
#include "harness/track/compare.hpp"

namespace chokepoint {

// Fills changes, warnings and common_ratio of a report whose cases have their verdicts.
void add_doubts(const std::vector<Candidate>& candidates, ComparisonReport& report);

}  // namespace chokepoint
