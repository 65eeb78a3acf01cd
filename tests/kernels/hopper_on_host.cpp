// The products of kernels/common/cuda/hopper, for launches that run on the emulator.
#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include "kernels/common/cuda/hopper/grouped.cu"
#include "kernels/common/cuda/hopper/grouped_fp8.cu"
#include "kernels/common/cuda/hopper/grouped_low.cu"
#include "kernels/common/cuda/hopper/grouped_wide.cu"
#include "kernels/common/cuda/hopper/product.cu"
#include "kernels/common/cuda/hopper/product_fp8_low.cu"
#include "kernels/common/cuda/hopper/product_fp8_medium.cu"
#include "kernels/common/cuda/hopper/product_fp8_wide.cu"
#include "kernels/common/cuda/hopper/product_low.cu"
#include "kernels/common/cuda/hopper/product_medium.cu"
#include "kernels/common/cuda/hopper/product_narrow.cu"
#include "kernels/common/cuda/hopper/product_square.cu"
#include "kernels/common/cuda/hopper/product_wide.cu"
#include "tests/cuda_emulator/tensor_map.hpp"

namespace chokepoint::hopper {

// Few multiprocessors, so that clusters take several tiles; the shared memory of an H100.
ProductMachine product_machine(int multiprocessors) {
  return {.multiprocessors = multiprocessors > 0 ? multiprocessors : 4, .shared_bytes = 232448};
}

TensorMap encode_tensor_map(const TensorBoxes& boxes) {
  try {
    return emulator::emulated_tensor_map(boxes);
  } catch (const std::runtime_error& e) {
    throw Error(Fault::unsupported, e.what(), "choose other sizes");
  }
}

std::optional<std::string> tensor_maps_missing() { return std::nullopt; }

}  // namespace chokepoint::hopper
