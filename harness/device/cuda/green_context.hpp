// How do the lanes of a GPU lead to a part of its multiprocessors, and back?
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "harness/device/device.hpp"

namespace chokepoint {

// Where what is enqueued on the lanes of a device goes.
struct LanePlace {
  cudaStream_t stream = nullptr;
  int multiprocessors = 0;
};
struct LanePlaces {
  LanePlace compute, wire;
  bool apart = false;
};

// Of the current device, which has `total` multiprocessors: the first `wanted` of them, or all. Entering it leads the
// compute lane there. Throws Error{unsupported} when the driver has no green contexts.
std::unique_ptr<Restriction> green_context(int wanted, int total, LanePlaces& places);

// Parts of what the compute lane reaches now, about `wire_wanted` of them for the wire. The same two parts serve all who
// ask for them while one of the results lives. Throws Error{unsupported} likewise, and where there are too few.
std::unique_ptr<LanesApart> green_lanes(int wire_wanted, int total, LanePlaces& places);

}  // namespace chokepoint
