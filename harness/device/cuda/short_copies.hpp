// How do a few bytes get from one place in a GPU's memory to another between two launches? By one kernel of one block: a
// copy engine would take microseconds for each of them.
#pragma once

#include <span>

#include "harness/device/device.hpp"

namespace chokepoint {

// Enqueues it on `stream`, a cudaStream_t. Throws Error{device} when the launch is refused.
void copy_shortly(std::span<const DeviceCopy> copies, void* stream);

}  // namespace chokepoint
