#include "kernels/tp_block/vector_loops.hpp"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tp_block/vector_loops.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per instruction set.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chokepoint::tp_block::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;
using Vector = hn::Vec<Floats>;

HWY_INLINE Vector load(const float* from) { return hn::LoadU(Floats(), from); }

HWY_INLINE Vector load(const std::uint16_t* from) {
  const hn::RebindToUnsigned<Floats> words;
  const hn::Rebind<std::uint16_t, Floats> halves;
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(words, hn::LoadU(halves, from))));
}

HWY_INLINE void store(Vector value, float* to) { hn::StoreU(value, Floats(), to); }

// Round to nearest even, as bf16_from_float; NaN becomes the quiet NaN with all bits set.
HWY_INLINE void store(Vector value, std::uint16_t* to) {
  const hn::RebindToUnsigned<Floats> words;
  const hn::Rebind<std::uint16_t, Floats> halves;
  const auto bits = hn::BitCast(words, value);
  const auto is_odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(words, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(is_odd, hn::Set(words, 0x7fff))));
  const auto nan_bits = hn::ShiftRight<16>(hn::BitCast(words, hn::VecFromMask(Floats(), hn::IsNaN(value))));
  hn::StoreU(hn::DemoteTo(halves, hn::BitCast(hn::RebindToSigned<Floats>(), hn::Or(rounded, nan_bits))),
             halves, to);
}

float widened(float value) { return value; }
float widened(std::uint16_t bits) { return float_from_bf16(bits); }
void assign(float& to, float value) { to = value; }
void assign(std::uint16_t& to, float value) { to = bf16_from_float(value); }

// x / (1 + exp(-x)). Below -88 the exponential would leave the range of f32, and silu is zero to f32.
HWY_INLINE Vector silu(Vector x) {
  const Floats d;
  const Vector exponential = hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0F)));
  return hn::Div(x, hn::Add(hn::Set(d, 1.0F), exponential));
}

void Activate(float* HWY_RESTRICT gate, const float* HWY_RESTRICT up, std::int64_t count) {
  const Floats d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vector activated = silu(load(gate + i));
    store(up == nullptr ? activated : hn::Mul(activated, load(up + i)), gate + i);
  }
  for (; i < count; ++i) gate[i] = gate[i] / (1.0F + std::exp(-gate[i])) * (up == nullptr ? 1.0F : up[i]);
}

template <class T>
void settle_typed(const T* arrived, const float* partial, T* out, std::int64_t count) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(Floats()));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vector own = load(partial + i);
    store(arrived == nullptr ? own : hn::Add(own, load(arrived + i)), out + i);
  }
  for (; i < count; ++i) assign(out[i], partial[i] + (arrived == nullptr ? 0.0F : widened(arrived[i])));
}

void Settle(const void* arrived, const float* partial, void* out, Dtype dtype, std::int64_t count) {
  if (dtype == Dtype::f32)
    settle_typed(static_cast<const float*>(arrived), partial, static_cast<float*>(out), count);
  else
    settle_typed(static_cast<const std::uint16_t*>(arrived), partial, static_cast<std::uint16_t*>(out),
                 count);
}

}  // namespace chokepoint::tp_block::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::tp_block {

HWY_EXPORT(Activate);
HWY_EXPORT(Settle);

void activate(float* gate, const float* up, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(Activate)(gate, up, count);
}

void settle(const void* arrived, const float* partial, void* out, Dtype dtype, std::int64_t count) {
  HWY_DYNAMIC_DISPATCH(Settle)(arrived, partial, out, dtype, count);
}

}  // namespace chokepoint::tp_block
#endif
