// Which device code does a plan of cuda_simple stand for? No launch: tests call this too.
#pragma once

#include "kernels/attention/simple_latent.cuh"
#include "kernels/attention/simple_merge.cuh"
#include "kernels/attention/simple_plain.cuh"
#include "kernels/attention/simple_rows.cuh"

namespace chokepoint {

// Calls `launch` with the kernel of a bf16 plan, a function pointer.
template <std::size_t kIndex = 0, class Launch>
void with_rows_kernel(std::size_t tile, const Launch& launch) {
  if constexpr (kIndex < kRowsTiles.size()) {
    if (tile == kIndex)
      launch(&attend_rows<kIndex>);
    else
      with_rows_kernel<kIndex + 1>(tile, launch);
  }
}

template <std::size_t kIndex = 0, class Launch>
void with_latent_kernel(std::size_t tile, const Launch& launch) {
  if constexpr (kIndex < kLatentTiles.size()) {
    if (tile == kIndex)
      launch(&attend_latent<kIndex>);
    else
      with_latent_kernel<kIndex + 1>(tile, launch);
  }
}

template <class T, class Launch>
void with_simple_kernel(const SimplePlan& plan, const Launch& launch) {
  if constexpr (sizeof(T) == sizeof(float)) {
    launch(&attend_plain<T>);
  } else {
    if (plan.method == SimpleMethod::latent)
      with_latent_kernel(plan.tile, launch);
    else
      with_rows_kernel(plan.tile, launch);
  }
}

}  // namespace chokepoint
