// Do the PTX bodies of ptx.cuh assemble? Every helper, called once; compiled by nvcc, never run.
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

__global__ void __launch_bounds__(128) probe_tiles(const unsigned char* from, float* to) {
  unsigned char* shared = dynamic_shared();
  cp_async_16(shared + 16 * threadIdx.x, from + 16 * threadIdx.x, threadIdx.x < 64);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  std::uint32_t a[4], a_trans[4], b[2], b_trans[2];
  ldmatrix_x4(a, shared + 16 * lane_id());
  ldmatrix_x4_trans(a_trans, shared + 16 * lane_id());
  ldmatrix_x2(b, shared + 16 * lane_id());
  ldmatrix_x2_trans(b_trans, shared + 16 * lane_id());
  float d[4] = {};
  mma_bf16_m16n8k16(d, a, b);
  mma_bf16_m16n8k16(d, a_trans, b_trans);
  barrier_sync(1, 128);
  for (int i = 0; i < 4; ++i) to[4 * threadIdx.x + i] = d[i];
}

__global__ void probe_values(const float* from, float* to) {
  const float x = from[threadIdx.x], y = from[threadIdx.x + 1];
  const std::uint32_t pair = pack_bf16(x, y);
  float low, high;
  unpack_e4m3(pack_e4m3(x, y), low, high);
  to[threadIdx.x] = low_bf16_to_float(pair) + high_bf16_to_float(pair) + exp2_approx(x) + low + high +
                    bf16_to_float(bf16_from_float_rounded(y)) + e4m3_to_float(e4m3_from_float(x));
}

__global__ void probe_memory(const uint4* from, uint4* to) {
  store_16(to + threadIdx.x, load_16(from + threadIdx.x));
  store_16_streaming(to + threadIdx.x + 128, load_16_streaming(from + threadIdx.x + 128));
}

__global__ void probe_flags(unsigned* flags, unsigned long long* counters, float* sum) {
  red_add(flags, 1U);
  red_add(counters, 2ULL);
  red_add(sum, 3.0F);
  red_add_release(flags + 1, 1U);
  store_release(flags + 2, load_acquire(flags + 1) + sm_id());
  store_release(counters + 1, load_acquire(counters) + globaltimer_ns());
  nanosleep(40);
}

void launch_probes(void* memory, void* stream) {
  launch(probe_tiles, dim3(1), dim3(128), std::size_t{64} * 1024, stream, static_cast<unsigned char*>(memory),
         static_cast<float*>(memory));
  launch(probe_values, {.grid = dim3(2), .block = dim3(32), .cluster = 2, .cooperative = true}, stream,
         static_cast<float*>(memory), static_cast<float*>(memory));
}

}  // namespace chokepoint
