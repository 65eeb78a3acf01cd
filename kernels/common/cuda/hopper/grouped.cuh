// The rows of each group times that group's matrix, in bf16 or fp8 with f32 sums, on Hopper's tensor cores (sm_90a);
// with `gated`, silu(g) * u of the sums is what leaves (grouped.hpp).
//
// Tile and pipeline: those of product.cuh, of which this is a second front: its ring, its main loop, its pace. What
//   differs is the walk: each block counts the tiles of all groups when it begins, and finds its own by bisection in
//   shared memory. Two row tiles of a group share their columns of B in a cluster; a last odd row tile is taken by both
//   blocks, for two neighbouring columns, with loads of their own. Rows of B come in two boxes, which with `gated` are
//   those of g and of u for the same columns of C: both sums of an element are in one thread.
// Rows: groups are not padded. A tile may load rows of the next group, whose sums are dropped: 64 rows that all belong
//   to the group leave by TMA, others from registers, row by row. A consumer without rows only hands its stages back.
// fp8: what is different is in grouped_fp8.cuh.
// Registers: 40 for the loading warpgroup, 232 for two consumers of 64 x 256, 0 spills. Shared memory:
//   grouped_shared_bytes, all 227 KiB for `wide`, of which 2.5 KiB are the tiles of 640 groups.
// Bound: compute for many rows a group (989 TFLOP/s on an H100 SXM by the datasheet); memory, the weights of groups
//   with rows, for few.
// Ideas: persistent tiles found from counts on the device, contiguous and masked groups as in DeepGEMM (@54e2261),
//   which pads groups to whole tiles; boxes of g and u instead of interleaved weights are ours, as are odd row tiles
//   that a cluster shares out along the columns.
// Does not support: rows that TMA cannot reach (grouped.cu copies them first); weights [k, n].
#pragma once

#include "kernels/common/cuda/hopper/grouped_fp8.cuh"
#include "kernels/common/cuda/hopper/grouped_roles.cuh"

namespace chokepoint::hopper {

template <ProductTileName kName, TensorElement kElement>
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
    if (warp == 0 && lane_id() == 0) grouped_produce<kName, kElement>(shared, &a, &b, args, walk, pace);
    if (warp == 1 && lane_id() == 0 && pace.on()) grouped_charge<kName>(args, walk, pace);
  } else {
    if constexpr (kTile.consumers() == 2) take_registers<232>();
    if constexpr (kElement == TensorElement::bf16)
      grouped_consume<kName>(shared, &c, args, walk, warp / 4 - 1);
    else
      grouped_consume_fp8<kName>(shared, &c, args, walk, warp / 4 - 1);
  }
  // A block must not leave while the other still writes to its shared memory or arrives at its barriers.
  __syncwarp();  // single lanes had work of their own
  if constexpr (kTile.cluster > 1) cluster_sync();
}

}  // namespace chokepoint::hopper
