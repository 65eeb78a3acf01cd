// What does cuBLASLt ask of an fp8 product of matmul? The shapes it takes, and the order of scales.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/cuda/cublaslt.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {

// Why the library cannot compute this product; empty when it may be asked.
inline std::optional<std::string> cublaslt_unsupported(const Shape& shape, Dtype dtype) {
  if (!cublaslt().missing.empty()) return cublaslt().missing;
  if (dtype != Dtype::fp8_e4m3) return scaling_obstacle(shape, dtype);
  const bool many_scales = scaling_of(shape) != Scaling::tensor;
  if (many_scales && CHOKEPOINT_CUBLASLT_BLOCK_SCALES == 0)
    return "built with headers of a cuBLAS before 12.9: no block scales for fp8";
  if (many_scales && cublaslt().version() < 120900)
    return cublaslt().name + " is older than 12.9: no block scales for fp8";
  if (shape.has("b_layout") && shape.word("b_layout") != "nk")
    return "cuBLASLt multiplies fp8 with b as [n, k] only";
  // Rows of all arrays, those of scales included, begin at 16 bytes; one scale has no rows.
  for (const auto& [field, multiple] : {std::pair{"m", many_scales ? 4 : 1}, {"n", 16}, {"k", 16}})
    if (shape[field] % multiple != 0)
      return std::string(field) + " is " + std::to_string(shape[field]) +
             ": cuBLASLt's fp8 wants a multiple of " + std::to_string(multiple);
  return std::nullopt;
}

// Scales of 128 x 128 blocks with rows padded to 4.
inline std::vector<float> padded_scales(const Tensor& b_scale) {
  const std::int64_t rows = b_scale.dims()[0], cols = b_scale.dims()[1], padded = (cols + 3) / 4 * 4;
  std::vector<float> scales(static_cast<std::size_t>(rows * padded), 0.0F);
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < cols; ++j)
      scales[static_cast<std::size_t>(i * padded + j)] =
          b_scale.as<float>()[static_cast<std::size_t>(i * cols + j)];
  return scales;
}

// Scales of [rows, k / 128] as [k / 128, rows].
inline std::vector<float> turned_scales(const Tensor& scale) {
  const std::int64_t rows = scale.dims()[0], cols = scale.dims()[1];
  std::vector<float> scales(static_cast<std::size_t>(rows * cols));
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < cols; ++j)
      scales[static_cast<std::size_t>(j * rows + i)] =
          scale.as<float>()[static_cast<std::size_t>(i * cols + j)];
  return scales;
}

// The problem's scales in cuBLASLt's order: kernels/common/cuda/cublaslt.hpp, at the top. One alone is in any order.
inline std::vector<float> cublaslt_w_scales(const MatmulProblem& problem) {
  return problem.scaling() == Scaling::blocks ? padded_scales(problem.b_scale()) : turned_scales(problem.b_scale());
}
inline std::vector<float> cublaslt_x_scales(const MatmulProblem& problem) { return turned_scales(problem.a_scale()); }

}  // namespace chokepoint
