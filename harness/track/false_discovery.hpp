// Among many cases some look changed by chance: which discoveries stand when a given share of false ones is allowed?
#pragma once

#include <span>
#include <vector>

namespace chokepoint {

// Adjusted p-values (Benjamini and Hochberg 1995): calling a discovery whatever is at most `q` keeps the expected
// share of false discoveries at or below `q`, for independent tests and for those that rise and fall together
// (Benjamini and Yekutieli 2001). Where nothing changed at all, that is the probability of a single false alarm.
std::vector<double> adjusted_p_values(std::span<const double> p);

}  // namespace chokepoint
