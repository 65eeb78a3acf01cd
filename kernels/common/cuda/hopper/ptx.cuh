// Which instructions does sm_90a add? The tensor memory accelerator (TMA), mbarriers, clusters, warpgroups: one
// function each.
//
// Under nvcc the bodies are PTX (ISA 9.0) and need sm_90a; elsewhere they are those of
// tests/cuda_emulator/emulator.hpp, which has to be included first. Matrix products are in wgmma.cuh, waiting in
// barrier.cuh, tensor maps in tensor_map.hpp.
//
// Order of things, once:
//   one thread: mbarrier_init(..) for all, fence_barrier_init(); then __syncthreads or cluster_sync.
//   load:  mbarrier_arrive_expect_tx(full, bytes); tma_load_2d(tile, &map, full, column, row); others wait on `full`.
//   store: everyone writes shared memory, fence_proxy_async(), a barrier; one thread: tma_store_2d(..),
//          tma_store_commit(); the same thread before the memory is written again: tma_store_wait_read<0>(), a barrier.
// A mask of 1 << rank names blocks of a cluster; addresses in them are those of the caller's own shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/cuda/hopper/tensor_map.hpp"
#include "kernels/common/cuda/ptx.cuh"

#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "this needs sm_90a and nothing else: see the hopper libraries in CMakeLists.txt"
#endif

namespace chokepoint::hopper {

using Mbarrier = std::uint64_t;  // in shared memory, aligned to 8 bytes

// What L2 should do with the lines: createpolicy's results for whole lines, as CUTLASS names them
// (include/cute/arch/copy_sm90_desc.hpp).
enum class Evict : std::uint64_t {
  normal = 0x1000000000000000ULL,
  first = 0x12f0000000000000ULL,
  last = 0x14f0000000000000ULL
};

#if defined(__CUDACC__)

// A phase ends when `count` arrivals and all expected bytes have come; then the next begins, with the same count.
__device__ __forceinline__ void mbarrier_init(Mbarrier* barrier, unsigned count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
// Makes initialised mbarriers known to TMA and to the cluster.
__device__ __forceinline__ void fence_barrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mbarrier_arrive(Mbarrier* barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
// Arrives, and the phase waits for `bytes` more (at most 2^20 - 1 a phase).
__device__ __forceinline__ void mbarrier_arrive_expect_tx(Mbarrier* barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}
// Arrives at the same barrier of block `rank` of the cluster; the caller's own rank is fine.
__device__ __forceinline__ void mbarrier_arrive_in(Mbarrier* barrier, unsigned rank) {
  asm volatile(
      "{\n"
      ".reg .b32 remote;\n"
      "mapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(rank)
      : "memory");
}
// True once the phase of that parity is over; a fresh barrier is in phase 0, so parity 1 is over. May sleep a while.
__device__ __forceinline__ bool mbarrier_try_wait(Mbarrier* barrier, unsigned parity) {
  unsigned over;
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
      "selp.b32 %0, 1, 0, over;\n"
      "}"
      : "=r"(over)
      : "r"(shared_address(barrier)), "r"(parity)
      : "memory");
  return over != 0;
}
// What this thread wrote to shared memory becomes visible to wgmma and TMA stores, after the next barrier.
__device__ __forceinline__ void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// 16 bytes, aligned, into a tile that products or TMA stores read: fence_proxy_async comes behind.
__device__ __forceinline__ void store_tile_16(void* to, uint4 value) { store_16(to, value); }

// `map` lies in parameter, constant or global memory.
__device__ __forceinline__ void prefetch_tensor_map(const TensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(reinterpret_cast<std::uint64_t>(map)) : "memory");
}
// Of a map that the host put into global memory: before a block's first use of it.
__device__ __forceinline__ void acquire_tensor_map(const TensorMap* map) {
  asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(reinterpret_cast<std::uint64_t>(map))
               : "memory");
}

// One box into shared memory; parts outside the tensor become zeros, and count. Coordinates are elements, the
// contiguous one first.
__device__ __forceinline__ void tma_load_2d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y,
                                            Evict evict = Evict::normal) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4}], "
      "[%2], %5;" ::"r"(shared_address(to)),
      "l"(reinterpret_cast<std::uint64_t>(map)), "r"(shared_address(barrier)), "r"(x), "r"(y),
      "l"(static_cast<std::uint64_t>(evict))
      : "memory");
}
__device__ __forceinline__ void tma_load_3d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, int z,
                                            Evict evict = Evict::normal) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, "
      "%5}], [%2], %6;" ::"r"(shared_address(to)),
      "l"(reinterpret_cast<std::uint64_t>(map)), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z),
      "l"(static_cast<std::uint64_t>(evict))
      : "memory");
}
__device__ __forceinline__ void tma_load_4d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, int z,
                                            int w, Evict evict = Evict::normal) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, "
      "%5, %6}], [%2], %7;" ::"r"(shared_address(to)),
      "l"(reinterpret_cast<std::uint64_t>(map)), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "r"(w),
      "l"(static_cast<std::uint64_t>(evict))
      : "memory");
}
// Into the same place of all blocks in `blocks`, counted on the same barrier of each: every one expects the bytes.
__device__ __forceinline__ void tma_load_2d_multicast(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y,
                                                      std::uint16_t blocks, Evict evict = Evict::normal) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(shared_address(to)),
      "l"(reinterpret_cast<std::uint64_t>(map)), "r"(shared_address(barrier)), "r"(x), "r"(y), "h"(blocks),
      "l"(static_cast<std::uint64_t>(evict))
      : "memory");
}
__device__ __forceinline__ void tma_load_3d_multicast(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y,
                                                      int z, std::uint16_t blocks, Evict evict = Evict::normal) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
      "[%0], [%1, {%3, %4, %5}], [%2], %6, %7;" ::"r"(shared_address(to)),
      "l"(reinterpret_cast<std::uint64_t>(map)), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z), "h"(blocks),
      "l"(static_cast<std::uint64_t>(evict))
      : "memory");
}
// A contiguous piece; addresses and size are multiples of 16.
__device__ __forceinline__ void bulk_load(void* to, const void* from, unsigned bytes, Mbarrier* barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}

// One box out of shared memory; parts outside the tensor are dropped.
__device__ __forceinline__ void tma_store_2d(const TensorMap* map, const void* from, int x, int y) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(
                   reinterpret_cast<std::uint64_t>(map)),
               "r"(shared_address(from)), "r"(x), "r"(y)
               : "memory");
}
__device__ __forceinline__ void tma_store_3d(const TensorMap* map, const void* from, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(
                   reinterpret_cast<std::uint64_t>(map)),
               "r"(shared_address(from)), "r"(x), "r"(y), "r"(z)
               : "memory");
}
// The same, added to what is there.
__device__ __forceinline__ void tma_add_2d(const TensorMap* map, const void* from, int x, int y) {
  asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.bulk_group [%0, {%2, %3}], [%1];" ::"l"(
                   reinterpret_cast<std::uint64_t>(map)),
               "r"(shared_address(from)), "r"(x), "r"(y)
               : "memory");
}
// What this thread stored since its last commit becomes one group.
__device__ __forceinline__ void tma_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// Waits until at most `kGroupsLeft` of this thread's groups have not been read from shared memory yet (_read), or
// are not in global memory.
template <int kGroupsLeft>
__device__ __forceinline__ void tma_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kGroupsLeft) : "memory");
}
template <int kGroupsLeft>
__device__ __forceinline__ void tma_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kGroupsLeft) : "memory");
}

// Stores 8x8 matrices of 16-bit elements for the whole warp: the inverse of ldmatrix. Lanes 8i to 8i+7 point at the
// rows (16 bytes, aligned) of matrix i, of which register i holds elements 2t, 2t+1 of row g (g = lane/4, t = lane%4).
__device__ __forceinline__ void stmatrix_x4(void* shared_row, const std::uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(shared_row)),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
__device__ __forceinline__ void stmatrix_x2(void* shared_row, const std::uint32_t (&r)[2]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(shared_address(shared_row)),
               "r"(r[0]), "r"(r[1])
               : "memory");
}

// All warps of a warpgroup: at most kRegisters per thread from here on (a multiple of 8, 24 to 256). Needs
// __launch_bounds__(threads, 1). An increase waits for what others give back.
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// Counts this warp at barrier `id` without waiting; `threads` are those of both kinds, as in barrier_sync.
__device__ __forceinline__ void barrier_arrive(unsigned id, unsigned threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ unsigned cluster_rank() {
  unsigned rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
// All threads of all blocks of the cluster.
__device__ __forceinline__ void cluster_arrive() {
  asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}
__device__ __forceinline__ void cluster_wait() {
  asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

// Programmatic dependent launch: nothing that the kernel before wrote may be read before this returns.
__device__ __forceinline__ void wait_for_previous_kernel() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ __forceinline__ void let_next_kernel_begin() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

#else  // the emulator's; contracts above

inline void mbarrier_init(Mbarrier* barrier, unsigned count) { emulator::mbarrier_init(barrier, count); }
inline void fence_barrier_init() {}
inline void mbarrier_arrive(Mbarrier* barrier) { emulator::mbarrier_arrive(barrier, 0); }
inline void mbarrier_arrive_expect_tx(Mbarrier* barrier, unsigned bytes) { emulator::mbarrier_arrive(barrier, bytes); }
inline void mbarrier_arrive_in(Mbarrier* barrier, unsigned rank) { emulator::mbarrier_arrive_in(barrier, rank); }
inline bool mbarrier_try_wait(Mbarrier* barrier, unsigned parity) {
  emulator::mbarrier_wait(barrier, parity);
  return true;
}
inline void fence_proxy_async() { emulator::fence_proxy_async(); }
inline void store_tile_16(void* to, uint4 value) { emulator::store_tile_16(to, &value); }
inline void prefetch_tensor_map(const TensorMap*) {}
inline void acquire_tensor_map(const TensorMap*) {}

inline void tma_load_2d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, Evict = Evict::normal) {
  emulator::tma_load(to, map->bytes, {x, y}, barrier, 0);
}
inline void tma_load_3d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, int z, Evict = Evict::normal) {
  emulator::tma_load(to, map->bytes, {x, y, z}, barrier, 0);
}
inline void tma_load_4d(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, int z, int w,
                        Evict = Evict::normal) {
  emulator::tma_load(to, map->bytes, {x, y, z, w}, barrier, 0);
}
inline void tma_load_2d_multicast(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y,
                                  std::uint16_t blocks, Evict = Evict::normal) {
  emulator::tma_load(to, map->bytes, {x, y}, barrier, blocks);
}
inline void tma_load_3d_multicast(void* to, const TensorMap* map, Mbarrier* barrier, int x, int y, int z,
                                  std::uint16_t blocks, Evict = Evict::normal) {
  emulator::tma_load(to, map->bytes, {x, y, z}, barrier, blocks);
}
inline void bulk_load(void* to, const void* from, unsigned bytes, Mbarrier* barrier) {
  emulator::bulk_load(to, from, bytes, barrier);
}
inline void tma_store_2d(const TensorMap* map, const void* from, int x, int y) {
  emulator::tma_store(map->bytes, from, {x, y}, false);
}
inline void tma_store_3d(const TensorMap* map, const void* from, int x, int y, int z) {
  emulator::tma_store(map->bytes, from, {x, y, z}, false);
}
inline void tma_add_2d(const TensorMap* map, const void* from, int x, int y) {
  emulator::tma_store(map->bytes, from, {x, y}, true);
}
inline void tma_store_commit() { emulator::tma_store_commit(); }
template <int kGroupsLeft>
inline void tma_store_wait_read() {
  emulator::tma_store_wait(kGroupsLeft);
}
template <int kGroupsLeft>
inline void tma_store_wait() {
  emulator::tma_store_wait(kGroupsLeft);
}
inline void stmatrix_x4(void* shared_row, const std::uint32_t (&r)[4]) { emulator::stmatrix(shared_row, r, 4); }
inline void stmatrix_x2(void* shared_row, const std::uint32_t (&r)[2]) { emulator::stmatrix(shared_row, r, 2); }
template <int kRegisters>
inline void give_registers() {
  emulator::set_registers(kRegisters, false);
}
template <int kRegisters>
inline void take_registers() {
  emulator::set_registers(kRegisters, true);
}
inline void barrier_arrive(unsigned id, unsigned threads) { emulator::barrier_arrive(id, threads); }
inline unsigned cluster_rank() { return emulator::cluster_rank(); }
inline void cluster_arrive() { emulator::cluster_arrive(); }
inline void cluster_wait() { emulator::cluster_wait(); }
inline void wait_for_previous_kernel() {}
inline void let_next_kernel_begin() {}

#endif

// Convenience, the same for both.
__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

}  // namespace chokepoint::hopper
