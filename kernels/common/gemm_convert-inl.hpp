// How do stored values become f32 vectors, and f32 vectors bf16? Compiled once per instruction set.
#include <algorithm>
#include <cstdint>

#include "harness/base/dtype.hpp"
#include "hwy/highway.h"
#include "kernels/common/gemm.hpp"

// Included once per target by foreach_target.h.
#if defined(CHOKEPOINT_GEMM_CONVERT_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHOKEPOINT_GEMM_CONVERT_INL_HPP_
#undef CHOKEPOINT_GEMM_CONVERT_INL_HPP_
#else
#define CHOKEPOINT_GEMM_CONVERT_INL_HPP_
#endif

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<std::uint16_t, Floats>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats kFloats;
inline constexpr Words kWords;
inline constexpr int kLanes = static_cast<int>(hn::MaxLanes(kFloats));

HWY_INLINE Vector load(const float* from) { return hn::LoadU(kFloats, from); }

HWY_INLINE Vector load(const std::uint16_t* from) {  // bf16 is the upper half of a float
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(kWords, hn::LoadU(Halves(), from))));
}

// e4m3 as f16: exponent and mantissa bits move to their places, the biases differ by 15 - 7 = 8. f16 has the
// room to keep subnormals exact. Code 0x7f would read as 480 and is NaN.
HWY_INLINE Vector load(const std::uint8_t* from) {
  const hn::Rebind<std::int16_t, Floats> shorts;
  const hn::Rebind<std::int8_t, Floats> bytes;
  const auto bits = hn::PromoteTo(shorts, hn::LoadU(bytes, reinterpret_cast<const std::int8_t*>(from)));
  const auto moved = hn::And(hn::ShiftLeft<7>(bits), hn::Set(shorts, static_cast<std::int16_t>(0xbf80)));
  const auto halves = hn::BitCast(hn::Rebind<hwy::float16_t, Floats>(), moved);
  const Vector value = hn::Mul(hn::PromoteTo(kFloats, halves), hn::Set(kFloats, 0x1p8F));
  return hn::IfThenElse(hn::Eq(hn::Abs(value), hn::Set(kFloats, 480.0F)), hn::NaN(kFloats), value);
}

HWY_INLINE float single(const float* from) { return *from; }
HWY_INLINE float single(const std::uint16_t* from) { return float_from_bf16(*from); }
HWY_INLINE float single(const std::uint8_t* from) { return float_from_fp8_e4m3(*from); }

// Round to nearest even, as bf16_from_float.
HWY_INLINE void store(Vector value, std::uint16_t* to) {
  const auto bits = hn::BitCast(kWords, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(kWords, 1U));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(kWords, 0x7fffU)), odd);
  const auto quiet = hn::Or(bits, hn::Set(kWords, 0x400000U));
  const auto chosen =
      hn::IfThenElse(hn::IsNaN(value), hn::BitCast(kFloats, quiet), hn::BitCast(kFloats, rounded));
  hn::StoreU(hn::TruncateTo(Halves(), hn::ShiftRight<16>(hn::BitCast(kWords, chosen))), Halves(), to);
}

HWY_INLINE void store(Vector value, float* to) { hn::StoreU(value, kFloats, to); }
HWY_INLINE void store_single(float value, std::uint16_t* to) { *to = bf16_from_float(value); }
HWY_INLINE void store_single(float value, float* to) { *to = value; }

// `count` floats to the dtype of the destination.
template <class T>
HWY_INLINE void store_row(const float* HWY_RESTRICT from, std::int64_t count, T* HWY_RESTRICT to) {
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(hn::LoadU(kFloats, from + i), to + i);
  for (; i < count; ++i) store_single(from[i], to + i);
}

template <class T>
HWY_INLINE void convert_run(const T* HWY_RESTRICT from, std::int64_t count, float factor,
                            float* HWY_RESTRICT to) {
  const Vector factors = hn::Set(kFloats, factor);
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::Mul(load(from + i), factors), kFloats, to + i);
  for (; i < count; ++i) to[i] = single(from + i) * factor;
}

// `count` stored elements from element `offset` on, `step` elements apart, times `factor`.
HWY_INLINE void convert(const void* data, Dtype dtype, std::int64_t offset, std::int64_t step,
                        std::int64_t count, float factor, float* to) {
  const auto typed = [&](const auto* from) HWY_ATTR {
    if (step == 1) return convert_run(from + offset, count, factor, to);
    for (std::int64_t i = 0; i < count; ++i) to[i] = single(from + offset + i * step) * factor;
  };
  if (dtype == Dtype::f32) return typed(static_cast<const float*>(data));
  if (dtype == Dtype::bf16) return typed(static_cast<const std::uint16_t*>(data));
  typed(static_cast<const std::uint8_t*>(data));
}

inline std::int64_t stored_row(const Matrix& matrix, std::int64_t row) {
  return matrix.row_ids != nullptr ? matrix.row_ids[row] : row;
}

// f32 rows that a micro-kernel can read as they lie.
inline bool readable_in_place(const Matrix& matrix) {
  return matrix.dtype == Dtype::f32 && matrix.scale == nullptr && matrix.col_stride == 1;
}

inline const float* row_in_place(const Matrix& matrix, std::int64_t row) {
  return static_cast<const float*>(matrix.data) + stored_row(matrix, row) * matrix.row_stride;
}

// Values [row, col .. col + count) of a matrix as f32, a run of equal scale at a time.
inline void convert_row(const Matrix& matrix, std::int64_t row, std::int64_t col, std::int64_t count,
                        float* to) {
  row = stored_row(matrix, row);
  const std::int64_t offset = row * matrix.row_stride, step = matrix.col_stride;
  if (matrix.scale == nullptr)
    return convert(matrix.data, matrix.dtype, offset + col * step, step, count, 1.0F, to);
  const float* scales = matrix.scale + row / matrix.scale_rows * matrix.scale_row_stride;
  for (std::int64_t end = col + count; col < end;) {
    const std::int64_t block = col / matrix.scale_cols;
    const std::int64_t run = std::min(end, (block + 1) * matrix.scale_cols) - col;
    convert(matrix.data, matrix.dtype, offset + col * step, step, run,
            scales[block * matrix.scale_col_stride], to);
    col += run;
    to += run;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::gemm
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
