// What does `gemm` need of the SIMD side beyond packing? One call per block, so that dispatch costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/gemm.hpp"
#include "kernels/common/gemm_plan.hpp"

namespace chokepoint::gemm {

// The same matrix with rows and columns exchanged. Not for a gather.
Matrix transposed(const Matrix& matrix);

// Floats in a vector of this CPU.
std::int64_t lanes_per_vector();

// A part of an operand seen as [rows, k]: of X, or of Y^T.
struct Block {
  std::int64_t row0 = 0, rows = 0, k0 = 0, k = 0;
};

// Row stride of packed rows in floats: whole cache lines, and not a multiple of 4 KiB, which would put the
// rows of a strip in one cache set.
inline std::int64_t packed_stride(std::int64_t k) {
  const std::int64_t lines = (k + 15) / 16;
  return 16 * (lines % 64 == 0 ? lines + 1 : lines);
}

void pack_panels(const Matrix& y, const Block& block, float* out);

// Memory that will be needed soon, fetched into L2 in small portions while something else is computed.
class Fetch {
 public:
  Fetch() = default;

  // `block` of a matrix, within `calls` calls of `some`. Not for a gather.
  Fetch(const Matrix& matrix, const Block& block, std::int64_t calls) {
    const bool along_k = matrix.col_stride == 1;
    const std::int64_t element_bytes = bytes_of(matrix.dtype);
    next_ = static_cast<const std::byte*>(matrix.data) +
            (block.row0 * matrix.row_stride + block.k0 * matrix.col_stride) * element_bytes;
    runs_ = along_k ? block.rows : block.k;
    run_bytes_ = (along_k ? block.k : block.rows) * element_bytes;
    stride_bytes_ = (along_k ? matrix.row_stride : matrix.col_stride) * element_bytes;
    const std::int64_t lines = runs_ * ((run_bytes_ + kLineBytes - 1) / kLineBytes);
    lines_per_call_ = calls > 0 ? (lines + calls - 1) / calls : 0;
  }

  void some() {
    for (std::int64_t line = 0; line < lines_per_call_ && runs_ > 0; ++line) {
      __builtin_prefetch(next_ + at_, 0, 2);
      at_ += kLineBytes;
      if (at_ < run_bytes_) continue;
      at_ = 0;
      next_ += stride_bytes_;
      --runs_;
    }
  }

 private:
  static constexpr std::int64_t kLineBytes = 64;
  const std::byte* next_ = nullptr;
  std::int64_t runs_ = 0, run_bytes_ = 0, stride_bytes_ = 0, at_ = 0, lines_per_call_ = 0;
};

// A micro-kernel calls `Fetch::some` once in so many k.
inline constexpr std::int64_t kFetchEveryK = 16;

// C[block.rows, n] (+)= X x panels, which hold n columns. X is read in place when it is f32 and contiguous
// along k, otherwise a strip of rows is converted into `strip` (`strip_floats(k)` long) just before it is
// used.
void multiply_block(const Matrix& x, const Block& block, const float* panels, std::int64_t n, float* c,
                    std::int64_t ldc, bool accumulate, float* strip, Fetch fetch);
std::int64_t strip_floats(std::int64_t k);

// C[block.rows, y.rows] (+)= X x Y^T for at most kMostDotRows rows of Y, which are f32, contiguous along k,
// and begin at block.k0.
void multiply_dots_block(const Matrix& x, const Block& block, const Matrix& y, float* c, std::int64_t ldc,
                         bool accumulate, float* strip, Fetch fetch);

// Writes block[rows, cols] (f32, row stride `ld`) to `to` from its element (row, col) on, rounded to its
// dtype. With `exchanged` the block is the transpose of what is written: block[i, j] goes to (row + j, col +
// i).
void write_block(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, bool exchanged,
                 const Destination& to, std::int64_t row, std::int64_t col);

}  // namespace chokepoint::gemm
