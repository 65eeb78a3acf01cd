// What is different for groups of rows in fp8? Sums of 128 along k are scaled and added up in f32 registers, as in
// scaled_product.cuh; with `gated`, what leaves is quantised for the next product.
//
// Tile: 128 x 256, whose halves of 128 columns are multiplied one after the other: 64 + 64 sums and 64 of the half at
//   hand in a thread's registers (of 232, 0 spills), where a second set for all of them would not fit. While one
//   consumer scales and adds, the other's products run.
// Scales: A's and B's are read from global memory before a step's products begin, and used when the first are there.
//   Rows of groups begin anywhere, where a bulk copy into the stage would want multiples of four. A row's scales of 8
//   steps share a sector, which L1 keeps.
// gated: a half is the 128 columns that one scale is for; the four lanes of a row find its largest value. Codes leave
//   from registers, 8 bytes a row and instruction: 16 KiB a tile, beside the megabytes that it loads.
// Ideas: as in scaled_product.cuh; two sets of sums with one of temporaries as in DeepGEMM (@54e2261), there along m.
// Does not support: gated results whose width is no multiple of 128 (gate and up would share scales of B).
#pragma once

#include "kernels/common/cuda/hopper/grouped_roles.cuh"
#include "kernels/common/cuda/hopper/scaled_product.cuh"

namespace chokepoint::hopper {

inline constexpr int kHalfColumns = kScaleBlock, kHalfSums = kHalfColumns / 2;

// What the products of one step are scaled by: A's two rows of a thread, and B's two halves.
struct StepScales {
  float row, row_8;
  ColumnScales halves;
};

// Where they are, as numbers of floats, which take half the registers of pointers; a step of k is a float further.
struct GroupScaleReader {
  const GroupedArgs& args;
  unsigned row, row_8, first, second;

  __device__ __forceinline__ StepScales at(int step) const {
    const float* a = args.a_scale + step;
    const float* b = args.b_scale + step;
    return {__ldg(a + row), __ldg(a + row_8), {__ldg(b + first), __ldg(b + second)}};
  }
};

// Rows and columns beyond the group's are not multiplied by anything that matters: they take the last one's.
__device__ __forceinline__ GroupScaleReader group_scales(const GroupedArgs& args, const ProductWork& work, int row) {
  const int thread = static_cast<int>(threadIdx.x % 128), blocks = tiles_along(args.order.b_rows, kScaleBlock);
  const auto a = [&](int i) {
    return static_cast<unsigned>(min(row + accumulator_row(thread, i), work.row_end - 1) * args.steps);
  };
  const auto b = [&](int column) {
    return static_cast<unsigned>((work.group * blocks + min(column / kScaleBlock, blocks - 1)) * args.steps);
  };
  return {args, a(0), a(2), b(work.column), b(work.column + args.b_half)};
}

// One step's products of a consumer's 64 rows with 128 columns.
__device__ __forceinline__ void multiply_half(float (&partial)[kHalfSums], std::uint64_t a, std::uint64_t b) {
  sums_fence(partial);
  warpgroup_arrive();
#pragma unroll
  for (int i = 0; i < kTileRowBytes / kStepBytes; ++i)
    multiply_fp8<kHalfColumns>(partial, advanced(a, i * kStepBytes), advanced(b, i * kStepBytes), i > 0);
  warpgroup_commit();
  warpgroup_wait<0>();
  sums_fence(partial);
}

// A consumer's 64 rows of the tile, its halves into `first` and `second`.
template <ProductTileName kName>
__device__ __forceinline__ void multiply_halves(const ProductShared<kName>& shared, const GroupScaleReader& reader,
                                                const ProductWork& work, int consumer, Cursor& at,
                                                float (&first)[kHalfSums], float (&second)[kHalfSums]) {
  constexpr ProductTile kTile = product_tile(kName);
  static_assert(kTile.block_n == 2 * kHalfColumns, "a half has one scale");
  const Ring<kTile.stages> ring(shared.notes());
#pragma unroll
  for (int i = 0; i < kHalfSums; ++i) first[i] = second[i] = 0.0F;
  for (int step = work.step; step < work.step_end; ++step) {
    float partial[kHalfSums];
    const StepScales scales = reader.at(step);  // there when the first half's products are
    ring.wait_full(at);
    const std::uint64_t a =
        k_major_descriptor(shared_address(shared.a(at.stage)) + static_cast<unsigned>(consumer * 64 * kTileRowBytes));
    const std::uint64_t b = k_major_descriptor(shared_address(shared.b(at.stage)));
    multiply_half(partial, a, b);
    promote<kHalfColumns>(first, partial, scales.row, scales.row_8, scales.halves, kHalfColumns);
    multiply_half(partial, a, advanced(b, kHalfColumns * kTileRowBytes));
    give_back<kTile.cluster>(ring.empty(at));
    promote<kHalfColumns>(second, partial, scales.row, scales.row_8, {scales.halves.second, 0.0F}, kHalfColumns);
    ring.next(at);
  }
}

// The largest of a row's 128 values, of which four neighbouring lanes hold 32 each, and not less than 1e-4, so that the
// scale of zeros is above 0: [0] of the thread's upper row, [1] of the one 8 below.
__device__ __forceinline__ void largest_of_rows(const float (&h)[kHalfSums], float (&largest)[2]) {
  largest[0] = largest[1] = 1e-4F;
#pragma unroll
  for (int i = 0; i < kHalfSums; ++i) largest[i / 2 % 2] = fmaxf(largest[i / 2 % 2], fabsf(h[i]));
#pragma unroll
  for (int lane = 1; lane <= 2; lane *= 2)
#pragma unroll
    for (float& value : largest) value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, lane));
}

// 64 x 128 of C at (row, column), as codes and scales.
__device__ __forceinline__ void store_quantised(const GroupedArgs& args, const float (&h)[kHalfSums], int row,
                                                int row_end, int column) {
  constexpr float kLargestCode = 448.0F;
  const int thread = static_cast<int>(threadIdx.x % 128);
  float largest[2];
  largest_of_rows(h, largest);
#pragma unroll
  for (int upper = 0; upper < 2; ++upper) {
    const int at = row + accumulator_row(thread, 2 * upper);
    if (at >= row_end) continue;
    const float scale = largest[upper] / kLargestCode;
    if (thread % 4 == 0) args.c_scale[std::int64_t{at} * (args.columns / kScaleBlock) + column / kScaleBlock] = scale;
    auto* codes = static_cast<std::uint8_t*>(args.c) + std::int64_t{at} * args.columns + column;
#pragma unroll
    for (int i = 2 * upper; i < kHalfSums; i += 4)
      *reinterpret_cast<std::uint16_t*>(codes + accumulator_column(thread, i)) =
          pack_e4m3(__fdividef(h[i], scale), __fdividef(h[i + 1], scale));
  }
}

template <ProductTileName kName>
__device__ void grouped_consume_fp8(const ProductShared<kName>& shared, const TensorMap* c, const GroupedArgs& args,
                                    WalkOfGroups<kName> walk, int consumer) {
  consume_groups(shared, args, walk, consumer, [&](const ProductWork& work, int row, Cursor& at, SliceStore& store) {
    float first[kHalfSums], second[kHalfSums];
    multiply_halves<kName>(shared, group_scales(args, work, row), work, consumer, at, first, second);
    if (args.gated) {
#pragma unroll
      for (int i = 0; i < kHalfSums; ++i) first[i] = gated_value(first[i], second[i]);
      return store_quantised(args, first, row, work.row_end, work.column);
    }
    grouped_store<kHalfColumns>(c, args, work, store, first, row, work.column);
    grouped_store<kHalfColumns>(c, args, work, store, second, row, work.column + kHalfColumns);
  });
}

}  // namespace chokepoint::hopper
