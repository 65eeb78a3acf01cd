// The SIMD side of the matrix product, compiled once per instruction set: conversion, packing, micro-kernels.
//
// Panels: Y (the vector operand) lies in panels of kCols columns, for each k one row of kCols floats. X (the
// broadcast operand) is read in place, kRows rows at a time, contiguous along k. A micro-kernel keeps kRows x
// kCols sums of C in registers: 6 x 64 with 32 registers of 16 floats, 6 x 16 with 16 registers of 8 (4 x 6
// and 2 x 6 sums, the rest holds a row of Y and one broadcast value).
#include <algorithm>
#include <cstdint>
#include <limits>

#include "harness/base/dtype.hpp"
#include "hwy/highway.h"
#include "kernels/common/gemm_simd.hpp"

// Included once per target by foreach_target.h.
#if defined(CHOKEPOINT_GEMM_SIMD_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHOKEPOINT_GEMM_SIMD_INL_HPP_
#undef CHOKEPOINT_GEMM_SIMD_INL_HPP_
#else
#define CHOKEPOINT_GEMM_SIMD_INL_HPP_
#endif

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats kFloats;
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(kFloats));
inline constexpr int kVectors = kLanes >= 16 ? 4 : 2;
inline constexpr int kRows = 6;
inline constexpr int kCols = kVectors * kLanes;

// ---- Conversion to f32 ----

HWY_INLINE Vector load(const float* from) { return hn::LoadU(kFloats, from); }

HWY_INLINE Vector load(const std::uint16_t* from) {  // bf16 is the upper half of a float
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::RebindToUnsigned<Floats> words;
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, from))));
}

HWY_INLINE Vector
load(const std::uint8_t* from) {  // e4m3: exponent bias 7, subnormals are mantissa * 2^-9, 0x7f is NaN
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const hn::RebindToUnsigned<Floats> words;
  const hn::RebindToSigned<Floats> integers;
  const auto bits = hn::PromoteTo(words, hn::LoadU(bytes, from));
  const auto size = hn::And(bits, hn::Set(words, 0x7fU));
  const auto sign = hn::ShiftLeft<24>(hn::And(bits, hn::Set(words, 0x80U)));
  const Vector number = hn::ConvertTo(kFloats, hn::BitCast(integers, size));
  const Vector subnormal = hn::Mul(number, hn::Set(kFloats, 0x1p-9F));
  const Vector normal = hn::BitCast(kFloats, hn::Add(hn::ShiftLeft<20>(size), hn::Set(words, 120U << 23)));
  Vector value = hn::IfThenElse(hn::Lt(number, hn::Set(kFloats, 8.0F)), subnormal, normal);
  value = hn::IfThenElse(hn::Eq(number, hn::Set(kFloats, 127.0F)), hn::NaN(kFloats), value);
  return hn::Or(value, hn::BitCast(kFloats, sign));
}

HWY_INLINE float single(const float* from) { return *from; }
HWY_INLINE float single(const std::uint16_t* from) { return float_from_bf16(*from); }
HWY_INLINE float single(const std::uint8_t* from) { return float_from_fp8_e4m3(*from); }

template <class T>
HWY_INLINE void convert(const T* HWY_RESTRICT from, std::int64_t count, float factor,
                        float* HWY_RESTRICT to) {
  const Vector factors = hn::Set(kFloats, factor);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::Mul(load(from + i), factors), kFloats, to + i);
  for (; i < count; ++i) to[i] = single(from + i) * factor;
}

// `count` stored elements starting at element `offset`, `step` elements apart, times `factor`.
HWY_INLINE void convert(const void* data, Dtype dtype, std::int64_t offset, std::int64_t step,
                        std::int64_t count, float factor, float* to) {
  const auto typed = [&](const auto* from) HWY_ATTR {
    if (step == 1) return convert(from + offset, count, factor, to);
    for (std::int64_t i = 0; i < count; ++i) to[i] = single(from + offset + i * step) * factor;
  };
  if (dtype == Dtype::f32) return typed(static_cast<const float*>(data));
  if (dtype == Dtype::bf16) return typed(static_cast<const std::uint16_t*>(data));
  typed(static_cast<const std::uint8_t*>(data));
}

// Values [row, col .. col + count) of a matrix as f32, a run of equal scale at a time.
inline void convert_row(const Matrix& matrix, std::int64_t row, std::int64_t col, std::int64_t count,
                        float* to) {
  if (matrix.row_ids != nullptr) row = matrix.row_ids[row];
  const std::int64_t offset = row * matrix.row_stride;
  if (matrix.scale == nullptr)
    return convert(matrix.data, matrix.dtype, offset + col * matrix.col_stride, matrix.col_stride, count,
                   1.0F, to);
  const float* scales = matrix.scale + row / matrix.scale_rows * matrix.scale_row_stride;
  for (std::int64_t end = col + count; col < end;) {
    const std::int64_t block = col / matrix.scale_cols;
    const std::int64_t run = std::min(end, (block + 1) * matrix.scale_cols) - col;
    convert(matrix.data, matrix.dtype, offset + col * matrix.col_stride, matrix.col_stride, run,
            scales[block * matrix.scale_col_stride], to);
    col += run;
    to += run;
  }
}

// ---- Packing Y ----

#if HWY_TARGET != HWY_SCALAR  // which has no lanes to exchange

// Blocks of 4 floats from every fourth row: [row 0 | row 4 | row 8 | row 12] for 16 lanes.
template <int kWidth>
HWY_INLINE auto load_blocks(const float* const* rows, std::int64_t at) {
  const hn::CappedTag<float, kWidth> tag;
  if constexpr (kWidth == 4) {
    return hn::LoadU(tag, rows[0] + at);
  } else {
    return hn::Combine(tag, load_blocks<kWidth / 2>(rows + kWidth / 2, at),
                       load_blocks<kWidth / 2>(rows, at));
  }
}

// Transposes kLanes rows x 4 floats into 4 rows of kLanes floats, `stride` apart.
HWY_INLINE void transpose4(const float* const* rows, std::int64_t at, float* to, std::int64_t stride) {
  const hn::Repartition<double, Floats> pairs;
  const Vector r0 = load_blocks<kLanes>(rows, at), r1 = load_blocks<kLanes>(rows + 1, at);
  const Vector r2 = load_blocks<kLanes>(rows + 2, at), r3 = load_blocks<kLanes>(rows + 3, at);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(kFloats, r0, r1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(kFloats, r2, r3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(kFloats, r0, r1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(kFloats, r2, r3));
  hn::StoreU(hn::BitCast(kFloats, hn::InterleaveLower(pairs, low01, low23)), kFloats, to);
  hn::StoreU(hn::BitCast(kFloats, hn::InterleaveUpper(pairs, low01, low23)), kFloats, to + stride);
  hn::StoreU(hn::BitCast(kFloats, hn::InterleaveLower(pairs, high01, high23)), kFloats, to + 2 * stride);
  hn::StoreU(hn::BitCast(kFloats, hn::InterleaveUpper(pairs, high01, high23)), kFloats, to + 3 * stride);
}

#endif

// kLanes (or `filled` < kLanes, the rest zero) rows of k floats into one vector column of a panel.
inline void transpose_strip(const float* const* rows, std::int64_t filled, std::int64_t k, float* to) {
  std::int64_t at = 0;
#if HWY_TARGET != HWY_SCALAR
  if (filled == kLanes)
    for (; at + 4 <= k; at += 4) transpose4(rows, at, to + at * kCols, kCols);
#endif
  for (; at < k; ++at)
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      to[at * kCols + lane] = lane < filled ? rows[lane][at] : 0.0F;
}

// Rows y0 .. y0+count of `y` (contiguous along k) into panels.
inline void pack_from_rows(const Matrix& y, std::int64_t y0, std::int64_t count, std::int64_t k0,
                           std::int64_t k, float* out) {
  constexpr std::int64_t kStripK = 128;  // of kLanes rows, converted: 8 KiB with 16 lanes, stays in L1
  alignas(64) float converted[kLanes * kStripK];
  const bool in_place = y.dtype == Dtype::f32 && y.scale == nullptr && y.col_stride == 1;
  for (std::int64_t panel = 0; panel < count; panel += kCols, out += kCols * k)
    for (std::int64_t strip = 0; strip < kCols; strip += kLanes) {
      const std::int64_t filled = std::clamp<std::int64_t>(count - panel - strip, 0, kLanes);
      for (std::int64_t at = 0; at < k; at += kStripK) {
        const std::int64_t length = std::min(kStripK, k - at);
        const float* rows[kLanes] = {};
        for (std::int64_t lane = 0; lane < filled; ++lane) {
          const std::int64_t row = y0 + panel + strip + lane;
          if (in_place) {
            const std::int64_t stored = y.row_ids != nullptr ? y.row_ids[row] : row;
            rows[lane] = static_cast<const float*>(y.data) + stored * y.row_stride + k0 + at;
          } else {
            convert_row(y, row, k0 + at, length, converted + lane * kStripK);
            rows[lane] = converted + lane * kStripK;
          }
        }
        transpose_strip(rows, filled, length, out + at * kCols + strip);
      }
    }
}

// The same when `y` is contiguous across its rows: `across` is y transposed, [k, rows].
inline void pack_across(const Matrix& across, std::int64_t y0, std::int64_t count, std::int64_t k0,
                        std::int64_t k, float* out) {
  for (std::int64_t panel = 0; panel < count; panel += kCols, out += kCols * k) {
    const std::int64_t filled = std::min<std::int64_t>(kCols, count - panel);
    for (std::int64_t at = 0; at < k; ++at) {
      convert_row(across, k0 + at, y0 + panel, filled, out + at * kCols);
      std::fill(out + at * kCols + filled, out + (at + 1) * kCols, 0.0F);
    }
  }
}

// ---- Multiplication ----

// C[kHeight, cols] (+)= X[kHeight, k] x panel[k, kWide * kLanes]; cols <= kWide * kLanes.
template <int kHeight, int kWide>
void micro(const float* const* x, std::int64_t k, const float* HWY_RESTRICT y, float* c, std::int64_t ldc,
           std::int64_t cols, bool accumulate) {
  Vector sum[kHeight][kWide];
  for (int i = 0; i < kHeight; ++i)
    for (int j = 0; j < kWide; ++j) sum[i][j] = hn::Zero(kFloats);
  for (std::int64_t at = 0; at < k; ++at, y += kCols) {
    Vector row[kWide];
    for (int j = 0; j < kWide; ++j) row[j] = hn::Load(kFloats, y + j * kLanes);
    for (int i = 0; i < kHeight; ++i) {
      const Vector value = hn::Set(kFloats, x[i][at]);
      for (int j = 0; j < kWide; ++j) sum[i][j] = hn::MulAdd(value, row[j], sum[i][j]);
    }
  }
  if (cols == kWide * kLanes) {
    for (int i = 0; i < kHeight; ++i)
      for (int j = 0; j < kWide; ++j) {
        float* to = c + i * ldc + j * kLanes;
        hn::StoreU(accumulate ? hn::Add(sum[i][j], hn::LoadU(kFloats, to)) : sum[i][j], kFloats, to);
      }
    return;
  }
  alignas(64) float edge[kWide * kLanes];
  for (int i = 0; i < kHeight; ++i) {
    for (int j = 0; j < kWide; ++j) hn::Store(sum[i][j], kFloats, edge + j * kLanes);
    for (std::int64_t col = 0; col < cols; ++col)
      c[i * ldc + col] = edge[col] + (accumulate ? c[i * ldc + col] : 0.0F);
  }
}

using Micro = void (*)(const float* const*, std::int64_t, const float*, float*, std::int64_t, std::int64_t,
                       bool);

template <int kHeight>
HWY_INLINE Micro pick(std::int64_t wide) {
  if constexpr (kVectors == 4) {
    constexpr Micro kBy[] = {micro<kHeight, 1>, micro<kHeight, 2>, micro<kHeight, 3>, micro<kHeight, 4>};
    return kBy[wide - 1];
  } else {
    return wide == 1 ? micro<kHeight, 1> : micro<kHeight, 2>;
  }
}

// One strip of up to kRows rows of X against all panels of Y.
inline void multiply_strip(const float* const* x, std::int64_t height, std::int64_t k, const float* y,
                           std::int64_t n, float* c, std::int64_t ldc, bool accumulate) {
  for (std::int64_t col = 0; col < n; col += kCols) {
    const std::int64_t cols = std::min<std::int64_t>(kCols, n - col), wide = (cols + kLanes - 1) / kLanes;
    const Micro by_height[] = {pick<1>(wide), pick<2>(wide), pick<3>(wide),
                               pick<4>(wide), pick<5>(wide), pick<6>(wide)};
    by_height[height - 1](x, k, y + col * k, c + col, ldc, cols, accumulate);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::gemm
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
