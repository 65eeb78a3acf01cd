// How are rows of f32 queries attended, on CUDA cores? Any number of columns up to PlainTile::kMostColumns.
//
// 8 rows against 32 keys at a time: a warp has the scores of one row, a lane those of one key, so the online
// softmax stays within a warp. For the sums a thread has columns: a value is read once for 8 rows. True f32:
// no TF32. Bound: shared-memory reads, two per product of the scores; speed is not what this kernel is for.
#pragma once

#include "kernels/attention/simple_block.cuh"

namespace chokepoint {

struct PlainShared {
  static constexpr int kRows = PlainTile::kRows, kKeys = PlainTile::kKeys, kSlice = 32;
  float queries[kRows][kSlice];
  float keys[kKeys][kSlice + 1];  // the odd pitch keeps the 32 keys of a column in different banks
  float weights[kRows][kKeys];
  float carry[kRows], largest[kRows], sum[kRows];
  alignas(16) unsigned char state[kSimpleStateBytes];
};

// Score of row `warp` of the tile with key `lane`: slices of 32 columns through shared memory.
__device__ inline float plain_score(const SimpleArguments<float>& a, const BlockRows& block,
                                    const TokenRows<float>& from, int key_begin, PlainShared& shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const long long query = block.output_row(a, warp < block.rows ? warp : block.rows - 1) * a.qk_dim;
  float score = 0.0F;
  for (int column = 0; column < a.qk_dim; column += PlainShared::kSlice) {
    const bool inside = column + lane < a.qk_dim;
    shared.queries[warp][lane] = inside ? a.q[query + column + lane] : 0.0F;
    for (int key = warp; key < PlainShared::kKeys; key += PlainShared::kRows) {
      const int token = key_begin + key < block.length ? key_begin + key : block.length - 1;
      shared.keys[key][lane] = inside ? from.at(token)[column + lane] : 0.0F;
    }
    __syncthreads();
#pragma unroll
    for (int d = 0; d < PlainShared::kSlice; ++d)
      score = fmaf(shared.queries[warp][d], shared.keys[lane][d], score);
    __syncthreads();
  }
  return score;
}

__device__ inline float largest_over_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, step));
  return value;
}

__device__ inline float add_over_warp(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffU, value, step);
  return value;
}

template <class T>
__global__ void __launch_bounds__(PlainTile::kThreads) attend_plain(SimpleArguments<T> a) {
  constexpr int kRows = PlainTile::kRows, kKeys = PlainTile::kKeys, kThreads = PlainTile::kThreads;
  constexpr int kColumns = PlainTile::kMostColumns / kThreads;
  static_assert(kThreads == kRows * kKeys && kKeys == 32, "a warp per row, a lane per key");
  __shared__ PlainShared shared;
  BlockState<T>& state = share_state(shared.state, a, kRows, kKeys);
  const BlockRows& block = state.rows;
  if (block.tile_begin == block.tile_end) {
    write_empty_split(a, block);
    return;
  }
  const bool paced = threadIdx.x == 0 && paces(a);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int visible = block.visible_at(warp);
  float largest = -INFINITY, sum = 0.0F, mean[kColumns][kRows] = {};

  for (int tile = block.tile_begin; tile < block.tile_end; ++tile) {
    const int key_begin = tile * kKeys;
    if (paced) state.pace.begin(block, tile, kKeys);
    __syncthreads();  // nobody reads the last tile's weights any more
    float score = plain_score(a, block, state.keys, key_begin, shared);
    if (key_begin + lane >= visible) score = -INFINITY;
    const float now = fmaxf(largest, largest_over_warp(score)), base = finite_or_zero(now);
    const float weight = exp2_approx((score - base) * a.factor),
                carry = exp2_approx((largest - base) * a.factor);
    sum = sum * carry + add_over_warp(weight);
    largest = now;
    shared.weights[warp][lane] = weight;
    if (lane == 0) shared.carry[warp] = carry;
    __syncthreads();

    const int keys = block.length - key_begin < kKeys ? block.length - key_begin : kKeys;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int column = c * kThreads + static_cast<int>(threadIdx.x);
      if (column >= a.v_dim) break;
#pragma unroll
      for (int r = 0; r < kRows; ++r) mean[c][r] *= shared.carry[r];
      for (int key = 0; key < keys; ++key) {
        const float value = state.values.at(key_begin + key)[column];
#pragma unroll
        for (int r = 0; r < kRows; ++r) mean[c][r] = fmaf(shared.weights[r][key], value, mean[c][r]);
      }
    }
  }

  if (lane == 0) {
    shared.largest[warp] = largest;
    shared.sum[warp] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (r >= block.rows) break;
    const long long row = block.output_row(a, r);
    const float total = shared.sum[r], inverse = total > 0.0F ? 1.0F / total : 0.0F;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const int column = c * kThreads + static_cast<int>(threadIdx.x);
      if (column >= a.v_dim) break;
      if (a.splits == 1)
        a.output[row * a.v_dim + column] = mean[c][r] * inverse;
      else
        a.partial[(row * a.splits + block.split) * a.v_dim + column] = mean[c][r] * inverse;
    }
    if (a.splits > 1 && threadIdx.x == 0)
      a.partial_log[row * a.splits + block.split] = log_of_sum(shared.largest[r], total, a.factor);
  }
  if (paced) state.pace.pace.drain();
}

}  // namespace chokepoint
