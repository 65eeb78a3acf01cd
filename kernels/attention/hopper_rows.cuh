// What do warpgroups that attend share? Which register belongs to which row, the online softmax of a row, weights as
// operands.
//
// A thread has two rows of 64, 8 apart (layout.hpp, accumulator_row), and every fourth pair of columns of them.
#pragma once

#include <cmath>

#include "kernels/common/cuda/hopper/barrier.cuh"
#include "kernels/common/cuda/hopper/layout.hpp"

namespace chokepoint::hopper {

// Half of the registers belong to either row.
__device__ __forceinline__ constexpr int row_of_register(int i) { return i / 2 % 2; }

// A row lies in the four lanes of a quad.
__device__ __forceinline__ float largest_of_quad(float value) {
  value = fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 1));
  return fmaxf(value, __shfl_xor_sync(0xffffffffU, value, 2));
}
__device__ __forceinline__ float sum_of_quad(float value) {
  value += __shfl_xor_sync(0xffffffffU, value, 1);
  return value + __shfl_xor_sync(0xffffffffU, value, 2);
}

// Of a thread's two rows, 8 apart: the largest score so far, and this thread's share of the sum of weights.
struct RowSums {
  float largest[2] = {-INFINITY, -INFINITY}, weights[2] = {0.0F, 0.0F};
};

// Scores become weights relative to the largest score seen; `carry` is what earlier sums have to be multiplied by.
template <int kCount>
__device__ __forceinline__ void weigh(float (&scores)[kCount], RowSums& rows, float (&carry)[2], float factor) {
  float largest[2] = {rows.largest[0], rows.largest[1]};
#pragma unroll
  for (int i = 0; i < kCount; ++i) largest[row_of_register(i)] = fmaxf(largest[row_of_register(i)], scores[i]);
  float shift[2];
#pragma unroll
  for (int row = 0; row < 2; ++row) {
    largest[row] = largest_of_quad(largest[row]);
    const float base = largest[row] == -INFINITY ? 0.0F : largest[row];  // a row that has seen no key yet
    carry[row] = exp2_approx((rows.largest[row] - base) * factor);
    shift[row] = base * factor;
    rows.largest[row] = largest[row];
    rows.weights[row] *= carry[row];
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    scores[i] = exp2_approx(fmaf(scores[i], factor, -shift[row_of_register(i)]));
    rows.weights[row_of_register(i)] += scores[i];
  }
}

// A thread's weights as the registers of a left operand, 16 keys after the other (layout.hpp, a_fragment_*).
template <int kCount>
__device__ __forceinline__ void pack_weights(std::uint32_t (&packed)[kCount / 8][4], const float (&weights)[kCount]) {
#pragma unroll
  for (int step = 0; step < kCount / 8; ++step)
#pragma unroll
    for (int r = 0; r < 4; ++r) packed[step][r] = pack_bf16(weights[8 * step + 2 * r], weights[8 * step + 2 * r + 1]);
}

// One thread of each warpgroup tells that its warpgroup is done with a stage.
__device__ __forceinline__ void give_stage_back(Mbarrier* empty) {
  if (threadIdx.x % 128 == 0) mbarrier_arrive(empty);
}

}  // namespace chokepoint::hopper
