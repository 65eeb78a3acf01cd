// Which words stand for the parts of a claim's outcome? Shared by the table, the details and the Markdown, so that all
// three say the same.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/outcome.hpp"

namespace chokepoint {

// Four digits, scaled where it is large: 180000 -> "180.0k", 0.29 -> "0.29", 5576000 -> "5.576M".
std::string figure_text(double value);

std::string change_text(double change);  // "+44.1 %"; "0.0 %" for what rounds to it

// "177.0k [171.0k, 190.0k] h", or only the middle where there is no interval; empty without rows.
std::string derived_text(const ClaimOutcome& outcome, const RowOutcome& row);
std::string published_text(const ClaimOutcome& outcome, const RowOutcome& row);

// Everything with a grade that went in, worst grade last: "C: DeepSeek profile-data 4496024 (12); D: expert_imbalance".
std::string inputs_text(const ClaimOutcome& outcome);

// The worst grade of what went in: "D". Empty for arithmetic.
std::string worst_grade(const ClaimOutcome& outcome);

// "with network 25 GB/s (half) instead of 50 GB/s: +44.1 %": the largest of them, or the smallest sentence that says
// nothing matters; empty without any.
std::string with_instead_text(const ClaimOutcome& outcome);

// "seed 20241227, 2000 draws"; empty where nothing is drawn.
std::string seed_text(const ClaimOutcome& outcome);

// "unfitted 169.1k [trace]; from kernels 174k [165k, 188k], unfitted 160.0k": points without anything assumed, and
// other ways to the same number.
std::string unfitted_text(const ClaimOutcome& outcome);

// "1T tokens: 177.2k GPU-hours, 212 MWh [176, 299] with the building's overhead, 169 MWh without; electricity $18.3k
// [13.5k, 31.2k], 5.2 % of the rent of $354k"; why there is nothing to say; empty where no training stands behind the
// claim.
std::string consumption_text(const ClaimOutcome& outcome);

}  // namespace chokepoint
