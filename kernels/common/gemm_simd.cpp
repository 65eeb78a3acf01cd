// Compiles the SIMD headers for every instruction set and picks one at run time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/common/gemm_simd.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "kernels/common/gemm_micro-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {

std::int64_t lanes() { return kLanes; }
std::int64_t cols() { return kCols; }

void pack(const Matrix& y, const Block& block, float* out) {
  if (y.col_stride != 1 && y.row_stride == 1 && y.row_ids == nullptr)
    pack_across(transposed(y), block, out);
  else
    pack_along_k(y, block, out);
}

void rows_to_f32(const Matrix& x, std::int64_t x0, std::int64_t count, std::int64_t k0, std::int64_t k,
                 float* out, std::int64_t stride) {
  for (std::int64_t row = 0; row < count; ++row) convert_row(x, x0 + row, k0, k, out + row * stride);
}

// Calls body(rows, height, first) for each strip of up to kRows rows of `block`, in place or converted into
// `strip`.
template <class Body>
HWY_INLINE void for_strips(const Matrix& x, const Block& block, float* strip, const Body& body) {
  const bool in_place = readable_in_place(x);
  const std::int64_t stride = packed_stride(block.k);
  for (std::int64_t first = 0; first < block.rows; first += kRows) {
    const std::int64_t height = std::min<std::int64_t>(kRows, block.rows - first);
    const float* rows[kRows] = {};
    for (std::int64_t i = 0; i < height; ++i) {
      const std::int64_t row = block.row0 + first + i;
      rows[i] = in_place ? row_in_place(x, row) + block.k0 : strip + i * stride;
      if (!in_place) convert_row(x, row, block.k0, block.k, strip + i * stride);
    }
    body(rows, height, first);
  }
}

void multiply(const Matrix& x, const Block& block, const float* panels, std::int64_t n, float* c,
              std::int64_t ldc, bool accumulate, float* strip, Fetch fetch) {
  for_strips(x, block, strip,
             [&](const float* const* rows, std::int64_t height, std::int64_t first) HWY_ATTR {
               multiply_strip(rows, height, block.k, panels, n, fetch, c + first * ldc, ldc, accumulate);
             });
}

void multiply_dots(const Matrix& x, const Block& block, const Matrix& y, float* c, std::int64_t ldc,
                   bool accumulate, float* strip, Fetch fetch) {
  const float* y_rows[kMostDotRows] = {};
  for (std::int64_t row = 0; row < y.rows; ++row) y_rows[row] = row_in_place(y, row);
  for_strips(x, block, strip,
             [&](const float* const* rows, std::int64_t height, std::int64_t first) HWY_ATTR {
               dot_strip(rows, height, block.k, y_rows, y.rows, fetch, c + first * ldc, ldc, accumulate);
             });
}

void write(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, bool exchanged,
           const Destination& to, std::int64_t row, std::int64_t col) {
  const auto typed = [&](auto* out) HWY_ATTR {
    out += row * to.row_stride + col;
    if (exchanged)
      write_transposed(block, ld, rows, cols, out, to.row_stride);
    else
      write_straight(block, ld, rows, cols, out, to.row_stride);
  };
  if (to.dtype == Dtype::f32) return typed(static_cast<float*>(to.data));
  typed(static_cast<std::uint16_t*>(to.data));
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
HWY_EXPORT(multiply_dots);
HWY_EXPORT(write);

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

void pack_panels(const Matrix& y, const Block& block, float* out) {
  HWY_DYNAMIC_DISPATCH(pack)(y, block, out);
}

void pack_a(const Matrix& a, std::int64_t m0, std::int64_t m, std::int64_t k0, std::int64_t k, float* out) {
  HWY_DYNAMIC_DISPATCH(rows_to_f32)(a, m0, m, k0, k, out, packed_stride(k));
}

void pack_b(const Matrix& b, std::int64_t k0, std::int64_t k, std::int64_t n0, std::int64_t n, float* out) {
  pack_panels(transposed(b), {.row0 = n0, .rows = n, .k0 = k0, .k = k}, out);
}

void multiply_block(const Matrix& x, const Block& block, const float* panels, std::int64_t n, float* c,
                    std::int64_t ldc, bool accumulate, float* strip, Fetch fetch) {
  HWY_DYNAMIC_DISPATCH(multiply)(x, block, panels, n, c, ldc, accumulate, strip, fetch);
}

void multiply_dots_block(const Matrix& x, const Block& block, const Matrix& y, float* c, std::int64_t ldc,
                         bool accumulate, float* strip, Fetch fetch) {
  HWY_DYNAMIC_DISPATCH(multiply_dots)(x, block, y, c, ldc, accumulate, strip, fetch);
}

void multiply_rows(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                   const float* packed_b, float* c, std::int64_t ldc, bool accumulate) {
  const Matrix rows{.data = a, .rows = m, .cols = k, .row_stride = lda};
  multiply_block(rows, {.rows = m, .k = k}, packed_b, n, c, ldc, accumulate, nullptr, Fetch());
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
