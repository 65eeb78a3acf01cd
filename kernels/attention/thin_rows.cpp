// Dot products and weighted sums over vectors in storage, compiled once per instruction set. Blocks of 4 rows
// times 2 keys, or 4 rows times 2 or 4 vectors of columns, keep 8 or 16 sums in registers.
#include "kernels/attention/thin_rows.hpp"

#include <algorithm>
#include <type_traits>

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

inline constexpr int kKeys = 4;
inline constexpr int kRows = kLanes >= 16 ? 4 : 2;  // times 4 keys: 16 sums with 32 registers, 8 with 16
inline constexpr int kWide = 4;                     // vectors of columns

HWY_INLINE Vector load(const float* from) { return hn::LoadU(kFloats, from); }
HWY_INLINE float single(const float* from) { return *from; }

// bf16 is the upper half of a float.
HWY_INLINE Vector load(const std::uint16_t* from) {
  const hn::RebindToUnsigned<Floats> words;
  const auto halves = hn::LoadU(hn::Rebind<std::uint16_t, Floats>(), from);
  return hn::BitCast(kFloats, hn::ShiftLeft<16>(hn::PromoteTo(words, halves)));
}
HWY_INLINE float single(const std::uint16_t* from) { return float_from_bf16(*from); }

#if HWY_TARGET != HWY_SCALAR  // which has no lanes to exchange

// Adds up the blocks of 4 lanes of a vector.
template <class Tag>
HWY_INLINE void add_blocks(Tag tag, hn::Vec<Tag> blocks, float* to) {
  if constexpr (hn::MaxLanes(tag) <= 4) {
    hn::StoreU(blocks, tag, to);
  } else {
    const hn::Half<Tag> half;
    add_blocks(half, hn::Add(hn::LowerHalf(half, blocks), hn::UpperHalf(half, blocks)), to);
  }
}

#endif

// The sums of the lanes of four vectors, in one vector of four.
HWY_INLINE void store_sums(Vector a, Vector b, Vector c, Vector d, float* to) {
#if HWY_TARGET == HWY_SCALAR
  const Vector each[4] = {a, b, c, d};
  for (int i = 0; i < 4; ++i) to[i] = hn::GetLane(each[i]);
#else
  // Within each block of 4 lanes: [a0+a2, b0+b2, a1+a3, b1+b3], the same of c and d, then [a, b, c, d].
  const hn::Repartition<double, Floats> pairs;
  const auto ab =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(kFloats, a, b), hn::InterleaveUpper(kFloats, a, b)));
  const auto cd =
      hn::BitCast(pairs, hn::Add(hn::InterleaveLower(kFloats, c, d), hn::InterleaveUpper(kFloats, c, d)));
  const Vector abcd = hn::Add(hn::BitCast(kFloats, hn::InterleaveLower(pairs, ab, cd)),
                              hn::BitCast(kFloats, hn::InterleaveUpper(pairs, ab, cd)));
  add_blocks(kFloats, abcd, to);
#endif
}

// kHeight rows of q times kKeys keys.
template <class T, int kHeight>
HWY_INLINE void dot_block(const float* q, std::int64_t ldq, const T* const* keys, std::int64_t dim,
                          float* scores, std::int64_t ld) {
  Vector sum[kHeight][kKeys];
  for (int r = 0; r < kHeight; ++r)
    for (int t = 0; t < kKeys; ++t) sum[r][t] = hn::Zero(kFloats);
  std::int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    Vector key[kKeys];
    for (int t = 0; t < kKeys; ++t) key[t] = load(keys[t] + d);
    for (int r = 0; r < kHeight; ++r) {
      const Vector query = hn::LoadU(kFloats, q + r * ldq + d);
      for (int t = 0; t < kKeys; ++t) sum[r][t] = hn::MulAdd(query, key[t], sum[r][t]);
    }
  }
  for (int r = 0; r < kHeight; ++r) {
    float* const to = scores + r * ld;
    store_sums(sum[r][0], sum[r][1], sum[r][2], sum[r][3], to);
    for (std::int64_t e = d; e < dim; ++e)
      for (int t = 0; t < kKeys; ++t) to[t] += q[r * ldq + e] * single(keys[t] + e);
  }
}

template <class T, int kHeight>
void dot_rows(const float* q, std::int64_t ldq, const Vectors& keys, float* scores, std::int64_t ld) {
  const T* const data = static_cast<const T*>(keys.data);
  for (std::int64_t t = 0; t < keys.count; t += kKeys) {
    // Past the last key: the last one again. A row of scores has room for whole blocks.
    const T* block[kKeys];
    for (int i = 0; i < kKeys; ++i) block[i] = data + keys.at[std::min(t + i, keys.count - 1)];
    dot_block<T, kHeight>(q, ldq, block, keys.dim, scores + t, ld);
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

// Calls body(row, std::integral_constant<int, height>) for blocks of 4 or 2 rows, then for smaller ones.
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
