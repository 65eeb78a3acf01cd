#include "kernels/moe_layer/row_math.hpp"

#include <algorithm>
#include <bit>

#include "harness/base/dtype.hpp"
#include "kernels/moe_layer/quantise.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/moe_layer/row_math.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::moe {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
constexpr Floats kFloats;

HWY_INLINE Vector load_bf16(const std::uint16_t* from) {
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::RebindToUnsigned<Floats> words;
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, from))));
}

// Calls body(index) for whole vectors and rest(index) for what is left of [0, length).
template <class Body, class Rest>
HWY_INLINE void over(std::int64_t length, const Body& body, const Rest& rest) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(kFloats));
  std::int64_t i = 0;
  for (; i + lanes <= length; i += lanes) body(i);
  for (; i < length; ++i) rest(i);
}

HWY_INLINE Vector swiglu(Vector gate, Vector up) {
  // exp(88) is near the largest float; below -88 silu is smaller than 1e-35, so the limit is harmless.
  const Vector exponent = hn::Min(hn::Neg(gate), hn::Set(kFloats, 88.0F));
  const Vector denominator = hn::Add(hn::Set(kFloats, 1.0F), hn::Exp(kFloats, exponent));
  return hn::Mul(hn::Div(gate, denominator), up);
}

void swiglu_row(const float* gate_up, std::int64_t width, float* out) {
  over(
      width,
      [&](std::int64_t i) {
        hn::StoreU(swiglu(hn::LoadU(kFloats, gate_up + i), hn::LoadU(kFloats, gate_up + width + i)), kFloats,
                   out + i);
      },
      [&](std::int64_t i) {
        out[i] = hn::GetLane(swiglu(hn::Set(kFloats, gate_up[i]), hn::Set(kFloats, gate_up[width + i])));
      });
}

// e4m3 codes of values within +-448, round to nearest even. Normal numbers: the 20 lowest bits of an f32 are
// cut with rounding, a carry moves into the exponent; 120 is the difference of the exponents' biases. Below
// 2^-6: multiples of 2^-9, rounded by the addition of 2^23, whose last bit counts ones.
HWY_INLINE auto e4m3_codes(Vector value) {
  const hn::RebindToUnsigned<Floats> words;
  const hn::RebindToSigned<Floats> integers;
  const Vector size = hn::Abs(value);
  const auto sign = hn::ShiftRight<24>(hn::And(hn::BitCast(words, value), hn::Set(words, 0x80000000U)));
  const auto bits = hn::BitCast(words, size);
  const auto even = hn::And(hn::ShiftRight<20>(bits), hn::Set(words, 1U));
  const auto rounded = hn::ShiftRight<20>(hn::Add(bits, hn::Add(hn::Set(words, 0x7ffffU), even)));
  const auto normal = hn::Min(hn::Sub(rounded, hn::Set(words, 120U << 3)), hn::Set(words, 0x7eU));
  const Vector steps = hn::Add(hn::Mul(size, hn::Set(kFloats, 0x1p9F)), hn::Set(kFloats, 0x1p23F));
  const auto subnormal = hn::And(hn::BitCast(words, steps), hn::Set(words, 0xffU));
  const auto is_normal = hn::RebindMask(words, hn::Ge(size, hn::Set(kFloats, 0x1p-6F)));
  const auto code = hn::Or(hn::IfThenElse(is_normal, normal, subnormal), sign);
  return hn::DemoteTo(hn::Rebind<std::uint8_t, Floats>(), hn::BitCast(integers, code));
}

void quantise_row_simd(const float* values, std::int64_t length, std::uint8_t* codes, float* scales) {
  for (std::int64_t begin = 0; begin < length; begin += gemm::kScaleBlock) {
    const std::int64_t count = std::min(length - begin, gemm::kScaleBlock);
    const float* from = values + begin;
    std::uint8_t* to = codes + begin;
    Vector largest_of_lanes = hn::Set(kFloats, kSmallestAmax);
    float largest_of_rest = kSmallestAmax;
    over(
        count,
        [&](std::int64_t i) {
          largest_of_lanes = hn::Max(largest_of_lanes, hn::Abs(hn::LoadU(kFloats, from + i)));
        },
        [&](std::int64_t i) { largest_of_rest = std::max(largest_of_rest, std::abs(from[i])); });
    const float largest = std::max(largest_of_rest, hn::GetLane(hn::MaxOfLanes(kFloats, largest_of_lanes)));
    const float scale = scales[begin / gemm::kScaleBlock] = largest / kFp8E4m3Max;
    const Vector divisor = hn::Set(kFloats, scale);
    over(
        count,
        [&](std::int64_t i) {
          const hn::Rebind<std::uint8_t, Floats> bytes;
          hn::StoreU(e4m3_codes(hn::Div(hn::LoadU(kFloats, from + i), divisor)), bytes, to + i);
        },
        [&](std::int64_t i) { to[i] = fp8_e4m3_from_float(from[i] / scale); });
  }
}

void add_scaled(float* sum, const float* row, float factor, std::int64_t length) {
  const Vector factors = hn::Set(kFloats, factor);
  over(
      length,
      [&](std::int64_t i) {
        hn::StoreU(hn::MulAdd(factors, hn::LoadU(kFloats, row + i), hn::LoadU(kFloats, sum + i)), kFloats,
                   sum + i);
      },
      [&](std::int64_t i) { sum[i] += factor * row[i]; });
}

void add_bf16(float* sum, const std::uint16_t* row, std::int64_t length) {
  over(
      length,
      [&](std::int64_t i) {
        hn::StoreU(hn::Add(hn::LoadU(kFloats, sum + i), load_bf16(row + i)), kFloats, sum + i);
      },
      [&](std::int64_t i) { sum[i] += float_from_bf16(row[i]); });
}

void widen_bf16(const std::uint16_t* row, float* out, std::int64_t length) {
  over(
      length, [&](std::int64_t i) { hn::StoreU(load_bf16(row + i), kFloats, out + i); },
      [&](std::int64_t i) { out[i] = float_from_bf16(row[i]); });
}

void narrow_bf16(const float* row, std::uint16_t* out, std::int64_t length) {
  const hn::RebindToUnsigned<Floats> words;
  const hn::Rebind<std::uint16_t, Floats> halves;
  over(
      length,
      [&](std::int64_t i) {
        const auto bits = hn::BitCast(words, hn::LoadU(kFloats, row + i));
        const auto even = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1U));
        const auto upper = hn::ShiftRight<16>(hn::Add(bits, hn::Add(hn::Set(words, 0x7fffU), even)));
        hn::StoreU(hn::TruncateTo(halves, upper), halves, out + i);
      },
      [&](std::int64_t i) { out[i] = bf16_from_float(row[i]); });
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::moe
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::moe {

HWY_EXPORT(swiglu_row);
HWY_EXPORT(quantise_row_simd);
HWY_EXPORT(add_scaled);
HWY_EXPORT(add_bf16);
HWY_EXPORT(widen_bf16);
HWY_EXPORT(narrow_bf16);

void swiglu_row(const float* gate_up, std::int64_t width, float* out) {
  HWY_DYNAMIC_DISPATCH(swiglu_row)(gate_up, width, out);
}

void quantise_row_simd(const float* values, std::int64_t length, std::uint8_t* codes, float* scales) {
  HWY_DYNAMIC_DISPATCH(quantise_row_simd)(values, length, codes, scales);
}

void add_scaled(float* sum, const float* row, float factor, std::int64_t length) {
  HWY_DYNAMIC_DISPATCH(add_scaled)(sum, row, factor, length);
}

void add_bf16(float* sum, const std::uint16_t* row, std::int64_t length) {
  HWY_DYNAMIC_DISPATCH(add_bf16)(sum, row, length);
}

void widen_bf16(const std::uint16_t* row, float* out, std::int64_t length) {
  HWY_DYNAMIC_DISPATCH(widen_bf16)(row, out, length);
}

void narrow_bf16(const float* row, std::uint16_t* out, std::int64_t length) {
  HWY_DYNAMIC_DISPATCH(narrow_bf16)(row, out, length);
}

}  // namespace chokepoint::moe
#endif
