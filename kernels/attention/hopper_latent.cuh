// softmax(scale q k^T) v over paged rows of absorbed MLA, whose first 512 of 576 columns are the value, on Hopper's tensor
// cores (sm_90a): decode in bf16, f32 sums.
//
// Tile and pipeline: 64 rows against two blocks of 64 keys at a time. A 64 x 512 output is half of all registers, so two
//   warpgroups have a half of its columns each, and a block of keys each for the scores. Per step:
//     0: scores of block 0; its largest is told to 1; weights; left sums += weights 0 x left values 0
//     1: scores of block 1; weights by the largest of both, told to 0 with that largest; right sums += weights 1 x right 1
//     0: weights 0 by the new largest, told to 1;  left sums += weights 1 x left values 1
//     1: right sums += weights 0 x right values 0
//   so that the arithmetic of either lies beside the products of the other. One's own weights stay in registers, the
//   other's come through shared memory. Keys arrive in three parts (left and right half of the value, and the rest), each
//   loaded again as soon as nobody needs it. Queries' last 64 columns are kept in registers: their place holds weights 1.
//   A third warpgroup loads (one thread, TMA) and paces (one lane).
// Registers: 40 for the loading warpgroup, 232 for the others, no spills. Shared memory: LatentTile::kSharedBytes, 226 KiB.
// Bound: memory and compute alike on an H100 (242 FLOP a byte with 128 heads; 295 is where they meet).
// Ideas: the two warpgroups' exchange is FlashMLA's "seesaw" (docs/20250422-new-kernel-deep-dive.md@9241ae3); online
//   softmax: Milakov and Gimelshein, 2018. The pace is ours.
// Does not support: other columns than 576 and 512, pages that are no multiple of 64 tokens.
#pragma once

#include "kernels/attention/hopper_latent_load.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

// One of the two warpgroups: block `kOwn` of each step, and that half of the columns.
template <int kOwn>
class LatentHalf {
 public:
  using Tile = LatentTile;
  static constexpr int kColumns = Tile::kVDim / 2, kSteps = Tile::kKeys / 16;

  __device__ LatentHalf(const LatentShared& shared, const PagedArgs& args, const BlockRows& rows)
      : shared_(shared), args_(args), rows_(rows), thread_(static_cast<int>(threadIdx.x % 128)) {}

  __device__ void attend() {
    shared_.queries().wait_full(at_);
    load_rest_of_queries();
    for (int block = rows_.tile_begin; block < rows_.tile_end; block += 2) {
      const bool has_second = block + 1 < rows_.tile_end;
      if constexpr (kOwn == 0)
        step_of_first(block, has_second);
      else if (has_second)
        step_of_second(block + 1);
      else
        step_without_second();
      Ring<1>::next(at_);
    }
    write();
  }

 private:
  // Named barriers of both warpgroups, 256 threads.
  static constexpr unsigned kAll = 1, kLargestIsThere = 2, kFirstIsThere = 3, kSecondIsThere = 4, kOwnThreads = 5 + kOwn;

  // The queries' last 64 columns as left operand.
  __device__ __forceinline__ void load_rest_of_queries() {
    const unsigned char* rest = shared_.q() + first_chunk(kRest) * Tile::kChunkBytes;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int r = 0; r < 4; ++r)
        rest_[i][r] = *reinterpret_cast<const std::uint32_t*>(
            rest + swizzled(static_cast<std::uint32_t>(a_fragment_row(thread_, r) * kTileRowBytes +
                                                       (16 * i + a_fragment_k_bf16(thread_, r, 0)) * 2)));
    // Weights come where they were: of the same warp's rows, and after both warpgroups met for the first largest.
  }

  // Own block's scores, finished. Parts are waited for as they are loaded.
  __device__ __forceinline__ void multiply_keys(float (&scores)[Tile::kKeys / 2]) {
    const std::uint64_t q = k_major_descriptor(shared_address(shared_.q()));
    const std::uint64_t k = k_major_descriptor(shared_address(shared_.keys(kOwn)));
    shared_.part(kOwn, kRest).wait_full(at_);
    sums_fence(scores);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < 4; ++i)
      multiply_bf16<Tile::kKeys>(scores, rest_[i],
                                 advanced(k, first_chunk(kRest) * Tile::kChunkBytes + i * kStepBytes), i > 0);
    warpgroup_commit();
    multiply_part(scores, q, k, kOwn == 0 ? kLeft : kRight);
    multiply_part(scores, q, k, kOwn == 0 ? kRight : kLeft);
    warpgroup_wait<0>();
    sums_fence(scores);
    give_stage_back(shared_.part(kOwn, kRest).empty(at_));
  }

  __device__ __forceinline__ void multiply_part(float (&scores)[Tile::kKeys / 2], std::uint64_t q, std::uint64_t k,
                                                int part) {
    shared_.part(kOwn, part).wait_full(at_);
    sums_fence(scores);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < 16; ++i) {
      const int offset = (first_chunk(part) + i / 4) * Tile::kChunkBytes + i % 4 * kStepBytes;
      multiply_bf16<Tile::kKeys>(scores, advanced(q, offset), advanced(k, offset), true);
    }
    warpgroup_commit();
  }

  __device__ __forceinline__ void hide(float (&scores)[Tile::kKeys / 2], int block) {
    const int first_key = block * Tile::kKeys;
    if (first_key + Tile::kKeys <= rows_.all_see) return;
    hide_unseen(scores, rows_, thread_, first_key);
    if (first_key + Tile::kKeys <= rows_.length) return;
    clear_values<Tile::kVDim / 64, Tile::kKeys>(shared_.keys(kOwn), rows_.length - first_key, thread_);
    barrier_sync(kOwnThreads, 128);
  }

  __device__ __forceinline__ void largest_of_rows(const float (&scores)[Tile::kKeys / 2], float (&largest)[2]) const {
#pragma unroll
    for (int i = 0; i < Tile::kKeys / 2; ++i)
      largest[row_of_register(i)] = fmaxf(largest[row_of_register(i)], scores[i]);
#pragma unroll
    for (int row = 0; row < 2; ++row) largest[row] = largest_of_quad(largest[row]);
  }

  // Makes `largest` the one that weights refer to: what has been summed up shrinks accordingly.
  __device__ __forceinline__ void refer_to(const float (&largest)[2]) {
    float carry[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      carry[row] = exp2_approx((largest_[row] - finite_or_zero(largest[row])) * args_.factor);
      largest_[row] = largest[row];
      weight_sum_[row] *= carry[row];
    }
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) sums_[i] *= carry[row_of_register(i)];
  }

  __device__ __forceinline__ void weigh(float (&scores)[Tile::kKeys / 2]) {
#pragma unroll
    for (int i = 0; i < Tile::kKeys / 2; ++i) {
      const int row = row_of_register(i);
      scores[i] = exp2_approx(fmaf(scores[i], args_.factor, -finite_or_zero(largest_[row]) * args_.factor));
      weight_sum_[row] += scores[i];
    }
  }

  __device__ __forceinline__ void tell_largest() const {
    if (thread_ % 4 != 0) return;
#pragma unroll
    for (int row = 0; row < 2; ++row) shared_.largest(kOwn)[accumulator_row(thread_, 2 * row)] = largest_[row];
  }
  __device__ __forceinline__ void hear_largest(float (&largest)[2]) const {
#pragma unroll
    for (int row = 0; row < 2; ++row) largest[row] = shared_.largest(1 - kOwn)[accumulator_row(thread_, 2 * row)];
  }

  // Own weights for the other: a tile [64 rows, 64 keys], K-major.
  __device__ __forceinline__ void tell_weights(const float (&weights)[Tile::kKeys / 2]) const {
#pragma unroll
    for (int j = 0; j < kSteps; ++j) {
      std::uint32_t pairs[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) pairs[r] = pack_bf16(weights[8 * j + 2 * r], weights[8 * j + 2 * r + 1]);
      stmatrix_x4(shared_.weights(kOwn) + stmatrix_offset(thread_, j), pairs);
    }
    fence_proxy_async();
  }

  __device__ __forceinline__ std::uint64_t values(int block) const {
    return mn_major_descriptor(shared_address(shared_.keys(block)) + first_chunk(kOwn) * Tile::kChunkBytes, Tile::kKeys);
  }

  // sums += own weights x own half of own values; not waited for.
  __device__ __forceinline__ void add_own(const std::uint32_t (&packed)[kSteps][4]) {
    const std::uint64_t v = values(kOwn);
    sums_fence(sums_);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
      multiply_bf16<kColumns, Major::mn>(sums_, packed[i], advanced(v, i * kMnMajorStepBytes), true);
    warpgroup_commit();
  }

  // sums += the other's weights x own half of the other's values, finished.
  __device__ __forceinline__ void add_other() {
    const std::uint64_t weights = k_major_descriptor(shared_address(shared_.weights(1 - kOwn))), v = values(1 - kOwn);
    shared_.part(1 - kOwn, kOwn).wait_full(at_);
    sums_fence(sums_);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kSteps; ++i)
      multiply_bf16<kColumns, Major::mn>(sums_, advanced(weights, i * kStepBytes), advanced(v, i * kMnMajorStepBytes),
                                         true);
    warpgroup_commit();
    warpgroup_wait<0>();
    sums_fence(sums_);
    give_stage_back(shared_.part(1 - kOwn, kOwn).empty(at_));
  }

  __device__ __forceinline__ void finish_own() {
    warpgroup_wait<0>();
    sums_fence(sums_);
    give_stage_back(shared_.part(kOwn, kOwn).empty(at_));
  }

  __device__ __forceinline__ void step_of_first(int block, bool has_second) {
    float scores[Tile::kKeys / 2], largest[2] = {largest_[0], largest_[1]};
    multiply_keys(scores);
    give_stage_back(shared_.part(0, kRight).empty(at_));
    hide(scores, block);
    largest_of_rows(scores, largest);
    refer_to(largest);
    tell_largest();
    barrier_arrive(kLargestIsThere, 256);
    weigh(scores);
    std::uint32_t packed[kSteps][4];
    pack_weights(packed, scores);
    add_own(packed);
    barrier_sync(kSecondIsThere, 256);
    finish_own();
    hear_largest(largest);
    const float before[2] = {largest_[0], largest_[1]};
    refer_to(largest);
    float again[2];
#pragma unroll
    for (int row = 0; row < 2; ++row)
      again[row] = exp2_approx((before[row] - finite_or_zero(largest[row])) * args_.factor);
#pragma unroll
    for (int i = 0; i < Tile::kKeys / 2; ++i) scores[i] *= again[row_of_register(i)];
    tell_weights(scores);
    barrier_arrive(kFirstIsThere, 256);
    if (has_second) add_other();
  }

  __device__ __forceinline__ void step_of_second(int block) {
    float scores[Tile::kKeys / 2], largest[2], own[2] = {-INFINITY, -INFINITY};
    multiply_keys(scores);
    give_stage_back(shared_.part(1, kLeft).empty(at_));
    hide(scores, block);
    largest_of_rows(scores, own);
    barrier_sync(kLargestIsThere, 256);
    hear_largest(largest);
#pragma unroll
    for (int row = 0; row < 2; ++row) largest[row] = fmaxf(largest[row], own[row]);
    refer_to(largest);
    tell_largest();
    weigh(scores);
    tell_weights(scores);
    barrier_arrive(kSecondIsThere, 256);
    std::uint32_t packed[kSteps][4];
    pack_weights(packed, scores);
    add_own(packed);
    finish_own();
    barrier_sync(kFirstIsThere, 256);
    add_other();
  }

  // The last of an odd number of blocks.
  __device__ __forceinline__ void step_without_second() {
    float largest[2];
    barrier_sync(kLargestIsThere, 256);
    hear_largest(largest);
    refer_to(largest);
    tell_largest();
    barrier_arrive(kSecondIsThere, 256);
    barrier_sync(kFirstIsThere, 256);
    add_other();
  }

  // The mean of the values and, of a split, the logarithm of its sum of weights.
  __device__ __forceinline__ void write() {
    float total[2];
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      const int at = accumulator_row(thread_, 2 * row);
      total[row] = sum_of_quad(weight_sum_[row]);
      if (thread_ % 4 == 0) shared_.weight_sum(kOwn)[at] = total[row];
    }
    barrier_sync(kAll, 256);
#pragma unroll
    for (int row = 0; row < 2; ++row) {
      total[row] += shared_.weight_sum(1 - kOwn)[accumulator_row(thread_, 2 * row)];
      write_row(args_, rows_, sums_, thread_, row, kOwn * kColumns, total[row], largest_[row]);
    }
  }

  const LatentShared& shared_;
  const PagedArgs& args_;
  const BlockRows& rows_;
  int thread_;
  Cursor at_;
  float largest_[2] = {-INFINITY, -INFINITY}, weight_sum_[2] = {0.0F, 0.0F};
  std::uint32_t rest_[4][4];
  float sums_[kColumns / 2] = {};
};

__global__ void __launch_bounds__(LatentTile::kThreads, 1)
    latent_kernel(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap keys,
                  const __grid_constant__ PagedArgs args) {
  const LatentShared shared;
  auto* const rows_at = reinterpret_cast<BlockRows*>(shared.notes() + LatentShared::kRowsAt);
  if (threadIdx.x == 0) new (rows_at) BlockRows(args, blockIdx.x, LatentTile::kRows, LatentTile::kKeys);
  __syncthreads();
  const BlockRows& rows = *rows_at;  // in shared memory: registers are short
  if (rows.tile_begin == rows.tile_end) {
    write_empty_split(args, rows);
    return;
  }
  TilePace pace(shared.notes() + LatentShared::kPaceAt, args.pace);
  if (threadIdx.x == 0) {
    shared.queries().init(1, 1);
    for (int block = 0; block < 2; ++block)
      for (int part = 0; part < kParts; ++part)
        shared.part(block, part).init(1, part == 1 - block ? 2 : 1);  // the half that the other warpgroup adds
    pace.init();
    fence_barrier_init();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 32, 0);  // known to be the same in a warp
  if (warp < 4) {
    give_registers<40>();
    if (warp == 0 && lane_id() == 0) latent_load(shared, &q, &keys, args, rows, pace);
    if (warp == 1 && lane_id() == 0 && pace.on()) charge_block<LatentTile::kKeys, 2>(args, rows, pace);
    __syncwarp();
  } else {
    take_registers<232>();
    if (warp < 8)
      LatentHalf<0>(shared, args, rows).attend();
    else
      LatentHalf<1>(shared, args, rows).attend();
  }
}

}  // namespace chokepoint::hopper
