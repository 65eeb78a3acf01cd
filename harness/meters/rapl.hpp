// How much energy did the CPU packages take? The powercap files of Intel's and AMD's running average power
// limit.
#pragma once

#include <memory>
#include <string>

#include "harness/meters/meter.hpp"

namespace chokepoint {

// Sums the package domains (intel-rapl:N, not their sub-domains, which packages contain) under `root`.
// Null when there is none or it cannot be read (root only since Linux 5.10).
std::unique_ptr<EnergyCounter> open_rapl(const std::string& root = "/sys/class/powercap");

}  // namespace chokepoint
