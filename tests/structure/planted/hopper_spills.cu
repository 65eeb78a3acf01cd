// Planted for sass_test.py: more sums than 32 registers hold, so that some live in local memory.
__global__ void __launch_bounds__(1024, 2) spills(const float* from, float* to) {
  float sums[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) sums[i] = from[64 * threadIdx.x + i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; ++i)
#pragma unroll
    for (int j = 0; j < 64; ++j) sums[j] = sums[j] * sums[63 - i] + from[i];
#pragma unroll
  for (int i = 0; i < 64; ++i) to[64 * threadIdx.x + i] = sums[i];
}
