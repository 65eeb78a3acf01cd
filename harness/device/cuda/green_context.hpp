// How is work kept on some of a GPU's multiprocessors? By a green context: a part of them with streams of its own,
// in the process's one context, so that memory and code stay what they are.
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "harness/device/device.hpp"

namespace chokepoint {

// A stream whose work stays on a part of the current device's multiprocessors.
class StreamOnPart {
 public:
  virtual ~StreamOnPart() = default;
  virtual cudaStream_t stream() const = 0;
  virtual int multiprocessors() const = 0;
};

// The last `wanted` multiprocessors, or up to a step more, as the hardware can split. A green_context() of as many as
// are left takes none of them. Throws Error{unsupported} when the driver has no green contexts, or there is no such part.
std::unique_ptr<StreamOnPart> last_multiprocessors(int wanted);

// Of the current device, which has `total` multiprocessors: the first `wanted` of them, or all. Entering it makes `lane` its
// stream, leaving restores what was there. Throws Error{unsupported} when the driver has no green contexts.
std::unique_ptr<Restriction> green_context(int wanted, int total, cudaStream_t& lane);

}  // namespace chokepoint
