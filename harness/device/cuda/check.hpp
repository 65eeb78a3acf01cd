// One line per CUDA call: `check(cudaMalloc(...))` throws Error{device} with a remedy. What it throws is told once: the
// check after the next launch does not find it again, unless the context is lost.
#pragma once

#include <cuda_runtime.h>

#include "harness/base/gpu_error.hpp"

namespace chokepoint {

inline void check(cudaError_t code, std::source_location at = std::source_location::current()) {
  if (code == cudaSuccess) return;
  cudaGetLastError();
  check_gpu(code, cudaGetErrorString(code), at);
}

}  // namespace chokepoint
