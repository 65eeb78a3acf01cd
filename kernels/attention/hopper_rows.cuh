// What do warpgroups that attend share? Which register belongs to which row, reductions over a row, weights as operands.
//
// A thread has two rows of 64, 8 apart (layout.hpp, accumulator_row), and every fourth pair of columns of them.
#pragma once

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
