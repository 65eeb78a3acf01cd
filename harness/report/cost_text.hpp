// How is a cost report said on a terminal, in Markdown and in JSON?
#pragma once

#include <string>

#include "harness/base/json.hpp"
#include "harness/report/cost.hpp"
#include "harness/report/style.hpp"

namespace chokepoint {

std::string cost_table(const CostReport& report, const Style& style);
std::string cost_markdown(const CostReport& report);
Json cost_json(const CostReport& report);

// What it comes down to, one sentence per pair of targets: "h800-sxm against h100-sxm: cheaper in 3 cases,
// dearer in 1, open in 2".
std::vector<std::string> cost_summary(const CostReport& report);

// "1.41 [1.35, 1.48]"; one number when it is exact.
std::string range_text(const Estimate& estimate, int digits = 3);

}  // namespace chokepoint
