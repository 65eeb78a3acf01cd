// Compiles gemm_simd-inl.hpp for every instruction set and picks one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/common/gemm_simd.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "kernels/common/gemm_simd-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {

std::int64_t lanes() { return kLanes; }
std::int64_t cols() { return kCols; }

void pack(const Matrix& y, std::int64_t y0, std::int64_t count, std::int64_t k0, std::int64_t k, float* out) {
  if (y.col_stride != 1 && y.row_stride == 1 && y.row_ids == nullptr)
    pack_across(transposed(y), y0, count, k0, k, out);
  else
    pack_from_rows(y, y0, count, k0, k, out);
}

void rows_to_f32(const Matrix& x, std::int64_t x0, std::int64_t count, std::int64_t k0, std::int64_t k,
                 float* out, std::int64_t stride) {
  for (std::int64_t row = 0; row < count; ++row) convert_row(x, x0 + row, k0, k, out + row * stride);
}

void multiply(const Matrix& x, std::int64_t x0, std::int64_t count, std::int64_t k0, std::int64_t k,
              const float* panels, std::int64_t n, float* c, std::int64_t ldc, bool accumulate,
              float* strip) {
  const bool in_place = x.dtype == Dtype::f32 && x.scale == nullptr && x.col_stride == 1;
  const std::int64_t stride = strip_floats(k) / kRows;
  for (std::int64_t row = 0; row < count; row += kRows) {
    const std::int64_t height = std::min<std::int64_t>(kRows, count - row);
    const float* rows[kRows] = {};
    for (std::int64_t i = 0; i < height; ++i) {
      const std::int64_t at = x0 + row + i;
      if (in_place) {
        const std::int64_t stored = x.row_ids != nullptr ? x.row_ids[at] : at;
        rows[i] = static_cast<const float*>(x.data) + stored * x.row_stride + k0;
      } else {
        convert_row(x, at, k0, k, strip + i * stride);
        rows[i] = strip + i * stride;
      }
    }
    multiply_strip(rows, height, k, panels, n, c + row * ldc, ldc, accumulate);
  }
}

void write(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, bool exchanged,
           const Destination& to, std::int64_t row, std::int64_t col) {
  const std::int64_t to_rows = exchanged ? cols : rows, to_cols = exchanged ? rows : cols;
  const std::int64_t row_step = exchanged ? 1 : ld, col_step = exchanged ? ld : 1;
  for (std::int64_t i = 0; i < to_rows; ++i) {
    const float* from = block + i * row_step;
    const std::int64_t at = (row + i) * to.row_stride + col;
    if (to.dtype == Dtype::f32) {
      float* out = static_cast<float*>(to.data) + at;
      for (std::int64_t j = 0; j < to_cols; ++j) out[j] = from[j * col_step];
    } else {
      auto* out = static_cast<std::uint16_t*>(to.data) + at;
      for (std::int64_t j = 0; j < to_cols; ++j) out[j] = bf16_from_float(from[j * col_step]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::gemm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::gemm {

HWY_EXPORT(lanes);
HWY_EXPORT(cols);
HWY_EXPORT(pack);
HWY_EXPORT(rows_to_f32);
HWY_EXPORT(multiply);
HWY_EXPORT(write);

namespace {

// Row stride of packed rows: whole cache lines, and not a multiple of 4 KiB, which would put all rows in one
// cache set.
std::int64_t packed_stride(std::int64_t k) {
  const std::int64_t lines = (k + 15) / 16;
  return 16 * (lines % 64 == 0 ? lines + 1 : lines);
}

}  // namespace

Matrix transposed(const Matrix& matrix) {
  Matrix result = matrix;
  std::swap(result.rows, result.cols);
  std::swap(result.row_stride, result.col_stride);
  std::swap(result.scale_rows, result.scale_cols);
  std::swap(result.scale_row_stride, result.scale_col_stride);
  return result;
}

std::int64_t lanes_per_vector() { return HWY_DYNAMIC_DISPATCH(lanes)(); }
std::int64_t rows_per_panel() { return 6; }
std::int64_t cols_per_panel() { return HWY_DYNAMIC_DISPATCH(cols)(); }

std::int64_t strip_floats(std::int64_t k) { return rows_per_panel() * packed_stride(k); }
std::int64_t packed_a_floats(std::int64_t m, std::int64_t k) { return m * packed_stride(k); }
std::int64_t packed_b_floats(std::int64_t k, std::int64_t n) {
  const std::int64_t wide = cols_per_panel();
  return (n + wide - 1) / wide * wide * k;
}

void pack_panels(const Matrix& y, std::int64_t y0, std::int64_t count, std::int64_t k0, std::int64_t k,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(pack)(y, y0, count, k0, k, out);
}

void pack_a(const Matrix& a, std::int64_t m0, std::int64_t m, std::int64_t k0, std::int64_t k, float* out) {
  HWY_DYNAMIC_DISPATCH(rows_to_f32)(a, m0, m, k0, k, out, packed_stride(k));
}

void pack_b(const Matrix& b, std::int64_t k0, std::int64_t k, std::int64_t n0, std::int64_t n, float* out) {
  pack_panels(transposed(b), n0, n, k0, k, out);
}

void multiply_block(const Matrix& x, std::int64_t x0, std::int64_t count, std::int64_t k0, std::int64_t k,
                    const float* panels, std::int64_t n, float* c, std::int64_t ldc, bool accumulate,
                    float* strip) {
  HWY_DYNAMIC_DISPATCH(multiply)(x, x0, count, k0, k, panels, n, c, ldc, accumulate, strip);
}

void multiply_rows(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                   const float* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  multiply_block({.data = a, .rows = m, .cols = k, .row_stride = lda}, 0, m, 0, k, packed_b, n, c, ldc,
                 accumulate, nullptr);
}

void multiply_packed(std::int64_t m, std::int64_t n, std::int64_t k, const float* packed_a,
                     const float* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  multiply_rows(m, n, k, packed_a, packed_stride(k), packed_b, c, ldc, accumulate);
}

void write_block(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, bool exchanged,
                 const Destination& to, std::int64_t row, std::int64_t col) {
  HWY_DYNAMIC_DISPATCH(write)(block, ld, rows, cols, exchanged, to, row, col);
}

}  // namespace chokepoint::gemm
#endif  // HWY_ONCE
