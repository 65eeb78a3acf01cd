// On what, with what and from what was a run made? Facts for environment.json and for the provenance of
// records.
#pragma once

#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {

struct BuildFacts {
  std::string version, git, compiler, flags;
};

// The program this is: set by CMake, the git state as of configuration.
BuildFacts build_facts();

// "2026-11-23T16:21:45Z"; SOURCE_DATE_EPOCH, where set, stands in for now.
std::string utc_now();

// Of a GPU, `device.more` also has what NVML says of the board: driver, vbios, power_limit_w, mig, persistence, each null
// where it does not, and `nvml`: the library, or why there are no answers.
Json environment_of(const Device& device, const std::vector<std::string>& argv);

// What a record says of program and driver: version, git, build, and of a GPU driver, where NVML tells it.
Json program_provenance(const DeviceFacts& facts);

}  // namespace chokepoint
