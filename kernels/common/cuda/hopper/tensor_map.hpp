// How is a tensor described to the tensor memory accelerator? Boxes of up to five dimensions, the contiguous one first.
//
// Descriptions are plain data, checked without a GPU; encode_tensor_map asks the driver, found at run time (nothing
// links libcuda). A kernel takes the result as `const __grid_constant__ TensorMap`.
//   bf16 tile [rows x 64] of a row-major matrix [m, k]:
//     encode_tensor_map(matrix_boxes(a, TensorElement::bf16, {.rows = m, .columns = k}, {.rows = 128, .columns = 64}));
// Limits: CUDA driver API 13.0, cuTensorMapEncodeTiled.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/common/cuda/hopper/layout.hpp"

namespace chokepoint::hopper {

enum class TensorElement { bf16, byte, f32 };  // fp8 is bytes

constexpr int bytes_of(TensorElement element) {
  return element == TensorElement::f32 ? 4 : element == TensorElement::bf16 ? 2 : 1;
}

struct TensorBoxes {
  const void* address = nullptr;
  TensorElement element = TensorElement::bf16;
  int rank = 2;
  std::array<std::int64_t, 5> dims = {1, 1, 1, 1, 1};    // elements
  std::array<std::int64_t, 4> pitch_bytes = {};          // from one to the next along dimensions 1 to rank - 1
  std::array<int, 5> box = {1, 1, 1, 1, 1};              // elements
  Swizzle swizzle = Swizzle::bytes_128;
};

struct MatrixSize {
  std::int64_t rows = 0, columns = 0;
};

// Of a row-major matrix whose rows lie `pitch` elements apart (0: its columns).
constexpr TensorBoxes matrix_boxes(const void* address, TensorElement element, MatrixSize size, MatrixSize box,
                                   std::int64_t pitch = 0, Swizzle swizzle = Swizzle::bytes_128) {
  return {.address = address,
          .element = element,
          .dims = {size.columns, size.rows, 1, 1, 1},
          .pitch_bytes = {(pitch == 0 ? size.columns : pitch) * bytes_of(element)},
          .box = {static_cast<int>(box.columns), static_cast<int>(box.rows), 1, 1, 1},
          .swizzle = swizzle};
}

// TMA's unit: addresses and pitches are multiples of it.
inline constexpr int kTmaAlignment = 16;
constexpr bool tma_can_reach(std::int64_t pitch_bytes) { return pitch_bytes % kTmaAlignment == 0; }

// Why TMA does not take it; empty when it does.
std::optional<std::string> tensor_map_obstacle(const TensorBoxes& boxes);

// Opaque to all but the driver (CUtensorMap), or the emulator.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

// Throws Error{unsupported} when TMA does not take it, or this machine has no driver that could encode it.
TensorMap encode_tensor_map(const TensorBoxes& boxes);

// Why no tensor map can be had on this machine; empty when they can.
std::optional<std::string> tensor_maps_missing();

}  // namespace chokepoint::hopper
