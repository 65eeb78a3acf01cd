// How do warps of cuda_simple multiply bf16 tiles in shared memory? Copies, swizzled rows, fragments, and the
// online softmax of a warp's scores.
//
// A row of a tile is a multiple of 128 bytes; its 16-byte chunks are permuted within each 128 bytes by the
// row (chunk ^ row % 8), so that the eight rows that ldmatrix reads at once lie in different banks. For a row
// that a lane keeps, the XOR with the chunk of a step is a constant: `fragment` adds it to the lane's own
// offset.
#pragma once

#include "kernels/attention/simple_block.cuh"

namespace chokepoint {

using Bf16 = std::uint16_t;

__device__ inline int swizzled(int row, int chunk, int row_bytes) {
  return row * row_bytes + ((chunk ^ (row & 7)) << 4);
}

// Offset of an even chunk from where the lane's chunk 0 or 1 lies.
__device__ inline int fragment(int lane_offset, int even_chunk) {
  return (lane_offset ^ ((even_chunk & 7) << 4)) + (even_chunk >> 3) * 128;
}

// Which row and chunk of a 16 x 16 block a lane points ldmatrix at: rows of a (or, transposed, values by
// key)...
__device__ inline int lane_of_rows(int lane, int row_bytes) {
  return swizzled(lane & 15, lane >> 4, row_bytes);
}
// ...and keys as columns of b.
__device__ inline int lane_of_keys(int lane, int row_bytes) {
  return swizzled((lane >> 4) * 8 + (lane & 7), (lane >> 3) & 1, row_bytes);
}

// Copies `kKeys` tokens from `first` on; those past `last` repeat it: they are masked, and whatever lies
// beyond the sequence is never read. Chunks past `columns` stay as they are. `kTogether` copies are addressed
// at a time: each takes registers, and hides a look-up in the block table.
template <int kKeys, int kDim, int kThreads, int kTogether>
__device__ inline void copy_tokens(unsigned char* tile, const TokenRows<Bf16>& from, int first, int last,
                                   int columns) {
  constexpr int kChunks = kDim / 8;
  static_assert(kKeys * kChunks % kThreads == 0, "every thread copies as many chunks");
#pragma unroll kTogether
  for (int pass = 0; pass < kKeys * kChunks / kThreads; ++pass) {
    const int i = pass * kThreads + static_cast<int>(threadIdx.x), key = i / kChunks, chunk = i % kChunks;
    if (chunk * 8 >= columns) continue;
    const int token = first + key < last ? first + key : last;
    cp_async_16(tile + swizzled(key, chunk, kDim * 2), from.at(token) + chunk * 8);
  }
}

// Rows of q; those past the last are zero, as are columns past qk_dim.
template <int kRows, int kDim, int kThreads>
__device__ inline void copy_queries(unsigned char* tile, const SimpleArguments<Bf16>& a,
                                    const BlockRows& block) {
  constexpr int kChunks = kDim / 8;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunks; i += kThreads) {
    const int at = i / kChunks, chunk = i % kChunks;
    unsigned char* const to = tile + swizzled(at, chunk, kDim * 2);
    if (at < block.rows && chunk * 8 < a.qk_dim)
      cp_async_16(to, a.q + block.output_row(a, at) * a.qk_dim + chunk * 8);
    else
      store_16(to, uint4{0, 0, 0, 0});
  }
}

// Columns of keys past qk_dim, which no copy touches, have to be zero: they meet the zeros of the queries.
template <int kThreads>
__device__ inline void clear(unsigned char* tile, int bytes) {
  for (int i = static_cast<int>(threadIdx.x) * 16; i < bytes; i += kThreads * 16)
    store_16(tile + i, uint4{0, 0, 0, 0});
}

// The largest score and the sum of weights of the rows g and g + 8 of a 16-row block (g = lane / 4); the sum
// is this lane's part until `add_over_quad`.
struct RowSums {
  float largest[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.0F, 0.0F};
};

__device__ inline float largest_over_quad(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 2));
}

__device__ inline float add_over_quad(float value) {
  value += __shfl_xor_sync(0xffffffffU, value, 1);
  return value + __shfl_xor_sync(0xffffffffU, value, 2);
}

// Scores of keys that a row does not see. `first_key` is the key of the lane's first column; blocks are 8
// keys.
template <int kBlocks>
__device__ inline void hide(float (&score)[kBlocks][4], int first_key, int visible_low, int visible_high) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      if (first_key + n * 8 + (e & 1) >= (e < 2 ? visible_low : visible_high)) score[n][e] = -INFINITY;
}

template <int kBlocks>
__device__ inline float largest_of(const float (&score)[kBlocks][4], int half) {
  float largest = -INFINITY;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
    largest = fmaxf(largest, fmaxf(score[n][2 * half], score[n][2 * half + 1]));
  return largest_over_quad(largest);
}

// Scores of a half (rows g or g + 8) become weights; what was summed before counts `carry` times as much.
template <int kBlocks>
__device__ inline float take_weights(float (&score)[kBlocks][4], int half, float largest, float factor,
                                     RowSums& sums) {
  const float base = finite_or_zero(largest), carry = exp2_approx((sums.largest[half] - base) * factor);
  const float offset = -base * factor;
  float sum = sums.sum[half] * carry;
#pragma unroll
  for (int n = 0; n < kBlocks; ++n)
#pragma unroll
    for (int e = 2 * half; e < 2 * half + 2; ++e) {
      score[n][e] = exp2_approx(fmaf(score[n][e], factor, offset));
      sum += score[n][e];
    }
  sums.largest[half] = largest;
  sums.sum[half] = sum;
  return carry;
}

template <int kBlocks>
__device__ inline void scale(float (&values)[kBlocks][4], float low, float high) {
#pragma unroll
  for (int n = 0; n < kBlocks; ++n) {
    values[n][0] *= low;
    values[n][1] *= low;
    values[n][2] *= high;
    values[n][3] *= high;
  }
}

// Two products that share their left side; b holds 16 columns.
__device__ inline void multiply(float (&low)[4], float (&high)[4], const std::uint32_t (&a)[4],
                                const std::uint32_t (&b)[4]) {
  const std::uint32_t b_low[2] = {b[0], b[1]}, b_high[2] = {b[2], b[3]};
  mma_bf16_m16n8k16(low, a, b_low);
  mma_bf16_m16n8k16(high, a, b_high);
}

// Weights of 16 keys, blocks 2k and 2k + 1 of the scores, as the left side of the next product.
template <int kBlocks>
__device__ inline void pack_weights(const float (&score)[kBlocks][4], int k, std::uint32_t (&a)[4]) {
  a[0] = pack_bf16(score[2 * k][0], score[2 * k][1]);
  a[1] = pack_bf16(score[2 * k][2], score[2 * k][3]);
  a[2] = pack_bf16(score[2 * k + 1][0], score[2 * k + 1][1]);
  a[3] = pack_bf16(score[2 * k + 1][2], score[2 * k + 1][3]);
}

// Two columns of row `at` of the tile: into the output, or into the split's part.
__device__ inline void write_pair(const SimpleArguments<Bf16>& a, const BlockRows& block, long long row,
                                  int column, float left, float right) {
  if (a.splits == 1)
    store_pair(a.output + row * a.v_dim + column, left, right);
  else
    store_pair(a.partial + (row * a.splits + block.split) * a.v_dim + column, left, right);
}

// Rows g and g + 8 of a 16-row block that begins at row `at` of the tile, columns from `column` on; `first`
// says whether this warp also writes the logarithms. Sums are whole.
template <int kBlocks>
__device__ inline void write_rows(const SimpleArguments<Bf16>& a, const BlockRows& block, int at, int column,
                                  bool first, const float (&values)[kBlocks][4], const RowSums& sums) {
  const int lane = static_cast<int>(threadIdx.x) & 31;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row_at = at + half * 8 + lane / 4;
    if (row_at >= block.rows) continue;
    const long long row = block.output_row(a, row_at);
    const float sum = sums.sum[half], inverse = sum > 0.0F ? 1.0F / sum : 0.0F;
#pragma unroll
    for (int n = 0; n < kBlocks; ++n) {
      const int to = column + n * 8 + lane % 4 * 2;
      if (to < a.v_dim)
        write_pair(a, block, row, to, values[n][2 * half] * inverse, values[n][2 * half + 1] * inverse);
    }
    if (a.splits > 1 && first && lane % 4 == 0)
      a.partial_log[row * a.splits + block.split] = log_of_sum(sums.largest[half], sum, a.factor);
  }
}

}  // namespace chokepoint
