// How does a .cu file start a kernel? As a function call with a shape; what CUDA refuses becomes an Error.
//
// Without nvcc, after tests/cuda_emulator/emulator.hpp, a kernel runs at once and streams mean nothing: so host code
// around kernels can be tested with them.
#pragma once

#if defined(__CUDACC__)

#include <cuda_runtime.h>

#include <cstddef>
#include <source_location>
#include <string>
#include <type_traits>

#include "harness/base/error.hpp"

namespace chokepoint {

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  int cluster = 1;               // blocks along x that share their shared memory (sm_90); divides grid.x
  bool cooperative = false;      // all blocks have to be resident at once, because they wait for one another
};

inline void check_launch(cudaError_t code, const char* step, const LaunchShape& shape,
                         const std::source_location& at) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would report it again
  const auto product = [](dim3 d) { return std::to_string(std::size_t{d.x} * d.y * d.z); };
  throw Error(Fault::device,
              std::string(step) + " of " + product(shape.grid) + " blocks of " + product(shape.block) +
                  " threads with " + std::to_string(shape.shared_bytes) +
                  " bytes of shared memory: " + cudaGetErrorString(code),
              "this build may lack code for this GPU (see CMAKE_CUDA_ARCHITECTURES), or the shape needs more than "
              "one of its SMs has; `chokepoint doctor` lists both",
              at);
}

// Enqueues `kernel` on `stream` (a cudaStream_t) and returns; faults while it runs show when the stream is waited
// for. Can be captured into a graph.
template <class... Params>
void launch(void (*kernel)(Params...), const LaunchShape& shape, void* stream,
            std::type_identity_t<Params>... args) {
  constexpr std::size_t kWithoutAskingBytes = 48 * 1024;  // Programming Guide, "Shared Memory", compute capability 7+
  const auto at = std::source_location::current();
  if (shape.shared_bytes > kWithoutAskingBytes)
    check_launch(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                      cudaFuncAttributeMaxDynamicSharedMemorySize,
                                      static_cast<int>(shape.shared_bytes)),
                 "preparing a launch", shape, at);
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  config.attrs = attributes;
  if (shape.cluster > 1) {
    attributes[config.numAttrs].id = cudaLaunchAttributeClusterDimension;
    attributes[config.numAttrs++].val.clusterDim = {static_cast<unsigned>(shape.cluster), 1, 1};
  }
  if (shape.cooperative) {
    attributes[config.numAttrs].id = cudaLaunchAttributeCooperative;
    attributes[config.numAttrs++].val.cooperative = 1;
  }
  check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<Params>(args)...), "launch", shape, at);
}

template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, void* stream,
            std::type_identity_t<Params>... args) {
  launch(kernel, LaunchShape{.grid = grid, .block = block, .shared_bytes = shared_bytes}, stream, args...);
}

}  // namespace chokepoint

#else

namespace chokepoint {

struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  int cluster = 1;
  bool cooperative = false;
};

template <class... Params>
void launch(void (*kernel)(Params...), const LaunchShape& shape, void*, std::type_identity_t<Params>... args) {
  emulator::launch({.grid = shape.grid,
                    .block = shape.block,
                    .shared_bytes = shape.shared_bytes,
                    .cooperative = shape.cooperative,
                    .cluster = static_cast<unsigned>(shape.cluster)},
                   kernel, args...);
}
template <class... Params>
void launch(void (*kernel)(Params...), dim3 grid, dim3 block, std::size_t shared_bytes, void*,
            std::type_identity_t<Params>... args) {
  emulator::launch(kernel, grid, block, shared_bytes, args...);
}

}  // namespace chokepoint

#endif
