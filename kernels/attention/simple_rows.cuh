// How are rows of bf16 queries attended to keys and values that lie apart? Prefill, and decode of grouped
// queries.
//
// Per tile of keys: scores = q k^T (16 x 8 x 16 products, f32 sums), online softmax in base 2, values +=
// weights v. The scores of a product are laid out as the left side of the next one, so weights stay in
// registers. Keys and values stream through rings of `stages` tiles each: a slot is refilled as soon as all
// warps have left it, keys while the values are multiplied and values while the scores are. FlashAttention-2
// (Dao, 2023) for the order of work, FlashDecoding (Dao et al., 2023) for the splits. Bound: compute in
// prefill, memory in decode.
#pragma once

#include "kernels/attention/simple_tiles.cuh"

namespace chokepoint {

// Sums of warps that share rows and split the keys, merged through shared memory and written.
template <std::size_t kIndex>
__device__ inline void merge_and_write(const SimpleArguments<Bf16>& a, const BlockRows& block,
                                       unsigned char* shared, int warp,
                                       const float (&values)[kRowsTiles[kIndex].v_dim / 8][4],
                                       const RowSums& sums) {
  constexpr RowsTile kTile = kRowsTiles[kIndex];
  constexpr int kWarps = kTile.key_warps, kColumns = kTile.v_dim;
  static_assert(kTile.row_warps == 1 && kTile.row_blocks == 1);
  static_assert(kWarps * 16 * (kColumns + 2) * 4 <= kTile.ring_bytes(),
                "sums do not fit where the tiles were");
  auto* const all = reinterpret_cast<float*>(shared);   // [kWarps, 16, kColumns]
  float* const largest = all + kWarps * 16 * kColumns;  // [kWarps, 16]
  float* const sum = largest + kWarps * 16;             // [kWarps, 16]
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int at = warp * 16 + half * 8 + lane / 4;
#pragma unroll
    for (int n = 0; n < kColumns / 8; ++n)
      store_pair(all + at * kColumns + n * 8 + lane % 4 * 2, values[n][2 * half], values[n][2 * half + 1]);
    if (lane % 4 == 0) {
      largest[at] = sums.largest[half];
      sum[at] = sums.sum[half];
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < block.rows * kColumns / 2; i += kTile.threads()) {
    const int at = i / (kColumns / 2), column = i % (kColumns / 2) * 2;
    if (column >= a.v_dim) continue;
    float most = -INFINITY, total = 0.0F, left = 0.0F, right = 0.0F;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w * 16 + at]);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = exp2_approx((largest[w * 16 + at] - finite_or_zero(most)) * a.factor);
      total += weight * sum[w * 16 + at];
      left += weight * all[(w * 16 + at) * kColumns + column];
      right += weight * all[(w * 16 + at) * kColumns + column + 1];
    }
    const float inverse = total > 0.0F ? 1.0F / total : 0.0F;
    const long long row = block.output_row(a, at);
    write_pair(a, block, row, column, left * inverse, right * inverse);
    if (a.splits > 1 && column == 0)
      a.partial_log[row * a.splits + block.split] = log_of_sum(most, total, a.factor);
  }
}

template <std::size_t kIndex>  // of kRowsTiles
__global__ void __launch_bounds__(kRowsTiles[kIndex].threads(), kRowsTiles[kIndex].residents)
    attend_rows(SimpleArguments<Bf16> a) {
  constexpr RowsTile kTile = kRowsTiles[kIndex];
  constexpr int kThreads = kTile.threads(), kStages = kTile.stages, kRowBlocks = kTile.row_blocks;
  constexpr int kQueryRow = kTile.qk_dim * 2, kValueRow = kTile.v_dim * 2;
  constexpr int kTogether = kTile.key_warps == 1 ? 2 : 8;
  constexpr int kWarpKeys = kTile.keys / kTile.key_warps;
  static_assert(kWarpKeys % 16 == 0 && kTile.qk_dim % 64 == 0 && kTile.v_dim % 64 == 0);

  unsigned char* const shared = dynamic_shared();
  unsigned char* const queries = shared;
  unsigned char* const keys = shared + kTile.query_bytes();
  unsigned char* const values = keys + kStages * kTile.key_bytes();
  BlockState<Bf16>& state = share_state(values + kStages * kTile.value_bytes(), a, kTile.rows(), kTile.keys);
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

  // Copies in order k0 v0 k1 v1 ..., each a group of its own, empty past the end.
  const auto copy_keys = [&](int tile) {
    if (tile < block.tile_end)
      copy_tokens<kTile.keys, kTile.qk_dim, kThreads, kTogether>(
          keys + (tile - block.tile_begin) % kStages * kTile.key_bytes(), state.keys, tile * kTile.keys,
          block.length - 1, a.qk_dim);
    cp_async_commit();
  };
  const auto copy_values = [&](int tile) {
    if (tile < block.tile_end)
      copy_tokens<kTile.keys, kTile.v_dim, kThreads, kTogether>(
          values + (tile - block.tile_begin) % kStages * kTile.value_bytes(), state.values, tile * kTile.keys,
          block.length - 1, a.v_dim);
    cp_async_commit();
  };
  copy_queries<kTile.rows(), kTile.qk_dim, kThreads>(queries, a, block);
  copy_keys(block.tile_begin);
#pragma unroll
  for (int ahead = 1; ahead < kStages; ++ahead) {
    copy_values(block.tile_begin + ahead - 1);
    copy_keys(block.tile_begin + ahead);
  }

  const int lane = static_cast<int>(threadIdx.x) & 31, warp = static_cast<int>(threadIdx.x) / 32;
  const int row_at = warp / kTile.key_warps * kRowBlocks * 16, key_at = warp % kTile.key_warps * kWarpKeys;
  const int query_lane = lane_of_rows(lane, kQueryRow), key_lane = lane_of_keys(lane, kQueryRow);
  const int value_lane = lane_of_rows(lane, kValueRow);

  float mean[kRowBlocks][kTile.v_dim / 8][4] = {};
  RowSums sums[kRowBlocks];

  for (int tile = block.tile_begin, slot = 0; tile < block.tile_end; ++tile) {
    const int key_begin = tile * kTile.keys;
    if (paced) state.pace.begin(block, tile, kTile.keys);
    cp_async_wait<2 * kStages - 2>();
    __syncthreads();  // the keys are here; nobody reads the last tile's values any more
    copy_values(tile + kStages - 1);

    float score[kRowBlocks][kWarpKeys / 8][4] = {};
    const unsigned char* const query_tile = queries + row_at * kQueryRow;
    const unsigned char* const key_tile = keys + slot * kTile.key_bytes() + key_at * kQueryRow;
#pragma unroll 4
    for (int k = 0; k < kTile.qk_dim / 16; ++k) {
      std::uint32_t q[kRowBlocks][4];
#pragma unroll
      for (int r = 0; r < kRowBlocks; ++r)
        ldmatrix_x4(q[r], query_tile + r * 16 * kQueryRow + fragment(query_lane, 2 * k));
#pragma unroll
      for (int n = 0; n < kWarpKeys / 16; ++n) {
        std::uint32_t key[4];
        ldmatrix_x4(key, key_tile + n * 16 * kQueryRow + fragment(key_lane, 2 * k));
#pragma unroll
        for (int r = 0; r < kRowBlocks; ++r) multiply(score[r][2 * n], score[r][2 * n + 1], q[r], key);
      }
    }

    std::uint32_t weight[kWarpKeys / 16][kRowBlocks][4];
    const bool hides = key_begin + kTile.keys > block.all_see;
#pragma unroll
    for (int r = 0; r < kRowBlocks; ++r) {
      const int at = row_at + r * 16 + lane / 4;
      if (hides)
        hide(score[r], key_begin + key_at + lane % 4 * 2, block.visible_at(at), block.visible_at(at + 8));
      float carry[2];
#pragma unroll
      for (int half = 0; half < 2; ++half)
        carry[half] = take_weights(score[r], half, fmaxf(sums[r].largest[half], largest_of(score[r], half)),
                                   a.factor, sums[r]);
      if (__any_sync(0xffffffffU, carry[0] != 1.0F || carry[1] != 1.0F)) scale(mean[r], carry[0], carry[1]);
#pragma unroll
      for (int k = 0; k < kWarpKeys / 16; ++k) pack_weights(score[r], k, weight[k][r]);
    }

    cp_async_wait<2 * kStages - 2>();
    __syncthreads();  // the values are here; nobody reads this tile's keys any more
    copy_keys(tile + kStages);

    const unsigned char* const value_tile = values + slot * kTile.value_bytes() + key_at * kValueRow;
#pragma unroll
    for (int k = 0; k < kWarpKeys / 16; ++k) {
#pragma unroll
      for (int n = 0; n < kTile.v_dim / 16; ++n) {
        std::uint32_t value[4];
        ldmatrix_x4_trans(value, value_tile + k * 16 * kValueRow + fragment(value_lane, 2 * n));
#pragma unroll
        for (int r = 0; r < kRowBlocks; ++r)
          multiply(mean[r][2 * n], mean[r][2 * n + 1], weight[k][r], value);
      }
    }
    slot = slot + 1 == kStages ? 0 : slot + 1;
  }

#pragma unroll
  for (int r = 0; r < kRowBlocks; ++r)
#pragma unroll
    for (int half = 0; half < 2; ++half) sums[r].sum[half] = add_over_quad(sums[r].sum[half]);
  if constexpr (kTile.key_warps == 1) {
#pragma unroll
    for (int r = 0; r < kRowBlocks; ++r) write_rows(a, block, row_at + r * 16, 0, true, mean[r], sums[r]);
  } else {
    cp_async_wait<0>();
    __syncthreads();
    merge_and_write<kIndex>(a, block, keys, warp, mean[0], sums[0]);
  }
  if (paced) state.pace.pace.drain();
}

}  // namespace chokepoint
