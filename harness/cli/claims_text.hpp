// How are outcomes of claims shown to people? A table of all of them with what stands behind each, one claim in full,
// or a sensitivity curve.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/outcome.hpp"
#include "harness/report/style.hpp"

namespace chokepoint {

std::string claims_table(const std::vector<ClaimOutcome>& outcomes, const Style& style);
std::string claims_markdown(const std::vector<ClaimOutcome>& outcomes);
std::string claim_in_full(const ClaimOutcome& outcome, const Style& style);

// One line per rate: rate, change, bar.
struct SweptValue {
  double rate = 0.0, change = 0.0;
};
std::string sweep_chart(const std::string& title, const std::string& unit, const std::vector<SweptValue>& points,
                        const Style& style);

}  // namespace chokepoint
