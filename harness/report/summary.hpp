// What is the answer in short? One sentence per pair of targets over all cases: from where to where, without averaging
// cases that nobody weighted.
#pragma once

#include <string>
#include <vector>

#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"

namespace chokepoint {

// "h800-sxm against h100-sxm in 8 cases: 0.412 (moe_layer tokens=64) to 1.001 (matmul) times the throughput; at $2.00/h
// for the h100-sxm it breaks even at $0.824/h to $2.00/h; 0.412 to 1.001 times the work per joule (provisioned power);
// scaled"
std::vector<std::string> summary_of(const ReportInput& input, const std::vector<ReportGroup>& groups);

}  // namespace chokepoint
