#include "harness/base/gpu_error.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"

namespace chokepoint {

// Numbers: cudaError in driver_types.h, CUDA 13.0.
std::string remedy_for_gpu(int code) {
  switch (code) {
    case 2: return "make the shape smaller or free the GPU";
    case 35: return "`chokepoint doctor` says which driver is there and which is needed; --device cpu works without";
    case 34: return "this is the toolkit's stub, no driver; install the NVIDIA driver, or use --device cpu";
    case 100: return "no NVIDIA GPU is visible; check CUDA_VISIBLE_DEVICES, or use --device cpu";
    case 101: return "there is no GPU of that number; `chokepoint doctor` lists them";
    case 209: return "no code for this GPU in the build; it has to be of compute capability 8.0 or higher";
    case 700:
    case 716:
    case 717:
    case 718:
    case 719: return "a kernel faulted and the process's context is lost; run the case alone under compute-sanitizer";
    case 702: return "a kernel ran into the watchdog; make the shape smaller";
    default: return "look the code up in the CUDA documentation, or use --device cpu";
  }
}

void check_gpu(int code, const char* text, std::source_location at) {
  if (code != 0) throw Error(Fault::device, fmt::format("CUDA: {} ({})", text, code), remedy_for_gpu(code), at);
}

}  // namespace chokepoint
