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

#include "kernels/attention/hopper_entries.cuh"
#include "kernels/attention/hopper_rows.cuh"
#include "kernels/common/cuda/hopper/pace.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

// Of a block of keys: who needs it, hence when it may be loaded again, differs.
enum Part { kLeft = 0, kRight = 1, kRest = 2, kParts = 3 };
constexpr int first_chunk(int part) { return part * 4; }
constexpr int chunks_of(int part) { return part == kRest ? 1 : 4; }

struct LatentShared {
  using Tile = LatentTile;
  static constexpr int kLargestAt = 0, kWeightSumAt = 512, kQueriesAt = 1024, kKeysAt = kQueriesAt + kRingBytes<1>,
                       kPaceAt = kKeysAt + 2 * kParts * kRingBytes<1>, kRowsAt = kPaceAt + kPaceBytes;
  static_assert(kPaceAt % 8 == 0 && kRowsAt % 8 == 0 && kRowsAt + sizeof(BlockRows) <= Tile::kNoteBytes,
                "the notes have room");

  __device__ LatentShared() : base(dynamic_shared()) {}
  __device__ unsigned char* q() const { return base; }
  __device__ unsigned char* keys(int block) const { return base + (1 + block) * Tile::kBlockBytes; }
  // Weights of block 1 lie where the queries' last columns were.
  __device__ unsigned char* weights(int block) const {
    return block == 0 ? base + 3 * Tile::kBlockBytes : q() + 8 * Tile::kChunkBytes;
  }
  __device__ unsigned char* notes() const { return base + 3 * Tile::kBlockBytes + Tile::kChunkBytes; }
  __device__ float* largest(int block) const { return reinterpret_cast<float*>(notes() + kLargestAt) + block * 64; }
  __device__ float* weight_sum(int block) const { return reinterpret_cast<float*>(notes() + kWeightSumAt) + block * 64; }
  __device__ Ring<1> queries() const { return Ring<1>(notes() + kQueriesAt); }
  __device__ Ring<1> part(int block, int part) const {
    return Ring<1>(notes() + kKeysAt + (block * kParts + part) * kRingBytes<1>);
  }

  unsigned char* base;
};

// Where a token's page has it: a row of the keys' matrix.
__device__ __forceinline__ int row_of_token(const LatentArgs& args, const BlockRows& rows, int token) {
  const int page = token / args.page_size;
  return args.block_table[static_cast<std::int64_t>(rows.b) * args.pages_per_sequence + page] * args.page_size +
         token % args.page_size;
}

__device__ inline void latent_load_part(const LatentShared& shared, const TensorMap* keys, int block, int part, int row,
                                        const Cursor& at) {
  using Tile = LatentTile;
  const Ring<1> ring = shared.part(block, part);
  ring.wait_empty(at);
  mbarrier_arrive_expect_tx(ring.full(at), static_cast<unsigned>(chunks_of(part) * Tile::kChunkBytes));
  for (int chunk = first_chunk(part); chunk < first_chunk(part) + chunks_of(part); ++chunk)
    tma_load_2d(shared.keys(block) + chunk * Tile::kChunkBytes, keys, ring.full(at), chunk * 64, row, Evict::first);
}

__device__ inline void latent_load(const LatentShared& shared, const TensorMap* q, const TensorMap* keys,
                                   const LatentArgs& args, const BlockRows& rows, const TilePace& pace) {
  using Tile = LatentTile;
  struct Place {
    int block, part;
  };
  // In the order in which they become free.
  constexpr Place kPlaces[] = {{0, kRest}, {1, kRest}, {0, kLeft}, {1, kRight}, {0, kRight}, {1, kLeft}};
  Cursor at, gate;
  mbarrier_arrive_expect_tx(shared.queries().full(at), Tile::kBlockBytes);
  for (int chunk = 0; chunk < Tile::kChunks; ++chunk)
    tma_load_2d(shared.q() + chunk * Tile::kChunkBytes, q, shared.queries().full(at), chunk * 64,
                rows.b * args.seq_q * args.heads_q + rows.row, Evict::first);
  for (int block = rows.tile_begin; block < rows.tile_end; block += 2) {
    const bool has_second = block + 1 < rows.tile_end;
    const int first = row_of_token(args, rows, block * Tile::kKeys);
    const int second = has_second ? row_of_token(args, rows, (block + 1) * Tile::kKeys) : 0;
    pace.enter(gate);
#pragma unroll
    for (const Place& place : kPlaces)
      if (place.block == 0 || has_second)
        latent_load_part(shared, keys, place.block, place.part, place.block == 0 ? first : second, at);
    Ring<1>::next(at);
  }
}

// As AttentionCost::charge.
__device__ inline void latent_charge(const LatentArgs& args, const BlockRows& rows, TilePace& pace) {
  using Tile = LatentTile;
  constexpr double kRowBytes = 2.0 * (Tile::kQkDim + Tile::kVDim);
  const auto all = static_cast<double>(rows.pairs_before(args.seq_q * args.heads_per_kv, INT_MAX));
  const double bytes_per_pair = 2.0 * Tile::kQkDim * rows.length / all;
  for (int block = rows.tile_begin; block < rows.tile_end; block += 2) {
    const int end = min(block + 2, rows.tile_end);
    const auto pairs = static_cast<double>(rows.pairs(block * Tile::kKeys, end * Tile::kKeys));
    pace.admit(pairs * bytes_per_pair + (block == 0 ? kRowBytes * rows.rows : 0.0),
               2.0 * (Tile::kQkDim + Tile::kVDim) * pairs);
  }
  pace.drain();
}

// One of the two warpgroups: block `kOwn` of each step, and that half of the columns.
template <int kOwn>
class LatentHalf {
 public:
  using Tile = LatentTile;
  static constexpr int kColumns = Tile::kVDim / 2, kSteps = Tile::kKeys / 16;

  __device__ LatentHalf(const LatentShared& shared, const LatentArgs& args, const BlockRows& rows)
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

  // Scores of keys that a row does not see become -infinity, and values past the sequence's end zero: 0 x NaN is NaN.
  __device__ __forceinline__ void hide(float (&scores)[Tile::kKeys / 2], int block) {
    const int first_key = block * Tile::kKeys;
    if (first_key + Tile::kKeys <= rows_.all_see) return;
#pragma unroll
    for (int i = 0; i < Tile::kKeys / 2; ++i) {
      const int row = accumulator_row(thread_, 2 * row_of_register(i));
      if (first_key + accumulator_column(thread_, i) >= rows_.visible_at(row)) scores[i] = -INFINITY;
    }
    if (first_key + Tile::kKeys <= rows_.length) return;
    const int valid = rows_.length - first_key, lines = Tile::kKeys - valid;
    constexpr int kValueChunks = Tile::kVDim / 64, kVectors = kTileRowBytes / 16;
    for (int i = thread_; i < lines * kValueChunks * kVectors; i += 128) {
      const int chunk = i / (lines * kVectors), in_chunk = i % (lines * kVectors);
      *reinterpret_cast<uint4*>(shared_.keys(kOwn) + chunk * Tile::kChunkBytes + valid * kTileRowBytes + in_chunk * 16) =
          make_uint4(0U, 0U, 0U, 0U);
    }
    fence_proxy_async();
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
      const int at = accumulator_row(thread_, 2 * row);
      if (at >= rows_.rows) continue;
      total[row] += shared_.weight_sum(1 - kOwn)[at];
      write_row(row, rows_.output_row(args_, at), total[row]);
    }
  }

  __device__ __forceinline__ void write_row(int row, long long output_row, float total) const {
    const float inverse = total > 0.0F ? 1.0F / total : 0.0F;
    const long long at = (args_.splits == 1 ? output_row : output_row * args_.splits + rows_.split) * Tile::kVDim;
#pragma unroll
    for (int i = 0; i < kColumns / 2; i += 2) {
      if (row_of_register(i) != row) continue;
      const long long to = at + kOwn * kColumns + accumulator_column(thread_, i);
      if (args_.splits == 1)
        store_pair(args_.output + to, sums_[i] * inverse, sums_[i + 1] * inverse);
      else
        *reinterpret_cast<float2*>(args_.partial + to) = make_float2(sums_[i] * inverse, sums_[i + 1] * inverse);
    }
    if (args_.splits > 1 && kOwn == 0 && thread_ % 4 == 0)
      args_.partial_log[output_row * args_.splits + rows_.split] = log_of_sum(largest_[row], total, args_.factor);
  }

  const LatentShared& shared_;
  const LatentArgs& args_;
  const BlockRows& rows_;
  int thread_;
  Cursor at_;
  float largest_[2] = {-INFINITY, -INFINITY}, weight_sum_[2] = {0.0F, 0.0F};
  std::uint32_t rest_[4][4];
  float sums_[kColumns / 2] = {};
};

__global__ void __launch_bounds__(LatentTile::kThreads, 1)
    latent_kernel(const __grid_constant__ TensorMap q, const __grid_constant__ TensorMap keys,
                  const __grid_constant__ LatentArgs args) {
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
    if (warp == 1 && lane_id() == 0 && pace.on()) latent_charge(args, rows, pace);
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
