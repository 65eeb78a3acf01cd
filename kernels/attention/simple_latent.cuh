// How are rows of bf16 queries attended to cached rows that are key and value at once? Absorbed MLA.
//
// A tile of keys is read once and used twice. 64 rows of 512 columns of sums fill half the registers of a
// multiprocessor, so the warps of a block split the columns for the sums, and the keys for the scores: the
// largest scores and then the weights pass through shared memory, two barriers per tile. While a tile is
// multiplied the next one is copied. Bound: memory with few heads, compute with 128 (DeepSeek-V2, 2024,
// section 2.1).
#pragma once

#include "kernels/attention/simple_tiles.cuh"

namespace chokepoint {

template <std::size_t kIndex>  // of kLatentTiles
__global__ void __launch_bounds__(kLatentTiles[kIndex].threads(), kLatentTiles[kIndex].residents)
    attend_latent(SimpleArguments<Bf16> a) {
  constexpr LatentTile kTile = kLatentTiles[kIndex];
  constexpr int kThreads = kTile.threads(), kStages = LatentTile::kStages, kRowBlocks = kTile.row_blocks;
  constexpr int kKeyRow = kTile.qk_dim * 2, kWeightRow = LatentTile::kWeightRowBytes, kRows = kTile.rows();
  constexpr int kWarpKeys = kTile.keys / kTile.column_warps, kWarpColumns = kTile.v_dim / kTile.column_warps;
  static_assert(kWarpKeys == 16, "a warp has the scores of 16 keys");
  static_assert(kTile.keys * 2 <= kWeightRow && kWarpColumns % 64 == 0 && kTile.qk_dim % 64 == 0);

  unsigned char* const queries = dynamic_shared();
  unsigned char* const keys = queries + kTile.query_bytes();
  unsigned char* const weights = keys + kStages * kTile.key_bytes();
  auto* const exchange = reinterpret_cast<float*>(weights + kTile.weight_bytes());  // [column_warps, kRows]
  BlockState<Bf16>& state = share_state(exchange + kTile.column_warps * kRows, a, kRows, kTile.keys);
  const BlockRows& block = state.rows;
  if (block.tile_begin == block.tile_end) {
    write_empty_split(a, block);
    return;
  }
  const bool paced = threadIdx.x == 0 && paces(a);
  if (a.qk_dim < kTile.qk_dim) {
    clear<kThreads>(keys, kStages * kTile.key_bytes());
    __syncthreads();
  }
  const auto copy_keys = [&](int tile) {
    if (tile < block.tile_end)
      copy_tokens<kTile.keys, kTile.qk_dim, kThreads, 4>(
          keys + (tile - block.tile_begin) % kStages * kTile.key_bytes(), state.keys, tile * kTile.keys,
          block.length - 1, a.qk_dim);
    cp_async_commit();
  };
  copy_queries<kRows, kTile.qk_dim, kThreads>(queries, a, block);
  copy_keys(block.tile_begin);

  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) / 32;
  const int part = warp % kTile.column_warps, row_at = warp / kTile.column_warps * kRowBlocks * 16;
  const int row_lane = lane_of_rows(lane, kKeyRow), key_lane = lane_of_keys(lane, kKeyRow);
  const int weight_lane = lane_of_rows(lane, kWeightRow);

  float mean[kRowBlocks][kWarpColumns / 8][4] = {};
  RowSums sums[kRowBlocks];  // the sum is of this warp's keys

  for (int tile = block.tile_begin; tile < block.tile_end; ++tile) {
    const int key_begin = tile * kTile.keys;
    const unsigned char* const key_tile = keys + (tile - block.tile_begin) % kStages * kTile.key_bytes();
    if (paced) state.pace.begin(block, tile, kTile.keys);
    cp_async_wait<0>();
    __syncthreads();  // the tile is here; nobody reads the last one any more
    copy_keys(tile + 1);

    float score[kRowBlocks][2][4] = {};
#pragma unroll 6
    for (int k = 0; k < kTile.qk_dim / 16; ++k) {
      std::uint32_t key[4];
      ldmatrix_x4(key, key_tile + part * kWarpKeys * kKeyRow + fragment(key_lane, 2 * k));
#pragma unroll
      for (int r = 0; r < kRowBlocks; ++r) {
        std::uint32_t q[4];
        ldmatrix_x4(q, queries + (row_at + r * 16) * kKeyRow + fragment(row_lane, 2 * k));
        multiply(score[r][0], score[r][1], q, key);
      }
    }

    const bool hides = key_begin + kTile.keys > block.all_see;
#pragma unroll
    for (int r = 0; r < kRowBlocks; ++r) {
      const int at = row_at + r * 16 + lane / 4;
      if (hides)
        hide(score[r], key_begin + part * kWarpKeys + lane % 4 * 2, block.visible_at(at),
             block.visible_at(at + 8));
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float largest = largest_of(score[r], half);
        if (lane % 4 == 0) exchange[part * kRows + at + half * 8] = largest;
      }
    }
    __syncthreads();  // the largest scores of all keys are there

#pragma unroll
    for (int r = 0; r < kRowBlocks; ++r) {
      float carry[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int at = row_at + r * 16 + half * 8 + lane / 4;
        float largest = sums[r].largest[half];
#pragma unroll
        for (int p = 0; p < kTile.column_warps; ++p) largest = fmaxf(largest, exchange[p * kRows + at]);
        carry[half] = take_weights(score[r], half, largest, a.factor, sums[r]);
#pragma unroll
        for (int n = 0; n < 2; ++n)
          *reinterpret_cast<std::uint32_t*>(weights + swizzled(at, part * 2 + n, kWeightRow) + lane % 4 * 4) =
              pack_bf16(score[r][n][2 * half], score[r][n][2 * half + 1]);
      }
      if (__any_sync(0xffffffffU, carry[0] != 1.0F || carry[1] != 1.0F)) scale(mean[r], carry[0], carry[1]);
    }
    __syncthreads();  // the weights of all keys are there

#pragma unroll
    for (int k = 0; k < kTile.keys / 16; ++k) {
      std::uint32_t weight[kRowBlocks][4];
#pragma unroll
      for (int r = 0; r < kRowBlocks; ++r)
        ldmatrix_x4(weight[r], weights + (row_at + r * 16) * kWeightRow + fragment(weight_lane, 2 * k));
#pragma unroll
      for (int n = 0; n < kWarpColumns / 16; ++n) {
        std::uint32_t value[4];
        ldmatrix_x4_trans(value,
                          key_tile + k * 16 * kKeyRow + part * kWarpColumns * 2 + fragment(row_lane, 2 * n));
#pragma unroll
        for (int r = 0; r < kRowBlocks; ++r) {
          multiply(mean[r][2 * n], mean[r][2 * n + 1], weight[r], value);
        }
      }
    }
  }

  // Sums of weights, over the lanes of a quad and then over the warps that split the keys.
#pragma unroll
  for (int r = 0; r < kRowBlocks; ++r)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float sum = add_over_quad(sums[r].sum[half]);
      if (lane % 4 == 0) exchange[part * kRows + row_at + r * 16 + half * 8 + lane / 4] = sum;
    }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRowBlocks; ++r) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      sums[r].sum[half] = 0.0F;
#pragma unroll
      for (int p = 0; p < kTile.column_warps; ++p)
        sums[r].sum[half] += exchange[p * kRows + row_at + r * 16 + half * 8 + lane / 4];
    }
    write_rows(a, block, row_at + r * 16, part * kWarpColumns, part == 0, mean[r], sums[r]);
  }
  if (paced) state.pace.pace.drain();
}

}  // namespace chokepoint
