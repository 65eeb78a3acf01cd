// What do the kernels of cuda_simple share? Their arguments, which rows and keys a block has, where a token
// lies in memory, what a tile costs, and how a row of the output is written.
#pragma once

#include <bit>
#include <climits>
#include <cmath>
#include <cstdint>
#include <new>

#include "kernels/attention/simple_plan.hpp"
#include "kernels/common/cuda/device_clock.cuh"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

// Arrays as in AttentionProblem, in device memory; T is the storage type, std::uint16_t for bf16.
template <class T>
struct SimpleArguments {
  const T *q, *keys, *values;  // keys == values == kv_cache in decode
  const int* context_lengths;  // [batch]
  const int* block_table;      // null in prefill
  T* output;
  // Of each split of the keys, null when there is but one: the mean of its values [rows of the output,
  // splits, v_dim], and log2 of its sum of 2^(factor * score) [rows of the output, splits].
  float *partial, *partial_log;
  int batch, heads_q, heads_kv, heads_per_kv, seq_q, context, qk_dim, v_dim;
  int page_size, page_shift, pages_per_sequence;  // page_shift: of a power of two, else -1
  bool causal, shared_value;
  float factor;  // weights are 2^(factor * score): scale times log2(e)
  int row_tiles, splits;
  DevicePace pace;
};

// Everything but the pointers.
template <class T>
SimpleArguments<T> simple_arguments(const AttentionSizes& sizes, const SimplePlan& plan) {
  SimpleArguments<T> a{};
  const auto narrow = [](std::int64_t value) { return static_cast<int>(value); };
  a.batch = narrow(sizes.batch);
  a.heads_q = narrow(sizes.heads_q);
  a.heads_kv = narrow(sizes.heads_kv);
  a.heads_per_kv = narrow(sizes.heads_per_kv());
  a.seq_q = narrow(sizes.seq_q);
  a.context = narrow(sizes.context);
  a.qk_dim = narrow(sizes.qk_dim);
  a.v_dim = narrow(sizes.v_dim);
  a.page_size = narrow(sizes.page_size);
  const auto pages = static_cast<std::uint64_t>(sizes.page_size);
  a.page_shift = std::has_single_bit(pages) ? std::countr_zero(pages) : -1;
  a.pages_per_sequence = narrow(sizes.pages_per_sequence());
  a.causal = sizes.causal;
  a.shared_value = sizes.shared_value;
  a.factor = static_cast<float>(sizes.scale * 1.4426950408889634);  // log2(e)
  a.row_tiles = narrow(plan.row_tiles);
  a.splits = plan.splits;
  return a;
}

// A block books some tiles at a time, so that atomics on clocks that all blocks share do not hold it up, and
// may be that many bookings ahead.
constexpr int kBookedTiles = 4, kBookedAhead = 3;

constexpr int kNeighbours = 4;  // tiles of rows of a KV head whose blocks are neighbours

// A query sees the keys before visible(row), at least one.
struct BlockRows {
  int b, head_kv, split;
  int row, rows;      // of the KV head: the first, and how many there are
  int length;         // tokens of the sequence
  int heads, step;    // rows per query; keys that a query sees more than the one before
  int first_visible;  // keys that query 0 sees
  int all_see;        // keys that all rows see
  int tile_begin, tile_end;

  // Blocks that read the same keys are neighbours while a KV head has few tiles of rows. Where it has many,
  // rows are slowest and the last ones, which have the most keys, first: long blocks start early.
  template <class T>
  __device__ BlockRows(const SimpleArguments<T>& a, unsigned block, int tile_rows, int tile_keys) {
    const auto next = [&block](int count) {
      const auto digit = static_cast<int>(block % static_cast<unsigned>(count));
      block /= static_cast<unsigned>(count);
      return digit;
    };
    const bool few = a.row_tiles <= kNeighbours;
    int tile = few ? next(a.row_tiles) : 0;
    split = next(a.splits);
    head_kv = next(a.heads_kv);
    b = next(a.batch);
    if (!few) tile = a.row_tiles - 1 - static_cast<int>(block);
    row = tile * tile_rows;
    const int all = a.seq_q * a.heads_per_kv;
    rows = all - row < tile_rows ? all - row : tile_rows;
    length = a.context_lengths[b];
    heads = a.heads_per_kv;
    step = a.causal ? 1 : 0;
    first_visible = a.causal ? length - a.seq_q + 1 : length;
    all_see = visible(row);
    const long long tiles = (visible(row + rows - 1) + tile_keys - 1) / tile_keys;
    tile_begin = static_cast<int>(tiles * split / a.splits);
    tile_end = static_cast<int>(tiles * (split + 1) / a.splits);
  }

  __device__ int visible(int of_row) const { return first_visible + step * (of_row / heads); }
  // Of row `at` of the tile; rows past the last are computed like it and never written.
  __device__ int visible_at(int at) const { return visible(row + (at < rows ? at : rows - 1)); }

  // Index of row `at` of the tile in q and in the output, both [batch, seq_q, heads_q, dim].
  template <class T>
  __device__ long long output_row(const SimpleArguments<T>& a, int at) const {
    const int query = (row + at) / heads, head = (row + at) % heads;
    return (static_cast<long long>(b) * a.seq_q + query) * a.heads_q + head_kv * heads + head;
  }

  // Pairs of a row before `end` and one of the first `limit` keys that it sees. Query i sees
  // first_visible + step * i: an arithmetic series until it reaches the limit.
  __device__ long long pairs_before(int end, int limit) const {
    const long long query = end / heads, head = end % heads;
    const long long seen = first_visible + step * query;
    const long long last = seen < limit ? seen : limit;
    if (step == 0) return end * last;
    long long below = static_cast<long long>(limit) - first_visible;
    below = below < 0 ? 0 : below < query ? below : query;
    const long long whole = below * first_visible + below * (below - 1) / 2 + (query - below) * limit;
    return heads * whole + head * last;
  }

  __device__ long long pairs(int key_begin, int key_end) const {
    return pairs_before(row + rows, key_end) - pairs_before(row, key_end) -
           pairs_before(row + rows, key_begin) + pairs_before(row, key_begin);
  }
};

template <class T>
__device__ inline bool paces(const SimpleArguments<T>& a) {
  return a.pace.memory != nullptr || a.pace.compute != nullptr;
}

// Books tiles of one block; see AttentionCost::charge, whose sums these are: the bytes of keys and values are
// spread over all pairs of the KV head, those of the rows come with the first key. For one thread of the
// block.
template <class T>
struct TilePace {
  BlockPace<kBookedAhead> pace;
  double kv_bytes_per_pair, flop_per_pair, row_bytes;

  __device__ TilePace(const SimpleArguments<T>& a, const BlockRows& block) : pace(a.pace) {
    if (!paces(a)) return;
    const double columns = a.qk_dim + (a.shared_value ? 0 : a.v_dim);
    const double all_pairs = static_cast<double>(block.pairs_before(a.seq_q * a.heads_per_kv, INT_MAX));
    kv_bytes_per_pair = block.length * columns * sizeof(T) / all_pairs;
    flop_per_pair = 2.0 * (a.qk_dim + a.v_dim);
    row_bytes = static_cast<double>(a.qk_dim + a.v_dim) * sizeof(T) * block.rows;
  }

  // Before work on `tile` of `keys` keys begins.
  __device__ void begin(const BlockRows& block, int tile, int keys) {
    if ((tile - block.tile_begin) % kBookedTiles != 0) return;
    const int end = tile + kBookedTiles < block.tile_end ? tile + kBookedTiles : block.tile_end;
    const auto pairs = static_cast<double>(block.pairs(tile * keys, end * keys));
    pace.begin(pairs * kv_bytes_per_pair + (tile == 0 ? row_bytes : 0.0), pairs * flop_per_pair);
  }
};

// Where the keys or the values of one KV head of one sequence lie.
template <class T>
struct TokenRows {
  const T* first;
  const int* pages;                     // of the sequence; null: tokens follow each other
  long long token_stride, page_stride;  // elements
  int page_size, page_shift;

  __device__ const T* at(int token) const {
    if (pages == nullptr) return first + token * token_stride;
    const int page = page_shift >= 0 ? token >> page_shift : token / page_size;
    return first + pages[page] * page_stride + (token - page * page_size) * token_stride;
  }
};

template <class T>
__device__ TokenRows<T> contiguous_rows(const SimpleArguments<T>& a, const BlockRows& block, const T* array,
                                        int dim) {
  const long long before = (static_cast<long long>(block.b) * a.context * a.heads_kv + block.head_kv) * dim;
  return {array + before, nullptr, static_cast<long long>(a.heads_kv) * dim, 0, 1, 0};
}

template <class T>
__device__ TokenRows<T> paged_rows(const SimpleArguments<T>& a, const BlockRows& block, const T* array,
                                   int column) {
  const int row_length = a.qk_dim + (a.shared_value ? 0 : a.v_dim);
  const long long head_stride = static_cast<long long>(a.page_size) * row_length;
  return {array + block.head_kv * head_stride + column,
          a.block_table + static_cast<long long>(block.b) * a.pages_per_sequence,
          row_length,
          a.heads_kv * head_stride,
          a.page_size,
          a.page_shift};
}

template <class T>
__device__ TokenRows<T> key_rows(const SimpleArguments<T>& a, const BlockRows& block) {
  return a.block_table == nullptr ? contiguous_rows(a, block, a.keys, a.qk_dim)
                                  : paged_rows(a, block, a.keys, 0);
}

template <class T>
__device__ TokenRows<T> value_rows(const SimpleArguments<T>& a, const BlockRows& block) {
  return a.block_table == nullptr ? contiguous_rows(a, block, a.values, a.v_dim)
                                  : paged_rows(a, block, a.values, a.shared_value ? 0 : a.qk_dim);
}

// What all threads of a block know, in shared memory: registers are short.
template <class T>
struct BlockState {
  BlockRows rows;
  TokenRows<T> keys, values;
  TilePace<T> pace;  // of thread 0

  __device__ BlockState(const SimpleArguments<T>& a, int tile_rows, int tile_keys)
      : rows(a, blockIdx.x, tile_rows, tile_keys),
        keys(key_rows(a, rows)),
        values(value_rows(a, rows)),
        pace(a, rows) {}
};
static_assert(sizeof(BlockState<float>) <= kSimpleStateBytes,
              "a block's state does not fit where it is kept");

// Made by thread 0, and seen by all when this returns.
template <class T>
__device__ BlockState<T>& share_state(void* memory, const SimpleArguments<T>& a, int tile_rows,
                                      int tile_keys) {
  auto* const state = static_cast<BlockState<T>*>(memory);
  if (threadIdx.x == 0) new (state) BlockState<T>(a, tile_rows, tile_keys);
  __syncthreads();
  return *state;
}

// The largest score and the sum of a row that has seen no key are -infinity and 0.
__device__ inline float finite_or_zero(float largest) { return largest == -INFINITY ? 0.0F : largest; }

__device__ inline float log_of_sum(float largest, float sum, float factor) {
  return sum > 0.0F ? largest * factor + log2f(sum) : -INFINITY;
}

__device__ inline void store_pair(float* to, float left, float right) {
  to[0] = left;
  to[1] = right;
}
__device__ inline void store_pair(std::uint16_t* to, float left, float right) {
  *reinterpret_cast<std::uint32_t*>(to) = pack_bf16(left, right);
}
__device__ inline void store_one(float* to, float value) { *to = value; }
__device__ inline void store_one(std::uint16_t* to, float value) {
  *to = static_cast<std::uint16_t>(pack_bf16(value, 0.0F) & 0xffffU);
}

// A split without keys: its sums stay as they are, and count for nothing.
template <class T>
__device__ void write_empty_split(const SimpleArguments<T>& a, const BlockRows& block) {
  for (int at = static_cast<int>(threadIdx.x); at < block.rows; at += static_cast<int>(blockDim.x))
    a.partial_log[block.output_row(a, at) * a.splits + block.split] = -INFINITY;
}

}  // namespace chokepoint
