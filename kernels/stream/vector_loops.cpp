#include "kernels/stream/vector_loops.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/stream/vector_loops.cpp"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per instruction set.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chokepoint::stream::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Floats = hn::ScalableTag<float>;

// Calls `value(i)` for whole vectors and `rest(i)` for single elements at the end; stores what they return in
// `a`.
template <class Value, class Rest>
HWY_INLINE void store_all(float* HWY_RESTRICT a, std::int64_t elements, bool bypass, const Value& value,
                          const Rest& rest) {
  const Floats d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  if (bypass) {
    for (; i + 4 * lanes <= elements; i += 4 * lanes) {
      const auto first = value(i), second = value(i + lanes), third = value(i + 2 * lanes),
                 fourth = value(i + 3 * lanes);
      hn::Stream(first, d, a + i);
      hn::Stream(second, d, a + i + lanes);
      hn::Stream(third, d, a + i + 2 * lanes);
      hn::Stream(fourth, d, a + i + 3 * lanes);
    }
    hwy::FlushStream();
  }
  for (; i + lanes <= elements; i += lanes) hn::Store(value(i), d, a + i);
  for (; i < elements; ++i) a[i] = rest(i);
}

void Copy(const float* HWY_RESTRICT b, float* HWY_RESTRICT a, std::int64_t elements, bool bypass) {
  const Floats d;
  store_all(
      a, elements, bypass, [&](std::int64_t i) HWY_ATTR { return hn::LoadU(d, b + i); },
      [&](std::int64_t i) HWY_ATTR { return b[i]; });
}

void Triad(const float* HWY_RESTRICT b, const float* HWY_RESTRICT c, float factor, float* HWY_RESTRICT a,
           std::int64_t elements, bool bypass) {
  const Floats d;
  const auto factors = hn::Set(d, factor);
  store_all(
      a, elements, bypass,
      [&](std::int64_t i) HWY_ATTR { return hn::MulAdd(factors, hn::LoadU(d, c + i), hn::LoadU(d, b + i)); },
      [&](std::int64_t i) HWY_ATTR { return b[i] + factor * c[i]; });
}

}  // namespace chokepoint::stream::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::stream {

HWY_EXPORT(Copy);
HWY_EXPORT(Triad);

void copy(const float* b, float* a, std::int64_t elements, bool bypass) {
  HWY_DYNAMIC_DISPATCH(Copy)(b, a, elements, bypass);
}

void triad(const float* b, const float* c, float factor, float* a, std::int64_t elements, bool bypass) {
  HWY_DYNAMIC_DISPATCH(Triad)(b, c, factor, a, elements, bypass);
}

}  // namespace chokepoint::stream
#endif
