// How is work kept on some of a GPU's multiprocessors? By a green context: a part of them with streams of its own,
// in the process's one context, so that memory and code stay what they are.
#pragma once

#include <cuda_runtime.h>

#include <memory>

namespace chokepoint {

// A stream whose work stays on a part of the current device's multiprocessors. What makes one throws
// Error{unsupported} when the driver has no green contexts, or there is no such part.
class StreamOnPart {
 public:
  virtual ~StreamOnPart() = default;
  virtual cudaStream_t stream() const = 0;
  virtual int multiprocessors() const = 0;
};

// The first `wanted` multiprocessors, rounded up to what the hardware can split, or all.
std::unique_ptr<StreamOnPart> first_multiprocessors(int wanted);

// The last `wanted` of them, or up to a step more. The first ones, of as many as are left, are others.
std::unique_ptr<StreamOnPart> last_multiprocessors(int wanted);

// Two parts without common multiprocessors, of those that work on a stream reaches: as many of the first ones as
// lane_shares() says, and the rest, whose stream goes first where both wait for the same thing. They outlive neither the
// stream nor what it belongs to.
struct TwoParts {
  std::unique_ptr<StreamOnPart> compute, wire;
};
TwoParts two_parts_of(cudaStream_t within, int wire_wanted);

}  // namespace chokepoint
