// What do Hopper's two kernels for decode share? Where a token lies in a paged cache, which scores and values count,
// how a row of the output is written, and what a block is charged.
#pragma once

#include "kernels/attention/hopper_entries.cuh"
#include "kernels/attention/hopper_rows.cuh"
#include "kernels/common/cuda/hopper/pace.cuh"

namespace chokepoint::hopper {

// A cache is a matrix of rows [pages, heads_kv, page_size]: the row of a token of this block's KV head.
__device__ __forceinline__ int cache_row(const PagedArgs& args, const BlockRows& rows, int token) {
  const int page = token / args.page_size;
  const int at = args.block_table[static_cast<std::int64_t>(rows.b) * args.pages_per_sequence + page];
  return (at * args.heads_kv + rows.head_kv) * args.page_size + token % args.page_size;
}

// Scores of keys that a row does not see become -infinity.
template <int kCount>
__device__ __forceinline__ void hide_unseen(float (&scores)[kCount], const BlockRows& rows, int thread, int first_key) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int row = accumulator_row(thread, 2 * row_of_register(i));
    if (first_key + accumulator_column(thread, i) >= rows.visible_at(row)) scores[i] = -INFINITY;
  }
}

// Rows from `valid` on of `kChunks` tiles of `kKeys` values become zero, since 0 x NaN is NaN. By the 128 threads of a
// warpgroup, which have to meet before products read them.
template <int kChunks, int kKeys>
__device__ __forceinline__ void clear_values(unsigned char* tiles, int valid, int thread) {
  constexpr int kVectors = kTileRowBytes / 16;
  const int lines = kKeys - valid;
  for (int i = thread; i < lines * kChunks * kVectors; i += 128) {
    const int chunk = i / (lines * kVectors), in_chunk = i % (lines * kVectors);
    store_tile_16(tiles + (chunk * kKeys + valid) * kTileRowBytes + in_chunk * 16, make_uint4(0U, 0U, 0U, 0U));
  }
  fence_proxy_async();
}

// Row `row` (0 or 1) of this thread, columns from `column` on: the mean of the values and, of a split, the logarithm of
// its sum of weights, which the threads of the first columns write.
template <int kCount>
__device__ __forceinline__ void write_row(const PagedArgs& args, const BlockRows& rows, const float (&sums)[kCount],
                                          int thread, int row, int column, float total, float largest) {
  const int place = accumulator_row(thread, 2 * row);
  if (place >= rows.rows) return;
  const float inverse = total > 0.0F ? 1.0F / total : 0.0F;
  const long long output_row = rows.output_row(args, place);
  const long long at = (args.splits == 1 ? output_row : output_row * args.splits + rows.split) * args.v_dim + column;
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    if (row_of_register(i) != row) continue;
    const long long to = at + accumulator_column(thread, i);
    if (args.splits == 1)
      chokepoint::store_pair(args.output + to, sums[i] * inverse, sums[i + 1] * inverse);
    else
      *reinterpret_cast<float2*>(args.partial + to) = make_float2(sums[i] * inverse, sums[i + 1] * inverse);
  }
  if (args.splits > 1 && column == 0 && thread % 4 == 0)
    args.partial_log[output_row * args.splits + rows.split] = log_of_sum(largest, total, args.factor);
}

// As AttentionCost::charge, `kTiles` tiles of `kKeys` keys at a time: the bytes of keys and values are spread over all
// pairs of the rows that share them, those of the rows come with the first key.
template <int kKeys, int kTiles>
__device__ void charge_block(const PagedArgs& args, const BlockRows& rows, TilePace& pace) {
  const double flop_per_pair = 2.0 * (args.qk_dim + args.v_dim), row_bytes = 2.0 * (args.qk_dim + args.v_dim);
  const double key_bytes = 2.0 * (args.qk_dim + (args.shared_value ? 0 : args.v_dim));
  const auto all = static_cast<double>(rows.pairs_before(args.seq_q * args.heads_per_kv, INT_MAX));
  const double bytes_per_pair = key_bytes * rows.length / all;
  for (int tile = rows.tile_begin; tile < rows.tile_end; tile += kTiles) {
    const auto pairs = static_cast<double>(rows.pairs(tile * kKeys, min(tile + kTiles, rows.tile_end) * kKeys));
    pace.admit(pairs * bytes_per_pair + (tile == 0 ? row_bytes * rows.rows : 0.0), flop_per_pair * pairs);
  }
  pace.drain();
}

}  // namespace chokepoint::hopper
