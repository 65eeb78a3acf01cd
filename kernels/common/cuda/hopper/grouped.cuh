// The rows of each group times that group's matrix, in bf16 with f32 sums, on Hopper's tensor cores (sm_90a); with
// `gated`, silu(g) * u of the sums is what leaves (grouped.hpp).
//
// Tile and pipeline: those of product.cuh, of which this is a second front: its ring, its main loop, its pace. What
//   differs is the walk: each block counts the tiles of all groups when it begins, and finds its own by bisection in
//   shared memory. Two row tiles of a group share their columns of B in a cluster; a last odd row tile is taken by both
//   blocks, for two neighbouring columns, with loads of their own. Rows of B come in two boxes, which with `gated` are
//   those of g and of u for the same columns of C: both sums of an element are in one thread.
// Rows: groups are not padded. A tile may load rows of the next group, whose sums are dropped: 64 rows that all belong
//   to the group leave by TMA, others from registers, row by row. A consumer without rows only hands its stages back.
// Registers: 40 for the loading warpgroup, 232 for two consumers of 64 x 256, 0 spills. Shared memory:
//   grouped_shared_bytes, all 227 KiB for `wide`, of which 2.5 KiB are the tiles of 640 groups.
// Bound: compute for many rows a group (989 TFLOP/s on an H100 SXM by the datasheet); memory, the weights of groups
//   with rows, for few.
// Ideas: persistent tiles found from counts on the device, contiguous and masked groups as in DeepGEMM (@54e2261),
//   which pads groups to whole tiles; boxes of g and u instead of interleaved weights are ours, as are odd row tiles
//   that a cluster shares out along the columns.
// Does not support: rows that TMA cannot reach (grouped.cu copies them first); weights [k, n].
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
template <ProductTileName kName>
__device__ __forceinline__ void grouped_load(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                             Mbarrier* full, const ProductWork& work, int b_half, int step, int stage,
                                             int rank) {
  constexpr ProductTile kTile = product_tile(kName);
  constexpr int kHalfBytes = kTile.b_bytes() / 2;
  const int k = step * kProductDepth, b_row = work.b_row + work.column;
  mbarrier_arrive_expect_tx(full, kTile.a_bytes() + kTile.b_bytes());
  tma_load_2d(shared.a(stage), a, full, k, work.row);
  if constexpr (kTile.cluster > 1) {
    if (!work.alone) {
      tma_load_2d_multicast(shared.b(stage) + rank * kHalfBytes, b, full, k, b_row + rank * b_half, 0b11);
      return;
    }
  }
  tma_load_2d(shared.b(stage), b, full, k, b_row);
  tma_load_2d(shared.b(stage) + kHalfBytes, b, full, k, b_row + b_half);
}

template <ProductTileName kName>
__device__ void grouped_produce(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                const GroupedArgs& args, WalkOfGroups<kName> walk, const TilePace& pace) {
  constexpr ProductTile kTile = product_tile(kName);
  const Ring<kTile.stages> ring(shared.notes());
  const int rank = Seat<kTile.cluster>{}.rank;
  Cursor at, gate;
  for (ProductWork work; walk.next(work);) {
    pace.enter(gate);
    for (int step = work.step; step < work.step_end; ++step) {
      ring.wait_empty(at);
      grouped_load<kName>(shared, a, b, ring.full(at), work, args.b_half, step, at.stage, rank);
      ring.next(at);
    }
  }
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

// Stages that hold nothing for this consumer.
template <ProductTileName kName>
__device__ __forceinline__ void grouped_skip(const ProductShared<kName>& shared, const ProductWork& work, Cursor& at) {
  constexpr ProductTile kTile = product_tile(kName);
  const Ring<kTile.stages> ring(shared.notes());
  for (int step = work.step; step < work.step_end; ++step) {
    ring.wait_full(at);
    give_back<kTile.cluster>(ring.empty(at));
    ring.next(at);
  }
}

// silu(x) u by the fast exponential and quotient, each within 2 units in the last place of f32: far below bf16's.
__device__ __forceinline__ float gated_value(float x, float u) { return __fdividef(x, 1.0F + __expf(-x)) * u; }

// 64 x kColumns of C at (row, column).
template <int kColumns>
__device__ __forceinline__ void grouped_store(const TensorMap* c, const GroupedArgs& args, const ProductWork& work,
                                              SliceStore& store, const float (&d)[kColumns / 2], int row) {
  if (args.store_by_tma && row + 64 <= work.row_end) {
    store.template tile<kColumns>(c, d, work.column, row, args.columns);
    return;
  }
  store_direct({.data = args.c, .pitch = args.columns, .rows = work.row_end, .columns = args.columns,
                .pairs = args.columns % 2 == 0},
               d, work.column, row);
}

template <ProductTileName kName>
__device__ void grouped_consume(const ProductShared<kName>& shared, const TensorMap* c, const GroupedArgs& args,
                                WalkOfGroups<kName> walk, int consumer) {
  constexpr ProductTile kTile = product_tile(kName);
  constexpr int kSums = kTile.block_n / 2;
  SliceStore store(shared.store(consumer), 1 + static_cast<unsigned>(consumer));
  Cursor at;
  for (ProductWork work; walk.next(work);) {
    const int row = work.row + 64 * consumer;
    if (row >= work.row_end || work.column >= args.columns) {
      grouped_skip<kName>(shared, work, at);
      continue;
    }
    float d[kSums];
    product_multiply<kName, Major::k>(shared, work, consumer, at, d);
    if (!args.gated) {
      grouped_store<kTile.block_n>(c, args, work, store, d, row);
      continue;
    }
    float h[kSums / 2];
#pragma unroll
    for (int i = 0; i < kSums / 2; ++i) h[i] = gated_value(d[i], d[i + kSums / 2]);
    grouped_store<kTile.block_n / 2>(c, args, work, store, h, row);
  }
  store.finish();
}

template <ProductTileName kName>
__global__ void __launch_bounds__(product_tile(kName).threads(), 1)
    grouped_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ TensorMap c, const __grid_constant__ GroupedArgs args) {
  constexpr ProductTile kTile = product_tile(kName);
  const ProductShared<kName> shared;
  TilePace pace(shared.pace(), args.pace);
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&a);
    prefetch_tensor_map(&b);
    if (args.store_by_tma) prefetch_tensor_map(&c);
    const Ring<kTile.stages> ring(shared.notes());
    ring.init(1, static_cast<unsigned>(kTile.consumers() * kTile.cluster));
    pace.init();
    fence_barrier_init();
  }
  int* const tile_end = grouped_tile_end(shared);
  WalkOfGroups<kName>::count_tiles(args.order, tile_end);
  __syncthreads();
  if constexpr (kTile.cluster > 1) cluster_sync();
  const WalkOfGroups<kName> walk(args.order, tile_end, args.steps);
  const int warp = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 32, 0);  // known to be the same in a warp
  if (warp < 4) {
    if constexpr (kTile.consumers() == 2) give_registers<40>();
    if (warp == 0 && lane_id() == 0) grouped_produce<kName>(shared, &a, &b, args, walk, pace);
    if (warp == 1 && lane_id() == 0 && pace.on()) grouped_charge<kName>(args, walk, pace);
  } else {
    if constexpr (kTile.consumers() == 2) take_registers<232>();
    grouped_consume<kName>(shared, &c, args, walk, warp / 4 - 1);
  }
  // A block must not leave while the other still writes to its shared memory or arrives at its barriers.
  __syncwarp();  // single lanes had work of their own
  if constexpr (kTile.cluster > 1) cluster_sync();
}

}  // namespace chokepoint::hopper
