// The online softmax of one tile, compiled once per instruction set and picked at run time.
#include "kernels/common/softmax.hpp"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/common/softmax.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "kernels/common/softmax-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::softmax {
namespace HWY_NAMESPACE {

void fold(float* scores, std::int64_t ld, std::int64_t rows, std::int64_t keys, const std::int64_t* visible,
          float factor, RowState* states, float* carry) {
  for (std::int64_t row = 0; row < rows; ++row)
    carry[row] = fold_row(scores + row * ld, keys, std::clamp<std::int64_t>(visible[row], 0, keys), factor,
                          states[row]);
}

void scale(float* values, std::int64_t ld, std::int64_t rows, std::int64_t cols, const float* carry) {
  for (std::int64_t row = 0; row < rows; ++row) {
    if (carry[row] == 1.0F) continue;
    float* const to = values + row * ld;
    const auto factor = hn::Set(kFloats, carry[row]);
    std::int64_t col = 0;
    for (; col + kLanes <= cols; col += kLanes)
      hn::StoreU(hn::Mul(hn::LoadU(kFloats, to + col), factor), kFloats, to + col);
    for (; col < cols; ++col) to[col] *= carry[row];
  }
}

float exp2_single(float x) { return hn::GetLane(exp2(hn::Set(kFloats, x))); }

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::softmax
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::softmax {

HWY_EXPORT(fold);
HWY_EXPORT(scale);
HWY_EXPORT(exp2_single);

void fold_tile(float* scores, std::int64_t ld, std::int64_t rows, std::int64_t keys,
               const std::int64_t* visible, float factor, RowState* states, float* carry) {
  HWY_DYNAMIC_DISPATCH(fold)(scores, ld, rows, keys, visible, factor, states, carry);
}

void scale_rows(float* values, std::int64_t ld, std::int64_t rows, std::int64_t cols, const float* carry) {
  HWY_DYNAMIC_DISPATCH(scale)(values, ld, rows, cols, carry);
}

float exp2_of(float x) { return HWY_DYNAMIC_DISPATCH(exp2_single)(x); }

}  // namespace chokepoint::softmax
#endif  // HWY_ONCE
