// Planted for sass_test.py: sums are read while products are in flight, so that ptxas serialises them.
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

__global__ void __launch_bounds__(128, 1) serialised(float* to, std::uint64_t a, std::uint64_t b) {
  float d[32];
  warpgroup_arrive();
  multiply_bf16<64>(d, a, b, false);
  float early = d[3] * 2.0F;
  multiply_bf16<64>(d, a + 2, b + 2, true);
  warpgroup_commit();
  warpgroup_wait<0>();
  for (int i = 0; i < 32; ++i) to[i] = d[i] + early;
}

}  // namespace chokepoint::hopper
