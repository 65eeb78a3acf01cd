// Do the PTX bodies of hopper/ptx.cuh and hopper/wgmma.cuh assemble? Every helper, called once; compiled by nvcc, never
// run.
#include "kernels/common/cuda/hopper/barrier.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

__global__ void __launch_bounds__(384, 1) probe_transfers(const __grid_constant__ TensorMap map, const uint4* from) {
  unsigned char* tile = dynamic_shared();
  const Ring<4> ring(tile + 65536);
  if (threadIdx.x == 0) {
    prefetch_tensor_map(&map);
    ring.init(1, 2);
    fence_barrier_init();
  }
  cluster_sync();
  if (threadIdx.x < 128) {
    give_registers<24>();
    if (threadIdx.x == 0) {
      Cursor at;
      ring.wait_empty(at);
      mbarrier_arrive_expect_tx(ring.full(at), 16384);
      tma_load_2d(tile, &map, ring.full(at), 0, 0);
      tma_load_3d(tile, &map, ring.full(at), 0, 0, 0, Evict::first);
      tma_load_4d(tile, &map, ring.full(at), 0, 0, 0, 0, Evict::last);
      tma_load_2d_multicast(tile, &map, ring.full(at), 0, 0, 3);
      tma_load_3d_multicast(tile, &map, ring.full(at), 0, 0, 0, 3);
      bulk_load(tile, from, 1024, ring.full(at));
      ring.next(at);
    }
  } else {
    take_registers<240>();
    Cursor at;
    ring.wait_full(at);
    mbarrier_arrive(ring.empty(at));
    mbarrier_arrive_in(ring.empty(at), cluster_rank() ^ 1U);
    const std::uint32_t four[4] = {1, 2, 3, threadIdx.x}, two[2] = {1, threadIdx.x};
    stmatrix_x4(tile + 16 * (threadIdx.x % 32), four);
    stmatrix_x2(tile + 16 * (threadIdx.x % 32), two);
    store_tile_16(tile + 16 * threadIdx.x, make_uint4(0U, 0U, 0U, 0U));
    fence_proxy_async();
    barrier_arrive(1, 384);
    if (threadIdx.x == 128) {
      tma_store_2d(&map, tile, 0, 0);
      tma_store_3d(&map, tile, 0, 0, 0);
      tma_add_2d(&map, tile, 0, 0);
      tma_store_commit();
      tma_store_wait_read<1>();
      tma_store_wait<0>();
    }
  }
  wait_for_previous_kernel();
  let_next_kernel_begin();
}

template <int kN>
__device__ void probe_width(float* to, std::uint64_t a, std::uint64_t b) {
  const std::uint32_t registers[4] = {threadIdx.x, 1, 2, 3};
  float d[kN / 2] = {};
  sums_fence(d);
  warpgroup_arrive();
  multiply_bf16<kN>(d, a, b, false);
  multiply_bf16<kN, Major::mn>(d, a, b, true);
  multiply_bf16<kN>(d, registers, b, true);
  multiply_bf16<kN, Major::mn>(d, registers, b, true);
  multiply_fp8<kN>(d, a, b, true);
  multiply_fp8<kN>(d, registers, b, true);
  warpgroup_commit();
  warpgroup_wait<0>();
  sums_fence(d);
  for (int i = 0; i < kN / 2; ++i) to[i] += d[i];
}

__global__ void __launch_bounds__(128, 1) probe_products(float* to, std::uint64_t a, std::uint64_t b) {
  probe_width<8>(to, a, b);
  probe_width<24>(to, a, b);
  probe_width<32>(to, a, b);
  probe_width<176>(to, a, b);
  probe_width<256>(to, a, b);
}

}  // namespace chokepoint::hopper
