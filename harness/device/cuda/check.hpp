// One line per CUDA call: `check(cudaMalloc(...))` throws Error{device} with a remedy.
#pragma once

#include <cuda_runtime.h>

#include "harness/base/gpu_error.hpp"

namespace chokepoint {

inline void check(cudaError_t code, std::source_location at = std::source_location::current()) {
  check_gpu(code, cudaGetErrorString(code), at);
}

}  // namespace chokepoint
