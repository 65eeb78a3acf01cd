// Why does CUDA show no GPU here? A missing driver, an old one and no GPU are told apart, each with its own next step.
#pragma once

#include <string>

namespace chokepoint {

// As cudaDriverGetVersion and cudaRuntimeGetVersion count: 13020 is CUDA 13.2, and a driver of 0 is none at all.
struct CudaVersions {
  int driver = 0, runtime = 0;
};

struct GpuFault {
  std::string what, remedy;
};

// CUDA runtime error `code` of the first call, which CUDA calls `text`: 35 stands both for no driver and for an old one.
GpuFault fault_of_discovery(int code, const std::string& text, const CudaVersions& versions);

}  // namespace chokepoint
