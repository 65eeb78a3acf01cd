// What do the warps of a grouped product do? Loads, charges, and sums in bf16; those of fp8 are in grouped_fp8.cuh, and
// grouped.cuh has the kernel.
#pragma once

#include "kernels/common/cuda/hopper/grouped.hpp"
#include "kernels/common/cuda/hopper/product.cuh"

namespace chokepoint::hopper {

template <ProductTileName kName>
using WalkOfGroups = GroupedWalk<product_tile(kName).block_m, product_tile(kName).cluster>;

template <ProductTileName kName>
__device__ __forceinline__ int* grouped_tile_end(const ProductShared<kName>& shared) {
  return reinterpret_cast<int*>(shared.notes() + kProductNoteBytes);
}

// One stage: A's rows of this block; of B this block's half for both, or both halves for this block alone.
template <ProductTileName kName, TensorElement kElement>
__device__ __forceinline__ void grouped_load(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                             Mbarrier* full, const ProductWork& work, const GroupedArgs& args, int step,
                                             int stage, int rank) {
  constexpr ProductTile kTile = product_tile(kName);
  constexpr int kHalfBytes = kTile.b_bytes() / 2;
  const int k = step * (kTileRowBytes / bytes_of(kElement));
  const int b_row = work.group * args.order.b_rows + work.column;
  mbarrier_arrive_expect_tx(full, kTile.a_bytes() + kTile.b_bytes());
  tma_load_2d(shared.a(stage), a, full, k, work.row);
  if constexpr (kTile.cluster > 1) {
    if (!work.alone) {
      tma_load_2d_multicast(shared.b(stage) + rank * kHalfBytes, b, full, k, b_row + rank * args.b_half, 0b11);
      return;
    }
  }
  tma_load_2d(shared.b(stage), b, full, k, b_row);
  tma_load_2d(shared.b(stage) + kHalfBytes, b, full, k, b_row + args.b_half);
}

template <ProductTileName kName, TensorElement kElement>
__device__ void grouped_produce(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                const GroupedArgs& args, WalkOfGroups<kName> walk, const TilePace& pace) {
  const int rank = Seat<product_tile(kName).cluster>{}.rank;
  produce_stages(shared, walk, pace, [&](Mbarrier* full, const ProductWork& work, int step, int stage) {
    grouped_load<kName, kElement>(shared, a, b, full, work, args, step, stage, rank);
  });
}

template <ProductTileName kName>
__device__ void grouped_charge(const GroupedArgs& args, WalkOfGroups<kName> walk, TilePace& pace) {
  const int tiles = walk.tiles();
  for (ProductWork work; walk.next(work);) {
    const int rows = min(work.row_end - work.row, product_tile(kName).block_m);
    const int columns = max(0, min(args.columns - work.column, args.order.column_block));  // of C
    const double sums = static_cast<double>(rows) * columns * (args.gated ? 2 : 1);
    pace.admit(static_cast<double>(tile_share(args.memory_bytes, work.index, tiles)), 2.0 * args.k * sums);
  }
  pace.drain();
}

// Stages that hold nothing for this consumer: its first warp gives them back, and the others wait for it, or they would
// lose count of the ring's phases. `barrier` is a named barrier of the consumer's own.
template <ProductTileName kName>
__device__ __forceinline__ void grouped_skip(const ProductShared<kName>& shared, const ProductWork& work, Cursor& at,
                                             unsigned barrier) {
  constexpr ProductTile kTile = product_tile(kName);
  const Ring<kTile.stages> ring(shared.notes());
  const bool gives = threadIdx.x % 128 < 32;
  for (int step = work.step; step < work.step_end; ++step) {
    if (gives) {
      ring.wait_full(at);
      give_back<kTile.cluster>(ring.empty(at));
    }
    ring.next(at);
  }
  barrier_sync(barrier, 128);
}

// silu(x) u by the fast exponential and quotient, each within 2 units in the last place of f32: far below bf16's.
__device__ __forceinline__ float gated_value(float x, float u) { return __fdividef(x, 1.0F + __expf(-x)) * u; }

// 64 x kColumns of C at (row, column).
template <int kColumns>
__device__ __forceinline__ void grouped_store(const TensorMap* c, const GroupedArgs& args, const ProductWork& work,
                                              SliceStore& store, const float (&d)[kColumns / 2], int row, int column) {
  if (args.store_by_tma && row + 64 <= work.row_end) {
    store.template tile<kColumns>(c, d, column, row, args.columns);
    return;
  }
  store_direct({.data = args.c, .pitch = args.columns, .rows = work.row_end, .columns = args.columns,
                .pairs = args.columns % 2 == 0},
               d, column, row);
}

// What a consumer does with its walk: `compute(work, row, at, store)` takes the stages of a tile of which it has rows.
template <ProductTileName kName, class Compute>
__device__ __forceinline__ void consume_groups(const ProductShared<kName>& shared, const GroupedArgs& args,
                                               WalkOfGroups<kName> walk, int consumer, const Compute& compute) {
  const unsigned barrier = 1 + static_cast<unsigned>(consumer);
  SliceStore store(shared.store(consumer), barrier);
  Cursor at;
  for (ProductWork work; walk.next(work);) {
    const int row = work.row + 64 * consumer;
    if (row >= work.row_end || work.column >= args.columns)
      grouped_skip<kName>(shared, work, at, barrier);
    else
      compute(work, row, at, store);
  }
  store.finish();
}

template <ProductTileName kName>
__device__ void grouped_consume(const ProductShared<kName>& shared, const TensorMap* c, const GroupedArgs& args,
                                WalkOfGroups<kName> walk, int consumer) {
  constexpr int kColumns = product_tile(kName).block_n, kSums = kColumns / 2;
  consume_groups(shared, args, walk, consumer, [&](const ProductWork& work, int row, Cursor& at, SliceStore& store) {
    float d[kSums];
    product_multiply<kName, Major::k>(shared, work, consumer, at, d);
    if (!args.gated) return grouped_store<kColumns>(c, args, work, store, d, row, work.column);
    float h[kSums / 2];
#pragma unroll
    for (int i = 0; i < kSums / 2; ++i) h[i] = gated_value(d[i], d[i + kSums / 2]);
    grouped_store<kColumns / 2>(c, args, work, store, h, row, work.column);
  });
}

}  // namespace chokepoint::hopper
