// What does `gemm` need of the SIMD side beyond packing? One call per block, so that dispatch costs nothing.
#pragma once

#include <cstdint>

#include "kernels/common/gemm.hpp"

namespace chokepoint::gemm {

// The same matrix with rows and columns exchanged. Not for a gather.
Matrix transposed(const Matrix& matrix);

// Floats in a vector of this CPU.
std::int64_t lanes_per_vector();

// Both operands are seen as [rows, k]: X and Y^T. Packs rows y0 .. y0+count of `y`, k0 .. k0+k, into panels.
void pack_panels(const Matrix& y, std::int64_t y0, std::int64_t count, std::int64_t k0, std::int64_t k,
                 float* out);

// C[count, n] (+)= X[x0 .. x0+count, k0 .. k0+k] x panels. X is read in place when it is f32 and contiguous
// along k, otherwise a strip of rows is converted into `strip` (`strip_floats(k)` long) just before it is
// used.
void multiply_block(const Matrix& x, std::int64_t x0, std::int64_t count, std::int64_t k0, std::int64_t k,
                    const float* panels, std::int64_t n, float* c, std::int64_t ldc, bool accumulate,
                    float* strip);
std::int64_t strip_floats(std::int64_t k);

// Writes block[rows, cols] (f32, row stride `ld`) to `to` from its element (row, col) on, rounded to its
// dtype. With `exchanged` the block is the transpose of what is written: block[i, j] goes to (row + j, col +
// i).
void write_block(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, bool exchanged,
                 const Destination& to, std::int64_t row, std::int64_t col);

}  // namespace chokepoint::gemm
