#include "harness/base/gpu_driver.hpp"

#include <fmt/format.h>

#include "harness/base/gpu_error.hpp"

namespace chokepoint {
namespace {

constexpr int kInsufficientDriver = 35, kNoDevice = 100;  // cudaError in driver_types.h, CUDA 13.0

std::string cuda_version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

GpuFault missing_driver(const CudaVersions& versions) {
  return {fmt::format("no NVIDIA driver is loaded, and this build needs one for CUDA {}", cuda_version_text(versions.runtime)),
          "install the NVIDIA driver, or start the container with the GPU (--gpus all); --device cpu works without"};
}

GpuFault old_driver(const CudaVersions& versions) {
  return {fmt::format("the NVIDIA driver is for CUDA {}, older than the {} of this build", cuda_version_text(versions.driver),
                      cuda_version_text(versions.runtime)),
          fmt::format("update the driver to one for CUDA {}, or build with a toolkit from 12.5 on that it is new enough "
                      "for; --device cpu works without",
                      cuda_version_text(versions.runtime))};
}

}  // namespace

GpuFault fault_of_discovery(int code, const std::string& text, const CudaVersions& versions) {
  if (code == kInsufficientDriver && versions.driver == 0) return missing_driver(versions);
  if (code == kInsufficientDriver && versions.driver < versions.runtime) return old_driver(versions);
  if (code == kNoDevice)
    return {fmt::format("the NVIDIA driver is there and shows no GPU ({})", code),
            "check CUDA_VISIBLE_DEVICES, and that `nvidia-smi -L` lists a GPU, or use --device cpu"};
  return {fmt::format("CUDA: {} ({})", text, code), remedy_for_gpu(code)};
}

}  // namespace chokepoint
