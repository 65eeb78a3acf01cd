// Which kernel is it that multiplies a plan's tiles? One list for the launcher and for the emulator.
#pragma once

#include "kernels/common/cuda/gemm_simt.cuh"
#include "kernels/common/cuda/gemm_tensor.cuh"

namespace chokepoint {

using GemmEntry = void (*)(GemmArgs);

template <GemmTileName kName>
GemmEntry bf16_entry(GemmLayout layout) {
  return layout == GemmLayout::nk ? gemm_tensor<kName, Dtype::bf16, GemmLayout::nk, true>
                                  : gemm_tensor<kName, Dtype::bf16, GemmLayout::kn, true>;
}

template <GemmTileName kName>
GemmEntry fp8_entry() {
  return gemm_tensor<kName, Dtype::fp8_e4m3, GemmLayout::nk, true>;
}

// Elements one by one: whatever the layout, B is [n, k] in shared memory.
inline GemmEntry scalar_entry(Dtype dtype) {
  return dtype == Dtype::bf16 ? gemm_tensor<GemmTileName::low, Dtype::bf16, GemmLayout::nk, false>
                              : gemm_tensor<GemmTileName::low, Dtype::fp8_e4m3, GemmLayout::nk, false>;
}

inline GemmEntry gemm_entry(Dtype dtype, GemmLayout layout, const GemmPlan& plan) {
  const bool bf16 = dtype == Dtype::bf16;
  if (dtype != Dtype::f32 && !plan.async) return scalar_entry(dtype);
  switch (plan.tile_name) {
    case GemmTileName::wide:
      return bf16_entry<GemmTileName::wide>(layout);
    case GemmTileName::square:
      return bf16_entry<GemmTileName::square>(layout);
    case GemmTileName::square_fp8:
      return fp8_entry<GemmTileName::square_fp8>();
    case GemmTileName::low:
      return bf16 ? bf16_entry<GemmTileName::low>(layout) : fp8_entry<GemmTileName::low>();
    case GemmTileName::thin:
      return bf16 ? bf16_entry<GemmTileName::thin>(layout) : fp8_entry<GemmTileName::thin>();
    case GemmTileName::large_f32:
      return gemm_simt<GemmTileName::large_f32>;
    case GemmTileName::small_f32:
      return gemm_simt<GemmTileName::small_f32>;
  }
  return nullptr;
}

}  // namespace chokepoint
