// Which words do all answers share?
#pragma once

#include <string>

#include "harness/report/report.hpp"

namespace chokepoint {

std::string article(const std::string& name);  // "an h800-sxm", "a cpu"

// "emulated: ran on ..., under caps that were measured ...".
std::string basis_meaning(Basis basis, const std::string& devices);

// Where the records that are ok ran, "NVIDIA H100 80GB HBM3 and AMD EPYC".
std::string devices_of(const ReportInput& input);

// The interval leaves 1 out; without an interval any other ratio is one.
bool is_difference(const Bounded& ratio);

// "loses 38.2 % [37.1, 39.3]", "gains 1.2 % [0.9, 1.5]" or "shows no difference (1.001 [0.998, 1.004])".
std::string loss_text(const Bounded& throughput_ratio);

}  // namespace chokepoint
