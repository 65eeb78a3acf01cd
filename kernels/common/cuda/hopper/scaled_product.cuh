// What does fp8 add to a product? Sums of 128 along k are scaled and added up in f32 registers: the tensor cores' own
// sums keep about 14 bits, and every 128 have scales of their own.
//
// Part of product.cuh's kernel: loads, order, cuts, pace and stores are that one's. Another front needs the same of its
// ring: ring.init(1, tile.arrivals()), scale_bytes() expected with each stage, stages given back by warps.
// Registers: two sets of block_n / 2 sums, 96 + 96 with 192 columns, of the 232 that a thread may have (0 spills);
//   beside them the factors of two rows for two blocks of columns. Shared memory: block_m floats a stage for A's
//   scales, which come with the stage; B's, one or two a step for all rows, are read from global memory a step ahead.
// Bound: as in product.cuh, with tensor cores at twice the rate (1979 TFLOP/s on an H100 SXM by the datasheet).
// A consumer's own tensor cores are idle while it scales and adds (a quarter of the time its products take): the other
//   consumer's products run meanwhile.
// Ideas: promotion every 128 and fine-grained scales, DeepSeek-V3 report (arXiv 2412.19437, section 3.3.2); scales with
//   the stage and B's scales apart as in DeepGEMM (csrc and deep_gemm/include @54e2261).
// Does not support: other scale blocks, and fp8 of other kinds.
#pragma once

#include "kernels/common/cuda/hopper/barrier.cuh"
#include "kernels/common/cuda/hopper/product.hpp"
#include "kernels/common/cuda/hopper/tile_walk.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

// Scales of A for the rows of a tile that begins at `row`, anywhere, and this step; they count as bytes of the stage.
// Boxes of `scales` are one step of block_m rows.
__device__ __forceinline__ void scaled_load(float* to, const TensorMap* scales, Mbarrier* full, int row, int step) {
  tma_load_2d(to, scales, full, row, step);
}

// Of the two blocks of 128 columns that a tile's columns may lie in.
struct ColumnScales {
  float first, second;
};

// Where they are: a step of k lies `step` floats behind the one before. Columns of the tile before `boundary`, a
// multiple of 32 or of 64 or 128 where the tile's width is, are in the first block.
struct ColumnScaleReader {
  const float* first;
  const float* second;
  std::int64_t step;
  int boundary;

  __device__ __forceinline__ ColumnScales at(int k_step) const {
    return {__ldg(first + k_step * step), __ldg(second + k_step * step)};
  }
};

// Of a tile whose columns are neighbours, from `column` on of `columns`.
__device__ __forceinline__ ColumnScaleReader column_scales(const ProductScales& scales, int column, int columns) {
  const int block = column / kScaleBlock, last = (columns - 1) / kScaleBlock;
  return {.first = scales.b + block * scales.b_block,
          .second = scales.b + (block < last ? block + 1 : last) * scales.b_block,
          .step = scales.b_step,
          .boundary = kScaleBlock - column % kScaleBlock};
}

// sums += partial, scaled: `row` and `row_8` are A's scales of the thread's rows, the second 8 below the first.
template <int kN>
__device__ __forceinline__ void promote(float (&sums)[kN / 2], const float (&partial)[kN / 2], float row, float row_8,
                                        const ColumnScales& scales, int boundary) {
  constexpr int kAlike = kN % 128 == 0 ? 128 : kN % 64 == 0 ? 64 : 32;  // columns that are in one block together
  static_assert(kN % kAlike == 0, "blocks of scales begin at multiples of these");
#pragma unroll
  for (int first = 0; first < kN; first += kAlike) {
    const float column = first < boundary ? scales.first : scales.second;
    const float factor = row * column, factor_8 = row_8 * column;
#pragma unroll
    for (int i = first / 2; i < (first + kAlike) / 2; ++i)
      sums[i] = fmaf(i / 2 % 2 == 0 ? factor : factor_8, partial[i], sums[i]);
  }
}

// A consumer's 64 rows of the tile, into d. `shared` is the kernel's ProductShared.
template <ProductTileName kName, class Shared, int kSums>
__device__ __forceinline__ void scaled_multiply(const Shared& shared, const ColumnScaleReader& reader,
                                                const ProductWork& work, int consumer, Cursor& at, float (&d)[kSums]) {
  constexpr ProductTile kTile = product_tile(kName);
  const Ring<kTile.stages> ring(shared.notes());
  const int row = consumer * 64 + accumulator_row(static_cast<int>(threadIdx.x % 128), 0);
  ColumnScales columns = reader.at(work.step);
#pragma unroll
  for (int i = 0; i < kSums; ++i) d[i] = 0.0F;
  for (int step = work.step; step < work.step_end; ++step) {
    float partial[kSums];
    ring.wait_full(at);
    const std::uint64_t a =
        k_major_descriptor(shared_address(shared.a(at.stage)) + static_cast<unsigned>(consumer * 64 * kTileRowBytes));
    const std::uint64_t b = k_major_descriptor(shared_address(shared.b(at.stage)));
    sums_fence(partial);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kTileRowBytes / kStepBytes; ++i)
      multiply_fp8<kTile.block_n>(partial, advanced(a, i * kStepBytes), advanced(b, i * kStepBytes), i > 0);
    warpgroup_commit();
    const float* scales = shared.a_scales(at.stage) + row;
    const float row_scale = scales[0], row_8_scale = scales[8];
    const ColumnScales next = reader.at(step + 1 < work.step_end ? step + 1 : step);
    warpgroup_wait<0>();
    sums_fence(partial);
    give_back_by_warps<kTile.cluster>(ring.empty(at));  // every warp has read scales of its own
    promote<kTile.block_n>(d, partial, row_scale, row_8_scale, columns, reader.boundary);
    columns = next;
    ring.next(at);
  }
}

}  // namespace chokepoint::hopper
