// Which multiprocessors does work on a stream reach?
#pragma once

#include <cuda_runtime.h>

#include <utility>
#include <vector>

namespace chokepoint {

// Ids (%smid), ascending, of those that a kernel filling a device of `total` was seen on. Blocks.
std::vector<int> multiprocessors_used(cudaStream_t stream, int total);

// The same of two streams, within a graph that joins them, as launches that use both are timed.
std::pair<std::vector<int>, std::vector<int>> multiprocessors_used_in_graph(cudaStream_t first, cudaStream_t second,
                                                                            int total);

}  // namespace chokepoint
