// The SIMD side of the online softmax, compiled once per instruction set: 2^x, and one row of one tile.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "kernels/common/softmax.hpp"

// Included once per target by foreach_target.h.
#if defined(CHOKEPOINT_SOFTMAX_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHOKEPOINT_SOFTMAX_INL_HPP_
#undef CHOKEPOINT_SOFTMAX_INL_HPP_
#else
#define CHOKEPOINT_SOFTMAX_INL_HPP_
#endif

HWY_BEFORE_NAMESPACE();
namespace chokepoint::softmax {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats kFloats;
inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(kFloats));
inline constexpr float kNothing = -std::numeric_limits<float>::infinity();

// 2^x for x <= 0: the nearest whole number goes to the exponent, the rest through a polynomial of degree 5,
// minimax in relative error on [-1/2, 1/2] (own Remez fit, 7.5e-8). Below -126 the result would be subnormal:
// 0.
HWY_INLINE Vector exp2(Vector x) {
  const hn::RebindToSigned<Floats> integers;
  const Vector least = hn::Set(kFloats, -126.0F);
  const Vector bounded = hn::Max(x, least), whole = hn::Round(bounded), rest = hn::Sub(bounded, whole);
  Vector p = hn::Set(kFloats, 0.001326472736F);
  p = hn::MulAdd(p, rest, hn::Set(kFloats, 0.009671512966F));
  p = hn::MulAdd(p, rest, hn::Set(kFloats, 0.05550733746F));
  p = hn::MulAdd(p, rest, hn::Set(kFloats, 0.2402224208F));
  p = hn::MulAdd(p, rest, hn::Set(kFloats, 0.6931469776F));
  p = hn::MulAdd(p, rest, hn::Set(kFloats, 1.0F));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(integers, whole));
  const Vector power = hn::BitCast(kFloats, hn::Add(hn::BitCast(integers, p), exponent));
  return hn::IfThenElseZero(hn::Ge(x, least), power);
}

// One row of one tile; returns the factor for what was summed before. See `fold_tile`.
HWY_INLINE float fold_row(float* HWY_RESTRICT scores, std::int64_t keys, std::int64_t visible, float factor,
                          RowState& state) {
  std::fill(scores + visible, scores + padded(keys), kNothing);
  const std::int64_t end = padded(visible);  // beyond it there is nothing but -infinity
  Vector largest = hn::Set(kFloats, kNothing);
  for (std::int64_t key = 0; key < end; key += kLanes)
    largest = hn::Max(largest, hn::LoadU(kFloats, scores + key));
  const float before = state.largest;
  state.largest = std::max(before, hn::GetLane(hn::MaxOfLanes(kFloats, largest)));
  if (state.largest == kNothing) {  // no key yet: weights of nothing are 0, not 2^(nothing - nothing)
    std::fill(scores, scores + keys, 0.0F);
    return 1.0F;
  }
  const Vector scale = hn::Set(kFloats, factor), shift = hn::Set(kFloats, state.largest);
  Vector sum = hn::Zero(kFloats);
  // Subtracting first keeps the exponent at or below 0 however large the scores are.
  for (std::int64_t key = 0; key < end; key += kLanes) {
    const Vector weight = exp2(hn::Mul(hn::Sub(hn::LoadU(kFloats, scores + key), shift), scale));
    hn::StoreU(weight, kFloats, scores + key);
    sum = hn::Add(sum, weight);
  }
  std::fill(scores + end, scores + std::max(end, keys), 0.0F);
  const float carry =
      before == state.largest ? 1.0F : hn::GetLane(exp2(hn::Set(kFloats, (before - state.largest) * factor)));
  state.sum = state.sum * carry + hn::GetLane(hn::SumOfLanes(kFloats, sum));
  return carry;
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::softmax
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
