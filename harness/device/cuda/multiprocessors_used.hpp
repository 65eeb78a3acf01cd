// Which multiprocessors does work on a stream reach?
#pragma once

#include <cuda_runtime.h>

#include <vector>

namespace chokepoint {

// Ids (%smid), ascending, of those that a kernel filling a device of `total` was seen on. Blocks.
std::vector<int> multiprocessors_used(cudaStream_t stream, int total);

}  // namespace chokepoint
