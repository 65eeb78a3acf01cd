// C[m, n] = A[m, k] x B in bf16 or fp8 with f32 sums, on Hopper's tensor cores (sm_90a). What fp8 adds is in
// scaled_product.cuh.
//
// Tile and pipeline: product.hpp's ProductTile. Persistent blocks; the first warpgroup loads (one thread, TMA with
//   128-byte swizzle, a ring of `stages` steps of 128 bytes along k) and paces (one lane of its second warp); others
//   multiply: wgmma m64nNk16, four a step, one step's products in flight while the next stage is waited for. In a
//   cluster of two the blocks share B by multicast. Sums leave through shared memory (stmatrix, TMA store), so that the
//   store of a tile goes on while the next is computed. Tiles of products with few of them are cut along k, and the
//   last block to arrive adds up.
// Registers: 40 for the loading warpgroup, 232 for two consumers of 64 x 256 (128 sums, 0 spills); `low` and `narrow`
//   have one consumer and exchange none. Shared memory: product_shared_bytes, 224.5 KiB for `wide` and `square`.
// Bound: compute for large products (989 TFLOP/s on an H100 SXM by the datasheet, about 80 % of it under power limits);
//   memory for few rows.
// Ideas: warp specialisation, ring, persistent grouped order and 2-block multicast as in CUTLASS 3 (media/docs/cpp/
//   efficient_gemm.md@7107b0553) and fast.cu (@38eb642); the overlapped 128-byte-swizzled store as in DeepGEMM
//   (@54e2261). The pace is ours.
// Does not support: rows that TMA cannot reach (pitch no multiple of 16 bytes; product.cu copies them first).
#pragma once

#include "kernels/common/cuda/hopper/epilogue.cuh"
#include "kernels/common/cuda/hopper/pace.cuh"
#include "kernels/common/cuda/hopper/product.hpp"
#include "kernels/common/cuda/hopper/scaled_product.cuh"
#include "kernels/common/cuda/hopper/tile_walk.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

// Where things lie in a block's shared memory.
template <ProductTileName kName>
struct ProductShared {
  static constexpr ProductTile kTile = product_tile(kName);
  static constexpr int kStageBytes = kTile.a_bytes() + kTile.b_bytes();
  static constexpr int kPaceAt = kRingBytes<kTile.stages>, kToldAt = kPaceAt + kPaceBytes;
  static_assert(kToldAt + 4 <= kProductNoteBytes, "the notes have room");
  static_assert(kStoreBytes == 2 * 64 * kTileRowBytes, "as product_shared_bytes counts it");

  __device__ ProductShared() : base(dynamic_shared()) {}
  __device__ unsigned char* a(int stage) const { return base + stage * kStageBytes; }
  __device__ unsigned char* b(int stage) const { return a(stage) + kTile.a_bytes(); }
  __device__ unsigned char* store(int consumer) const {
    return base + kTile.stages * kStageBytes + consumer * kStoreBytes;
  }
  __device__ float* a_scales(int stage) const {
    return reinterpret_cast<float*>(store(kTile.consumers()) + stage * kTile.scale_bytes());
  }
  __device__ unsigned char* notes() const { return store(kTile.consumers()) + kTile.stages * kTile.scale_bytes(); }
  __device__ unsigned char* pace() const { return notes() + kPaceAt; }
  __device__ int* told() const { return reinterpret_cast<int*>(notes() + kToldAt); }

  unsigned char* base;
};

// One stage: A's rows of this block, and of B this block's half for the whole cluster.
template <ProductTileName kName, Major kB>
__device__ __forceinline__ void product_load(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                             const TensorMap* scales, Mbarrier* full, const ProductWork& work,
                                             int step, int stage, int rank) {
  constexpr ProductTile kTile = product_tile(kName);
  static_assert(!kTile.fp8 || kB == Major::k, "tensor cores take fp8 along k only");
  // Columns of B in a box, and boxes a stage; the first blocks of a cluster take one more where they do not divide.
  constexpr int kColumns = kB == Major::k ? kTile.block_n / kTile.cluster : 64, kBoxes = kTile.block_n / kColumns;
  constexpr int kMostBoxes = (kBoxes + kTile.cluster - 1) / kTile.cluster;
  const int k = step * kTile.depth();
  mbarrier_arrive_expect_tx(full, kTile.a_bytes() + kTile.b_bytes() + kTile.scale_bytes());
  if constexpr (kTile.fp8) scaled_load(shared.a_scales(stage), scales, full, work.row, step);
  tma_load_2d(shared.a(stage), a, full, k, work.row);
#pragma unroll
  for (int i = 0; i < kMostBoxes; ++i) {
    const int box = rank * kMostBoxes + i;
    if (kBoxes % kTile.cluster != 0 && box >= kBoxes) break;
    unsigned char* to = shared.b(stage) + box * kColumns * kTileRowBytes;
    const int column = work.column + box * kColumns;
    const int x = kB == Major::k ? k : column, y = kB == Major::k ? column : k;
    if constexpr (kTile.cluster == 1)
      tma_load_2d(to, b, full, x, y);
    else
      tma_load_2d_multicast(to, b, full, x, y, (1U << kTile.cluster) - 1U);
  }
}

// What the loading thread does with any walk: `load(full, work, step, stage)` fills a stage.
template <ProductTileName kName, class Walk, class Load>
__device__ __forceinline__ void produce_stages(const ProductShared<kName>& shared, Walk walk, const TilePace& pace,
                                               const Load& load) {
  const Ring<product_tile(kName).stages> ring(shared.notes());
  Cursor at, gate;
  for (ProductWork work; walk.next(work);) {
    pace.enter(gate);
    for (int step = work.step; step < work.step_end; ++step) {
      ring.wait_empty(at);
      load(ring.full(at), work, step, at.stage);
      ring.next(at);
    }
  }
}

template <ProductTileName kName>
using ProductWalk = DenseWalk<product_tile(kName).block_m, product_tile(kName).block_n, product_tile(kName).cluster>;

template <ProductTileName kName, Major kB>
__device__ void product_produce(const ProductShared<kName>& shared, const TensorMap* a, const TensorMap* b,
                                const TensorMap* scales, ProductWalk<kName> walk, const TilePace& pace) {
  const int rank = Seat<product_tile(kName).cluster>{}.rank;
  produce_stages(shared, walk, pace, [&](Mbarrier* full, const ProductWork& work, int step, int stage) {
    product_load<kName, kB>(shared, a, b, scales, full, work, step, stage, rank);
  });
}

template <ProductTileName kName>
__device__ void product_charge(const ProductArgs& args, ProductWalk<kName> walk, TilePace& pace) {
  constexpr ProductTile kTile = product_tile(kName);
  const int tiles = walk.tiles();
  for (ProductWork work; walk.next(work);) {
    const int rows = max(0, min(work.row_end - work.row, kTile.block_m));
    const int columns = min(args.n - work.column, kTile.block_n);
    const int depth = min(args.k, work.step_end * kTile.depth()) - work.step * kTile.depth();
    pace.admit(static_cast<double>(tile_share(args.memory_bytes, work.index, tiles)),
               2.0 * depth * (static_cast<double>(rows) * columns));
  }
  pace.drain();
}

// A consumer's 64 rows of the tile, into d.
template <ProductTileName kName, Major kB, int kSums>
__device__ __forceinline__ void product_multiply(const ProductShared<kName>& shared, const ProductWork& work,
                                                 int consumer, Cursor& at, float (&d)[kSums]) {
  constexpr ProductTile kTile = product_tile(kName);
  constexpr int kBStepBytes = kB == Major::k ? kStepBytes : kMnMajorStepBytes;
  const Ring<kTile.stages> ring(shared.notes());
  Cursor before;
  for (int step = work.step; step < work.step_end; ++step) {
    ring.wait_full(at);
    const std::uint64_t a =
        k_major_descriptor(shared_address(shared.a(at.stage)) + static_cast<unsigned>(consumer * 64 * kTileRowBytes));
    const std::uint32_t b_address = shared_address(shared.b(at.stage));
    const std::uint64_t b =
        kB == Major::k ? k_major_descriptor(b_address) : mn_major_descriptor(b_address, kTile.depth());
    sums_fence(d);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kTile.depth() / 16; ++i)
      multiply_bf16<kTile.block_n, kB>(d, advanced(a, i * kStepBytes), advanced(b, i * kBStepBytes),
                                       step > work.step || i > 0);
    warpgroup_commit();
    if (step > work.step) {  // the step before is done: its stage may be loaded again
      warpgroup_wait<1>();
      give_back<kTile.cluster>(ring.empty(before));
    }
    before = at;
    ring.next(at);
  }
  warpgroup_wait<0>();
  sums_fence(d);
  give_back<kTile.cluster>(ring.empty(before));
}

template <ProductTileName kName, Major kB>
__device__ void product_consume(const ProductShared<kName>& shared, const TensorMap* c, const ProductArgs& args,
                                ProductWalk<kName> walk, int consumer) {
  constexpr ProductTile kTile = product_tile(kName);
  constexpr int kSums = kTile.block_n / 2, kConsumerThreads = 128 * kTile.consumers();
  constexpr unsigned kAllConsumers = 1, kFirstConsumer = 2;  // named barriers
  const DirectOutput direct{.data = args.c, .pitch = args.n, .rows = args.m, .columns = args.n,
                            .is_f32 = args.c_is_f32, .pairs = args.n % 2 == 0};
  SliceStore store(shared.store(consumer), kFirstConsumer + static_cast<unsigned>(consumer));
  Cursor at;
  for (ProductWork work; walk.next(work);) {
    float d[kSums];
    if constexpr (kTile.fp8)
      scaled_multiply<kName>(shared, column_scales(args.scales, work.column, args.n), work, consumer, at, d);
    else
      product_multiply<kName, kB>(shared, work, consumer, at, d);
    if constexpr (kTile.cluster == 1) {
      if (args.order.cuts > 1) {
        const int tile = work.index / args.order.cuts;
        const std::int64_t sums = std::int64_t{tile} * args.order.cuts * kTile.block_m * kTile.block_n;
        const CutTile cut{.partials = args.partials + sums, .counter = args.counters + tile, .cut = work.cut,
                          .cuts = args.order.cuts};
        if (!join_cuts(cut, d, shared.told(), kAllConsumers, static_cast<int>(threadIdx.x) - 128, kConsumerThreads,
                       work.row_end - work.row))
          continue;
      }
    }
    const int row = work.row + 64 * consumer;
    if (args.store_by_tma)
      store.template tile<kTile.block_n>(c, d, work.column, row, args.n);
    else
      store_direct(direct, d, work.column, row);
  }
  store.finish();
}

template <ProductTileName kName, Major kB>
__global__ void __launch_bounds__(product_tile(kName).threads(), 1)
    product_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                   const __grid_constant__ TensorMap c, const __grid_constant__ ProductArgs args) {
  constexpr ProductTile kTile = product_tile(kName);
  const ProductShared<kName> shared;
  const ProductWalk<kName> walk(args.order, args.m, args.steps);
  TilePace pace(shared.pace(), args.pace);
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&a);
    prefetch_tensor_map(&b);
    if (args.store_by_tma) prefetch_tensor_map(&c);
    if constexpr (kTile.fp8) prefetch_tensor_map(&args.a_scales);
    const Ring<kTile.stages> ring(shared.notes());
    ring.init(1, static_cast<unsigned>(kTile.arrivals()));
    pace.init();
    fence_barrier_init();
  }
  if constexpr (kTile.cluster == 1)
    __syncthreads();
  else
    cluster_sync();
  const int warp = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 32, 0);  // known to be the same in a warp
  if (warp < 4) {
    if constexpr (kTile.consumers() == 2) give_registers<40>();
    if (warp == 0 && lane_id() == 0) product_produce<kName, kB>(shared, &a, &b, &args.a_scales, walk, pace);
    if (warp == 1 && lane_id() == 0 && pace.on()) product_charge<kName>(args, walk, pace);
  } else {
    if constexpr (kTile.consumers() == 2) take_registers<232>();
    product_consume<kName, kB>(shared, &c, args, walk, warp / 4 - 1);
  }
  // A block must not leave while the other still writes to its shared memory or arrives at its barriers.
  __syncwarp();  // single lanes had work of their own
  if constexpr (kTile.cluster > 1) cluster_sync();
}

}  // namespace chokepoint::hopper
