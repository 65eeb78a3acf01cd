// Dot products and weighted sums over vectors in storage, compiled once per instruction set. Blocks of 4 rows
// times 2 keys, or 4 rows times 2 or 4 vectors of columns, keep 8 or 16 sums in registers.
#include "kernels/attention/thin_rows.hpp"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/thin_rows.cpp"
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)  // nothing here gains from them
#include "hwy/foreach_target.h"
// After foreach_target.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::thin {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Vector = hn::Vec<Floats>;
inline constexpr Floats kFloats;
inline constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(kFloats));

inline constexpr std::int64_t kRows = 4, kKeys = 2;
inline constexpr int kWide = kLanes >= 16 ? 4 : 2;  // vectors of columns: 16 or 8 sums with 4 rows

HWY_INLINE Vector load(const float* from) { return hn::LoadU(kFloats, from); }
HWY_INLINE float single(const float* from) { return *from; }

// bf16 is the upper half of a float.
HWY_INLINE Vector load(const std::uint16_t* from) {
  const hn::RebindToUnsigned<Floats> words;
  const auto halves = hn::LoadU(hn::Rebind<std::uint16_t, Floats>(), from);
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(words, halves)));
}
HWY_INLINE float single(const std::uint16_t* from) { return float_from_bf16(*from); }

template <class T, int kHeight, int kCount>
HWY_INLINE void dot_block(const float* q, std::int64_t ldq, const T* const* keys, std::int64_t dim,
                          float* scores, std::int64_t ld) {
  Vector sum[kHeight][kCount];
  for (int r = 0; r < kHeight; ++r)
    for (int t = 0; t < kCount; ++t) sum[r][t] = hn::Zero(kFloats);
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    Vector key[kCount];
    for (int t = 0; t < kCount; ++t) key[t] = load(keys[t] + d);
    for (int r = 0; r < kHeight; ++r) {
      const Vector query = hn::LoadU(kFloats, q + r * ldq + d);
      for (int t = 0; t < kCount; ++t) sum[r][t] = hn::MulAdd(query, key[t], sum[r][t]);
    }
  }
  for (int r = 0; r < kHeight; ++r)
    for (int t = 0; t < kCount; ++t) {
      float dot = hn::GetLane(hn::SumOfLanes(kFloats, sum[r][t]));
      for (std::int64_t e = d; e < dim; ++e) dot += q[r * ldq + e] * single(keys[t] + e);
      scores[r * ld + t] = dot;
    }
}

template <class T, int kHeight>
void dot_rows(const float* q, std::int64_t ldq, const Vectors& keys, float* scores, std::int64_t ld) {
  const T* const data = static_cast<const T*>(keys.data);
  std::int64_t t = 0;
  for (; t + kKeys <= keys.count; t += kKeys) {
    const T* const pair[kKeys] = {data + keys.at[t], data + keys.at[t + 1]};
    dot_block<T, kHeight, kKeys>(q, ldq, pair, keys.dim, scores + t, ld);
  }
  for (; t < keys.count; ++t) {
    const T* const one[1] = {data + keys.at[t]};
    dot_block<T, kHeight, 1>(q, ldq, one, keys.dim, scores + t, ld);
  }
}

// Columns col .. col + kVectors * kLanes of kHeight rows of sums.
template <class T, int kHeight, int kVectors>
HWY_INLINE void sum_block(const float* weights, std::int64_t ld, const Vectors& values, std::int64_t col,
                          float* sums, std::int64_t ld_sums, bool accumulate) {
  const T* const data = static_cast<const T*>(values.data) + col;
  Vector sum[kHeight][kVectors];
  for (int r = 0; r < kHeight; ++r)
    for (int c = 0; c < kVectors; ++c)
      sum[r][c] = accumulate ? hn::LoadU(kFloats, sums + r * ld_sums + col + c * kLanes) : hn::Zero(kFloats);
  for (std::int64_t t = 0; t < values.count; ++t) {
    Vector value[kVectors];
    for (int c = 0; c < kVectors; ++c) value[c] = load(data + values.at[t] + c * kLanes);
    for (int r = 0; r < kHeight; ++r) {
      const Vector weight = hn::Set(kFloats, weights[r * ld + t]);
      for (int c = 0; c < kVectors; ++c) sum[r][c] = hn::MulAdd(weight, value[c], sum[r][c]);
    }
  }
  for (int r = 0; r < kHeight; ++r)
    for (int c = 0; c < kVectors; ++c) hn::StoreU(sum[r][c], kFloats, sums + r * ld_sums + col + c * kLanes);
}

template <class T, int kHeight>
void sum_rows(const float* weights, std::int64_t ld, const Vectors& values, float* sums, std::int64_t ld_sums,
              bool accumulate) {
  std::int64_t col = 0;
  for (; col + kWide * kLanes <= values.dim; col += kWide * kLanes)
    sum_block<T, kHeight, kWide>(weights, ld, values, col, sums, ld_sums, accumulate);
  for (; col + kLanes <= values.dim; col += kLanes)
    sum_block<T, kHeight, 1>(weights, ld, values, col, sums, ld_sums, accumulate);
  const T* const data = static_cast<const T*>(values.data);
  for (; col < values.dim; ++col)
    for (int r = 0; r < kHeight; ++r) {
      float sum = accumulate ? sums[r * ld_sums + col] : 0.0F;
      for (std::int64_t t = 0; t < values.count; ++t)
        sum += weights[r * ld + t] * single(data + values.at[t] + col);
      sums[r * ld_sums + col] = sum;
    }
}

// Calls body(row, std::integral_constant<int, height>) for blocks of 4 rows, then for single ones.
template <class Body>
HWY_INLINE void for_row_blocks(std::int64_t rows, const Body& body) {
  std::int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) body(row, std::integral_constant<int, kRows>());
  for (; row + 2 <= rows; row += 2) body(row, std::integral_constant<int, 2>());
  for (; row < rows; ++row) body(row, std::integral_constant<int, 1>());
}

void dots(const float* q, std::int64_t ldq, std::int64_t rows, const Vectors& keys, float* scores,
          std::int64_t ld) {
  for_row_blocks(rows, [&](std::int64_t row, auto height) {
    if (keys.dtype == Dtype::bf16)
      dot_rows<std::uint16_t, height()>(q + row * ldq, ldq, keys, scores + row * ld, ld);
    else
      dot_rows<float, height()>(q + row * ldq, ldq, keys, scores + row * ld, ld);
  });
}

void sums(const float* weights, std::int64_t ld, std::int64_t rows, const Vectors& values, float* out,
          std::int64_t ld_out, bool accumulate) {
  for_row_blocks(rows, [&](std::int64_t row, auto height) {
    if (values.dtype == Dtype::bf16)
      sum_rows<std::uint16_t, height()>(weights + row * ld, ld, values, out + row * ld_out, ld_out,
                                        accumulate);
    else
      sum_rows<float, height()>(weights + row * ld, ld, values, out + row * ld_out, ld_out, accumulate);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::thin
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chokepoint::thin {

HWY_EXPORT(dots);
HWY_EXPORT(sums);

void dot_products(const float* q, std::int64_t ldq, std::int64_t rows, const Vectors& keys, float* scores,
                  std::int64_t ld) {
  HWY_DYNAMIC_DISPATCH(dots)(q, ldq, rows, keys, scores, ld);
}

void weighted_sums(const float* weights, std::int64_t ld, std::int64_t rows, const Vectors& values,
                   float* sums, std::int64_t ld_sums, bool accumulate) {
  HWY_DYNAMIC_DISPATCH(sums)(weights, ld, rows, values, sums, ld_sums, accumulate);
}

}  // namespace chokepoint::thin
#endif  // HWY_ONCE
