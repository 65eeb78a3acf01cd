#include "kernels/rms_norm/vector_loops.hpp"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm/vector_loops.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per instruction set.
#include <hwy/cache_control.h>

#include "kernels/common/gemm_convert-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::rms_norm::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using namespace gemm::HWY_NAMESPACE;  // load, single, store, store_single

HWY_INLINE void store_past_caches(Vector value, float* to) { hn::Stream(value, kFloats, to); }

// Through 16 bytes or more of the stack; a shorter vector would be written with 16 bytes, and is stored as
// usual.
HWY_INLINE void store_past_caches(Vector value, std::uint16_t* to) {
  if constexpr (2 * kLanes < 16) {
    store(value, to);
  } else {
    alignas(64) std::uint16_t rounded[kLanes];
    store(value, rounded);
    hn::Stream(hn::Load(Halves(), rounded), Halves(), to);
  }
}

template <class T, bool kResidual, bool kBypass>
class RowLoops {
 public:
  explicit RowLoops(const Row& row)
      : row_(row), x_(static_cast<const T*>(row.x)), residual_(static_cast<const T*>(row.residual)) {}

  void normalise() const {
    const float mean = sum_of_squares() / static_cast<float>(row_.hidden);
    write(1.0F / std::sqrt(mean + row_.epsilon));
    if constexpr (kBypass) hwy::FlushStream();
  }

 private:
  HWY_INLINE Vector values(std::int64_t i) const {
    if constexpr (kResidual)
      return hn::Add(load(x_ + i), load(residual_ + i));
    else
      return load(x_ + i);
  }
  float value(std::int64_t i) const {
    if constexpr (kResidual)
      return single(x_ + i) + single(residual_ + i);
    else
      return single(x_ + i);
  }

  HWY_INLINE static void put(Vector value, T* to) {
    if constexpr (kBypass)
      store_past_caches(value, to);
    else
      store(value, to);
  }

  float sum_of_squares() const {
    // Two chains of additions keep the adder busier.
    Vector first = hn::Zero(kFloats), second = hn::Zero(kFloats);
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= row_.hidden; i += 2 * kLanes) {
      const Vector a = values(i), b = values(i + kLanes);
      first = hn::MulAdd(a, a, first);
      second = hn::MulAdd(b, b, second);
    }
    float sum = hn::GetLane(hn::SumOfLanes(kFloats, hn::Add(first, second)));
    for (; i < row_.hidden; ++i) sum += value(i) * value(i);
    return sum;
  }

  void write(float factor) const {
    const auto* gamma = static_cast<const T*>(row_.gamma);
    auto* y = static_cast<T*>(row_.y);
    auto* sum = static_cast<T*>(row_.sum);
    const Vector factors = hn::Set(kFloats, factor);
    std::int64_t i = 0;
    for (; i + kLanes <= row_.hidden; i += kLanes) {
      const Vector h = values(i);
      if constexpr (kResidual) put(h, sum + i);
      put(hn::Mul(hn::Mul(h, factors), load(gamma + i)), y + i);
    }
    for (; i < row_.hidden; ++i) {
      const float h = value(i);
      if constexpr (kResidual) store_single(h, sum + i);
      store_single(h * factor * single(gamma + i), y + i);
    }
  }

  const Row& row_;
  const T* x_;
  const T* residual_;
};

template <class T, bool kResidual>
void normalise_typed(const Row& row) {
  if (row.bypass)
    RowLoops<T, kResidual, true>(row).normalise();
  else
    RowLoops<T, kResidual, false>(row).normalise();
}

template <class T>
void normalise_typed(const Row& row) {
  if (row.residual != nullptr)
    normalise_typed<T, true>(row);
  else
    normalise_typed<T, false>(row);
}

void Normalise(const Row& row, Dtype dtype) {
  if (dtype == Dtype::f32)
    normalise_typed<float>(row);
  else
    normalise_typed<std::uint16_t>(row);
}

}  // namespace chokepoint::rms_norm::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::rms_norm {

HWY_EXPORT(Normalise);

void normalise(const Row& row, Dtype dtype) { HWY_DYNAMIC_DISPATCH(Normalise)(row, dtype); }

}  // namespace chokepoint::rms_norm
#endif
