// What does the emulator do for the instructions of sm_90a? Called by kernels/common/cuda/hopper/ptx.cuh and wgmma.cuh.
//
// Asynchronous work happens as late as its rules allow: products read shared memory when somebody waits for them, TMA
// stores likewise, TMA loads when no thread can go on; meanwhile their destinations hold NaN. So a stage that is given
// back too early, or read too early, shows. Swizzles, descriptors and fragments are the emulator's own: they share
// nothing with layout.hpp, which they check. Also found: products and TMA stores that read what no proxy fence made
// visible, mbarriers that were overwritten, never initialised or get more arrivals than they count, blocks that leave
// while their cluster still writes to them, threads that leave with stores in flight, and registers that do not exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace chokepoint::emulator {

// Of the block's shared memory, as 32-bit addresses count it; the first KiB is the system's, as on sm_90.
std::uint32_t shared_address(const void* shared);

void mbarrier_init(std::uint64_t* barrier, unsigned count);
void mbarrier_arrive(std::uint64_t* barrier, unsigned expected_bytes);
void mbarrier_arrive_in(std::uint64_t* barrier, unsigned rank);
void mbarrier_wait(std::uint64_t* barrier, unsigned parity);  // returns once that phase is over

// `map` is what emulated_tensor_map made. `blocks`: ranks that receive the box, 0 for the caller's own block only.
void tma_load(void* to, const unsigned char* map, std::initializer_list<int> at, std::uint64_t* barrier,
              unsigned blocks);
void bulk_load(void* to, const void* from, unsigned bytes, std::uint64_t* barrier);
void tma_store(const unsigned char* map, const void* from, std::initializer_list<int> at, bool add);
void tma_store_commit();
void tma_store_wait(unsigned groups_left);
void fence_proxy_async();
void store_tile_16(void* to, const void* value);
void stmatrix(void* row, const std::uint32_t* registers, unsigned matrices);

struct WarpgroupProduct {
  int n = 0;
  bool fp8 = false;
  bool b_mn_major = false;
  std::uint64_t a = 0, b = 0;  // descriptors
  bool keep = false;           // adds to what is there
  const std::uint32_t* a_registers = nullptr;  // instead of the descriptor
};
void wgmma(const WarpgroupProduct& product, float* d, int count);
template <int kCount>
void wgmma(const WarpgroupProduct& product, float (&d)[kCount]) {
  wgmma(product, d, kCount);
}
void warpgroup_arrive();
void warpgroup_commit();
void warpgroup_wait(unsigned groups_left);

void set_registers(int registers, bool increase);
void barrier_arrive(unsigned id, unsigned threads);
unsigned cluster_rank();
void cluster_arrive();
void cluster_wait();

}  // namespace chokepoint::emulator
