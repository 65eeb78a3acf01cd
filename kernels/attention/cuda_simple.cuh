// Which device code does a plan of cuda_simple stand for, and with which arguments? No launch: tests call
// this too.
#pragma once

#include <bit>

#include "kernels/attention/simple_latent.cuh"
#include "kernels/attention/simple_merge.cuh"
#include "kernels/attention/simple_plain.cuh"
#include "kernels/attention/simple_rows.cuh"

namespace chokepoint {

// Everything but the pointers.
template <class T>
SimpleArguments<T> simple_arguments(const AttentionSizes& sizes, const SimplePlan& plan) {
  SimpleArguments<T> a{};
  const auto narrow = [](std::int64_t value) { return static_cast<int>(value); };
  a.batch = narrow(sizes.batch);
  a.heads_q = narrow(sizes.heads_q);
  a.heads_kv = narrow(sizes.heads_kv);
  a.heads_per_kv = narrow(sizes.heads_per_kv());
  a.seq_q = narrow(sizes.seq_q);
  a.context = narrow(sizes.context);
  a.qk_dim = narrow(sizes.qk_dim);
  a.v_dim = narrow(sizes.v_dim);
  a.page_size = narrow(sizes.page_size);
  const auto pages = static_cast<std::uint64_t>(sizes.page_size);
  a.page_shift = std::has_single_bit(pages) ? std::countr_zero(pages) : -1;
  a.pages_per_sequence = narrow(sizes.pages_per_sequence());
  a.causal = sizes.causal;
  a.shared_value = sizes.shared_value;
  a.factor = static_cast<float>(sizes.scale * 1.4426950408889634);  // log2(e)
  a.row_tiles = narrow(plan.row_tiles);
  a.splits = plan.splits;
  return a;
}

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
