// How do 6 rows of X meet a panel of Y? Micro-kernels, compiled once per instruction set.
//
// A micro-kernel keeps the sums of 6 rows x one panel in registers: 6 x 64 with 32 registers of 16 floats (24
// sums, 4 for a row of the panel, 1 broadcast value), 6 x 16 with 16 registers of 8 (12 + 2 + 1). For each k
// it loads one row of the panel, which streams from L2, and one value from each row of X, which are read in
// place, contiguous along k: 10 loads for 24 multiply-adds. While it works, it fetches the next rows of X,
// which may lie in memory.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/common/gemm_simd.hpp"

// Included once per target by foreach_target.h.
#if defined(CHOKEPOINT_GEMM_MICRO_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHOKEPOINT_GEMM_MICRO_INL_HPP_
#undef CHOKEPOINT_GEMM_MICRO_INL_HPP_
#else
#define CHOKEPOINT_GEMM_MICRO_INL_HPP_
#endif

#include "kernels/common/gemm_pack-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace chokepoint::gemm {
namespace HWY_NAMESPACE {

inline constexpr int kRows = 6;

template <int kHeight, int kWide>
HWY_INLINE void add_products(const float* const* x, std::int64_t at, const float* HWY_RESTRICT y,
                             Vector (&sums)[kHeight][kWide]) {
  Vector row[kWide];
  HWY_UNROLL(8)
  for (int j = 0; j < kWide; ++j) row[j] = hn::Load(kFloats, y + j * kLanes);
  HWY_UNROLL(8)
  for (int i = 0; i < kHeight; ++i) {
    const Vector value = hn::Set(kFloats, x[i][at]);
    HWY_UNROLL(8)
    for (int j = 0; j < kWide; ++j) sums[i][j] = hn::MulAdd(value, row[j], sums[i][j]);
  }
}

// C[kHeight, cols] (+)= X[kHeight, k] x panel[k, kWide vectors]; cols <= kWide * kLanes.
template <int kHeight, int kWide>
void micro(const float* const* rows, std::int64_t k, const float* HWY_RESTRICT y, Fetch& fetch, float* c,
           std::int64_t ldc, std::int64_t cols, bool accumulate) {
  const float* x[kHeight];
  Vector sums[kHeight][kWide];
  HWY_UNROLL(8)
  for (int i = 0; i < kHeight; ++i) {
    x[i] = rows[i];
    HWY_UNROLL(8)
    for (int j = 0; j < kWide; ++j) sums[i][j] = hn::Zero(kFloats);
  }
  std::int64_t at = 0;
  for (; at + kFetchEveryK <= k; at += kFetchEveryK) {
    fetch.some();
    for (std::int64_t step = 0; step < kFetchEveryK; ++step, y += kCols) add_products(x, at + step, y, sums);
  }
  for (; at < k; ++at, y += kCols) add_products(x, at, y, sums);
  if (cols == kWide * kLanes) {
    HWY_UNROLL(8)
    for (int i = 0; i < kHeight; ++i) {
      HWY_UNROLL(8)
      for (int j = 0; j < kWide; ++j) {
        float* to = c + i * ldc + j * kLanes;
        hn::StoreU(accumulate ? hn::Add(sums[i][j], hn::LoadU(kFloats, to)) : sums[i][j], kFloats, to);
      }
    }
    return;
  }
  alignas(64) float edge[kHeight][kWide * kLanes];
  HWY_UNROLL(8)
  for (int i = 0; i < kHeight; ++i) {
    HWY_UNROLL(8)
    for (int j = 0; j < kWide; ++j) hn::Store(sums[i][j], kFloats, edge[i] + j * kLanes);
  }
  for (int i = 0; i < kHeight; ++i)
    for (std::int64_t col = 0; col < cols; ++col)
      c[i * ldc + col] = accumulate ? c[i * ldc + col] + edge[i][col] : edge[i][col];
}

// C[kHeight, kWide] (+)= X[kHeight, k] x Y[kWide, k]^T, both contiguous along k: lanes run along k and are
// added up in the end. For few rows of Y, which would leave a panel mostly empty.
template <int kHeight, int kWide>
void dots(const float* const* x_rows, const float* const* y_rows, std::int64_t k, Fetch& fetch, float* c,
          std::int64_t ldc, bool accumulate) {
  constexpr std::int64_t kStep = std::max<std::int64_t>(kLanes, kFetchEveryK);
  const float *x[kHeight], *y[kWide];
  Vector sums[kHeight][kWide];
  HWY_UNROLL(8)
  for (int j = 0; j < kWide; ++j) y[j] = y_rows[j];
  HWY_UNROLL(8)
  for (int i = 0; i < kHeight; ++i) {
    x[i] = x_rows[i];
    HWY_UNROLL(8)
    for (int j = 0; j < kWide; ++j) sums[i][j] = hn::Zero(kFloats);
  }
  std::int64_t at = 0;
  for (; at + kStep <= k; at += kStep) {
    fetch.some();
    for (std::int64_t lane = at; lane < at + kStep; lane += kLanes) {
      Vector row[kWide];
      HWY_UNROLL(8)
      for (int j = 0; j < kWide; ++j) row[j] = hn::LoadU(kFloats, y[j] + lane);
      HWY_UNROLL(8)
      for (int i = 0; i < kHeight; ++i) {
        const Vector value = hn::LoadU(kFloats, x[i] + lane);
        HWY_UNROLL(8)
        for (int j = 0; j < kWide; ++j) sums[i][j] = hn::MulAdd(value, row[j], sums[i][j]);
      }
    }
  }
  float totals[kHeight][kWide];
  HWY_UNROLL(8)
  for (int i = 0; i < kHeight; ++i) {
    HWY_UNROLL(8)
    for (int j = 0; j < kWide; ++j) totals[i][j] = hn::GetLane(hn::SumOfLanes(kFloats, sums[i][j]));
  }
  for (int i = 0; i < kHeight; ++i)
    for (int j = 0; j < kWide; ++j) {
      for (std::int64_t rest = at; rest < k; ++rest) totals[i][j] += x[i][rest] * y[j][rest];
      c[i * ldc + j] = accumulate ? c[i * ldc + j] + totals[i][j] : totals[i][j];
    }
}

using Micro = void (*)(const float* const*, std::int64_t, const float*, Fetch&, float*, std::int64_t,
                       std::int64_t, bool);

using Dots = void (*)(const float* const*, const float* const*, std::int64_t, Fetch&, float*, std::int64_t,
                      bool);

template <int kWide>
inline constexpr Micro kMicroOfHeight[kRows] = {micro<1, kWide>, micro<2, kWide>, micro<3, kWide>,
                                                micro<4, kWide>, micro<5, kWide>, micro<6, kWide>};
template <int kWide>
inline constexpr Dots kDotsOfHeight[kRows] = {dots<1, kWide>, dots<2, kWide>, dots<3, kWide>,
                                              dots<4, kWide>, dots<5, kWide>, dots<6, kWide>};

// Calls body with std::integral_constant<int, wide>; wide is in [1, kVectors].
template <class Body>
HWY_INLINE void with_width(std::int64_t wide, const Body& body) {
  if constexpr (kVectors == 4) {
    if (wide == 4) return body(std::integral_constant<int, 4>());
    if (wide == 3) return body(std::integral_constant<int, 3>());
  }
  if (wide == 2) return body(std::integral_constant<int, 2>());
  body(std::integral_constant<int, 1>());
}

// Up to kRows rows of X against all panels of Y.
inline void multiply_strip(const float* const* x, std::int64_t height, std::int64_t k, const float* panels,
                           std::int64_t n, Fetch& fetch, float* c, std::int64_t ldc, bool accumulate) {
  for (std::int64_t col = 0; col < n; col += kCols) {
    const std::int64_t cols = std::min<std::int64_t>(kCols, n - col);
    with_width((cols + kLanes - 1) / kLanes, [&](auto wide) HWY_ATTR {
      kMicroOfHeight<wide>[height - 1](x, k, panels + col * k, fetch, c + col, ldc, cols, accumulate);
    });
  }
}

// Up to kRows rows of X against n rows of Y.
inline void dot_strip(const float* const* x, std::int64_t height, std::int64_t k, const float* const* y,
                      std::int64_t n, Fetch& fetch, float* c, std::int64_t ldc, bool accumulate) {
  for (std::int64_t col = 0; col < n; col += kVectors)
    with_width(std::min<std::int64_t>(kVectors, n - col), [&](auto wide) HWY_ATTR {
      kDotsOfHeight<wide>[height - 1](x, y + col, k, fetch, c + col, ldc, accumulate);
    });
}

}  // namespace HWY_NAMESPACE
}  // namespace chokepoint::gemm
HWY_AFTER_NAMESPACE();

#endif  // include guard per target
