// How is work kept on some of a GPU's multiprocessors? By a green context: a part of them with streams of its own,
// in the process's one context, so that memory and code stay what they are.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "harness/device/device.hpp"

namespace chokepoint {

// Of the current device, which has `total` multiprocessors: `wanted` of them, or all. Entering it makes `lane` its
// stream, leaving restores what was there. Throws Error{unsupported} when the driver has no green contexts.
std::unique_ptr<Restriction> green_context(int wanted, int total, cudaStream_t& lane);

}  // namespace chokepoint
