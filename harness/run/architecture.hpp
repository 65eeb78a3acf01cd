// Can a kernel run on this device's silicon?
#pragma once

#include <optional>
#include <string>

#include "harness/device/device.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// 90 for "sm_90"; 0 for what is no GPU.
int sm_of(const DeviceFacts& facts);

// Why not; empty when it can. CPU kernels dispatch at run time and always can.
std::optional<std::string> architecture_obstacle(const Kernel& kernel, const DeviceFacts& facts);

}  // namespace chokepoint
