// How do values become fp8? One scale per block: scale = max |value| / 448, stored = value / scale, rounded.
#pragma once

#include <cstdint>

#include "harness/base/tensor.hpp"

namespace chokepoint::gemm {

// DeepSeek-V3's blocks: activations share a scale along 128 of k, weights over 128 x 128 (technical
// report, 3.3.2).
inline constexpr std::int64_t kScaleBlock = 128;

// Which values of a product's operands share a scale.
enum class Scaling {
  blocks,   // DeepSeek-V3's: A 1 x 128 along k, B 128 x 128
  vectors,  // A and B 1 x 128 along k: in the backward pass both are activations (technical report, 3.3.2)
  tensor    // all of A, and all of B
};

// So many rows and columns of a stored array share a scale.
struct ScaleBlock {
  std::int64_t rows = 1, cols = 1;
};

// `values` is f32 [rows, cols]; `quantised` fp8_e4m3 of the same dims; `scales` f32 [ceil(rows / block_rows),
// ceil(cols / block_cols)]. The maximum is taken as at least 1e-4, so that a block of zeros has a scale.
void quantise_fp8(const Tensor& values, std::int64_t block_rows, std::int64_t block_cols, Tensor& quantised,
                  Tensor& scales);

}  // namespace chokepoint::gemm
