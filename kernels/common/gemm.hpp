// How does a CPU multiply matrices fast? Panels are packed to f32, then a SIMD micro-kernel runs over them.
//
// The scheme is GotoBLAS/BLIS (Goto and van de Geijn 2008; Van Zee and van de Geijn 2015): B in panels of NR
// columns, one row of NR floats for each k; A in rows, of which MR are read at a time, one broadcast value
// each; the micro-kernel keeps an MR x NR block of C in registers. bf16 and fp8 are converted while packing,
// so every dtype runs at the f32 rate. MR, NR and the vector width are chosen at run time for the CPU found
// (Google Highway). Nothing here knows about pacing or threads, except `gemm` and `grouped_gemm`.
#pragma once

#include <cstdint>

#include "harness/base/dtype.hpp"
#include "kernels/pace.hpp"

namespace chokepoint::gemm {

// A matrix in storage, seen through strides; transposition is a matter of strides. Values are
// data[row * row_stride + col * col_stride], times scale[(row / scale_rows) * scale_row_stride +
// (col / scale_cols) * scale_col_stride] when `scale` is set. With `row_ids` set (A only), row r means stored
// row row_ids[r], of its data and of its scales (a gather).
struct Matrix {
  const void* data = nullptr;
  Dtype dtype = Dtype::f32;  // f32, bf16 or fp8_e4m3
  std::int64_t rows = 0, cols = 0;
  std::int64_t row_stride = 0, col_stride = 1;  // in elements
  const std::int32_t* row_ids = nullptr;
  const float* scale = nullptr;
  std::int64_t scale_rows = 1, scale_cols = 1, scale_row_stride = 0, scale_col_stride = 1;
};

// Sizes of packed operands in floats, padding included; 64-byte aligned buffers expected.
std::int64_t packed_a_floats(std::int64_t m, std::int64_t k);
std::int64_t packed_b_floats(std::int64_t k, std::int64_t n);

// Packs A[m0 .. m0+m, k0 .. k0+k] / B[k0 .. k0+k, n0 .. n0+n].
// A has rows = m, cols = k. B has rows = k, cols = n (give strides {1, ldb} for weights stored as [n, k]).
void pack_a(const Matrix& a, std::int64_t m0, std::int64_t m, std::int64_t k0, std::int64_t k, float* out);
void pack_b(const Matrix& b, std::int64_t k0, std::int64_t k, std::int64_t n0, std::int64_t n, float* out);

// C[m, n] (+)= packed A x packed B. C is f32, row-major with stride ldc; `accumulate` adds to what is there.
void multiply_packed(std::int64_t m, std::int64_t n, std::int64_t k, const float* packed_a,
                     const float* packed_b, float* c, std::int64_t ldc, bool accumulate);

// The same with A as plain f32 rows, `lda` floats apart: nothing to pack when it lies so already.
void multiply_rows(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                   const float* packed_b, float* c, std::int64_t ldc, bool accumulate);

// Panel heights of this CPU: blocks that are multiples of them waste nothing.
std::int64_t rows_per_panel();
std::int64_t cols_per_panel();

// Where C goes: f32 or bf16, row-major.
struct Destination {
  void* data = nullptr;
  Dtype dtype = Dtype::f32;
  std::int64_t row_stride = 0;
};

// C = A x B with all workers of the pool, blocked for the caches, charging `memory_bytes` in all (spread over
// the tiles in proportion to what they touch first) and 2 m n k FLOP on the clocks of `pace`.
void gemm(const Matrix& a, const Matrix& b, const Destination& c, const Pace& pace, double memory_bytes);

// Several products that share one call: rows of expert e against weights of expert e, no padding between
// groups.
struct Group {
  Matrix a, b;
  Destination c;
};
void grouped_gemm(const Group* groups, std::int64_t count, const Pace& pace, double memory_bytes);

}  // namespace chokepoint::gemm
