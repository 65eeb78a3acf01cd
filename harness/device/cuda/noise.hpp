// What lies in memory that is copied only to keep it busy? Bits without a pattern, which nothing on the way can shorten.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

namespace chokepoint {

// Enqueues it on `stream`. `bytes` is a multiple of 16, and so is the address.
void fill_with_noise(void* to, std::size_t bytes, cudaStream_t stream);

}  // namespace chokepoint
