#include "kernels/common/cuda/hopper/tensor_map.hpp"

#include <cuda.h>
#include <cudaTypedefs.h>
#include <cuda_runtime.h>
#include <fmt/format.h>

#include <cstring>

#include "harness/base/error.hpp"

namespace chokepoint::hopper {
namespace {

struct Encoder {
  PFN_cuTensorMapEncodeTiled_v12000 encode = nullptr;
  std::string missing;
};

Encoder find_encoder() {
  Encoder found;
  void* function = nullptr;
  cudaDriverEntryPointQueryResult status = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t code =
      cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &status);
  if (code != cudaSuccess) cudaGetLastError();  // or the next launch would report it
  if (code != cudaSuccess || status != cudaDriverEntryPointSuccess || function == nullptr)
    found.missing = fmt::format("the driver has no cuTensorMapEncodeTiled of CUDA 12.0: {}",
                                code != cudaSuccess ? cudaGetErrorString(code) : "it does not know the function");
  else
    found.encode = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
  return found;
}

const Encoder& encoder() {
  static const Encoder found = find_encoder();
  return found;
}

CUtensorMapDataType type_of(TensorElement element) {
  switch (element) {
    case TensorElement::bf16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case TensorElement::byte:
      return CU_TENSOR_MAP_DATA_TYPE_UINT8;
    case TensorElement::f32:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
  }
  return CU_TENSOR_MAP_DATA_TYPE_UINT8;
}

CUtensorMapSwizzle swizzle_of(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::none:
      return CU_TENSOR_MAP_SWIZZLE_NONE;
    case Swizzle::bytes_128:
      return CU_TENSOR_MAP_SWIZZLE_128B;
    case Swizzle::bytes_64:
      return CU_TENSOR_MAP_SWIZZLE_64B;
    case Swizzle::bytes_32:
      return CU_TENSOR_MAP_SWIZZLE_32B;
  }
  return CU_TENSOR_MAP_SWIZZLE_NONE;
}

}  // namespace

std::optional<std::string> tensor_maps_missing() {
  if (encoder().missing.empty()) return std::nullopt;
  return encoder().missing;
}

TensorMap encode_tensor_map(const TensorBoxes& boxes) {
  static_assert(sizeof(TensorMap) == sizeof(CUtensorMap), "a tensor map is what the driver says it is");
  const auto fail = [](const std::string& why) {
    throw Error(Fault::unsupported, "tensor map: " + why, "choose another kernel, or sizes that TMA takes");
  };
  if (const auto obstacle = tensor_map_obstacle(boxes)) fail(*obstacle);
  if (const auto missing = tensor_maps_missing()) fail(*missing);
  std::array<cuuint64_t, 5> dims;
  std::array<cuuint64_t, 4> pitch_bytes;
  std::array<cuuint32_t, 5> box, every = {1, 1, 1, 1, 1};
  for (std::size_t d = 0; d < 5; ++d) {
    dims[d] = static_cast<cuuint64_t>(boxes.dims[d]);
    box[d] = static_cast<cuuint32_t>(boxes.box[d]);
    if (d < 4) pitch_bytes[d] = static_cast<cuuint64_t>(boxes.pitch_bytes[d]);
  }
  alignas(64) CUtensorMap encoded;
  const CUresult code = encoder().encode(
      &encoded, type_of(boxes.element), static_cast<cuuint32_t>(boxes.rank), const_cast<void*>(boxes.address),
      dims.data(), pitch_bytes.data(), box.data(), every.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
      swizzle_of(boxes.swizzle), CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS) fail(fmt::format("cuTensorMapEncodeTiled answers {}", static_cast<int>(code)));
  TensorMap map;
  std::memcpy(&map, &encoded, sizeof map);
  return map;
}

}  // namespace chokepoint::hopper
