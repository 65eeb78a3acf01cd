// How does an operand become panels of columns, and a block of sums its destination? Compiled once per
// instruction set.
//
// A panel holds kCols columns: for each k one row of kCols floats, zero where the operand has ended.
#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/common/gemm_simd.hpp"

// Included once per target by foreach_target.h.
#if defined(CHOKEPOINT_GEMM_PACK_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHOKEPOINT_GEMM_PACK_INL_HPP_
#undef CHOKEPOINT_GEMM_PACK_INL_HPP_
#else
#define CHOKEPOINT_GEMM_PACK_INL_HPP_
#endif

#include "kernels/common/gemm_convert-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {

inline constexpr int kVectors = kLanes >= 16 ? 4 : 2;  // of a panel: what the registers hold beside 6 rows
inline constexpr int kCols = kVectors * kLanes;

#if HWY_TARGET != HWY_SCALAR  // which has no lanes to exchange

// 4 floats from every fourth row: [row 0 | row 4 | row 8 | row 12] for 16 lanes.
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

// kLanes rows x 4 floats become 4 rows x kLanes floats, `stride` apart.
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

// `filled` <= kLanes rows of `length` floats become `length` rows of kLanes floats, zero beyond `filled`.
inline void transpose_rows(const float* const* rows, std::int64_t filled, std::int64_t length, float* to,
                           std::int64_t stride) {
  std::int64_t at = 0;
#if HWY_TARGET != HWY_SCALAR
  if (filled == kLanes)
    for (; at + 4 <= length; at += 4) transpose4(rows, at, to + at * stride, stride);
#endif
  for (; at < length; ++at)
    for (std::int64_t lane = 0; lane < kLanes; ++lane)
      to[at * stride + lane] = lane < filled ? rows[lane][at] : 0.0F;
}

// A block of `y`, seen as [rows, k], into panels; best when `y` is contiguous along k.
inline void pack_along_k(const Matrix& y, const Block& block, float* out) {
  constexpr std::int64_t kPiece = 128;  // of kLanes converted rows: 8 KiB with 16 lanes, stays in L1
  alignas(64) float converted[kLanes * kPiece];
  const bool in_place = readable_in_place(y);
  for (std::int64_t panel = 0; panel < block.rows; panel += kCols, out += kCols * block.k)
    for (std::int64_t first = 0; first < kCols; first += kLanes) {
      const std::int64_t filled = std::clamp<std::int64_t>(block.rows - panel - first, 0, kLanes);
      for (std::int64_t at = 0; at < block.k; at += kPiece) {
        const std::int64_t length = std::min(kPiece, block.k - at);
        const float* rows[kLanes] = {};
        for (std::int64_t lane = 0; lane < filled; ++lane) {
          const std::int64_t row = block.row0 + panel + first + lane;
          rows[lane] = in_place ? row_in_place(y, row) + block.k0 + at : converted + lane * kPiece;
          if (!in_place) convert_row(y, row, block.k0 + at, length, converted + lane * kPiece);
        }
        transpose_rows(rows, filled, length, out + at * kCols + first, kCols);
      }
    }
}

// The same when `y` is contiguous across its rows: `across` is y transposed, [k, rows]. All panels for one k
// first, so that memory is read in long runs.
inline void pack_across(const Matrix& across, const Block& block, float* out) {
  for (std::int64_t at = 0; at < block.k; ++at)
    for (std::int64_t panel = 0; panel < block.rows; panel += kCols) {
      const std::int64_t filled = std::min<std::int64_t>(kCols, block.rows - panel);
      float* row = out + panel * block.k + at * kCols;
      convert_row(across, block.k0 + at, block.row0 + panel, filled, row);
      std::fill(row + filled, row + kCols, 0.0F);
    }
}

// block[rows, cols] to the same place of `to`.
template <class T>
void write_straight(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, T* to,
                    std::int64_t stride) {
  for (std::int64_t i = 0; i < rows; ++i) store_row(block + i * ld, cols, to + i * stride);
}

// block[i, j] to row j, column i of `to`; kLanes rows of the block at a time.
template <class T>
void write_transposed(const float* block, std::int64_t ld, std::int64_t rows, std::int64_t cols, T* to,
                      std::int64_t stride) {
  constexpr std::int64_t kPiece = 64;
  alignas(64) float turned[kPiece * kLanes];
  for (std::int64_t i = 0; i < rows; i += kLanes) {
    const std::int64_t filled = std::min<std::int64_t>(kLanes, rows - i);
    for (std::int64_t j = 0; j < cols; j += kPiece) {
      const std::int64_t length = std::min(kPiece, cols - j);
      const float* sources[kLanes] = {};
      for (std::int64_t lane = 0; lane < filled; ++lane) sources[lane] = block + (i + lane) * ld + j;
      transpose_rows(sources, filled, length, turned, kLanes);
      for (std::int64_t row = 0; row < length; ++row)
        store_row(turned + row * kLanes, filled, to + (j + row) * stride + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::gemm
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
