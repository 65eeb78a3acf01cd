// Which figures go to a tool that wants one file per direction? [{name, unit, value, range, extra}], one entry per
// record and metric (benchmark-action/github-action-benchmark, README.md, "customBiggerIsBetter").
#pragma once

#include <string>

#include "harness/report/report.hpp"

namespace chokepoint {

std::string custom_list(const ReportInput& input, bool higher_is_better);

}  // namespace chokepoint
