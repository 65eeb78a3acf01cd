// How many copies of a problem does a launch rotate through, so that no cache flatters it?
#pragma once

#include <cstdint>

#include "harness/device/device.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

std::int64_t bytes_of_copy(const Problem& one);  // inputs and output

std::int64_t copies_wanted(const Problem& one, const DeviceFacts& facts);

}  // namespace chokepoint
