// How do warps that load and warps that compute hand stages of shared memory to each other? A ring of mbarriers.
//
//   Ring<kStages> ring(shared_barriers);            kRingBytes<kStages> bytes, aligned to 8
//   one thread:  ring.init(1, consumers);           then fence_barrier_init() and __syncthreads (or cluster_sync)
//   loads:       Cursor at;                         one thread
//                ring.wait_empty(at); mbarrier_arrive_expect_tx(ring.full(at), bytes);
//                tma_load_2d(.., ring.full(at), ..); ring.next(at);
//   computes:    Cursor at;
//                ring.wait_full(at); ...; give_back<kCluster>(ring.empty(at)); ring.next(at);      each warpgroup
// Cursors run on from tile to tile and are never reset. A fresh ring is empty: the first kStages waits for `empty`
// return at once. With multicast, `empty` counts the consumers of all blocks of the cluster, which arrive in each
// (mbarrier_arrive_in), and no block may return before its cluster has met once more (cluster_sync).
//
// With CHOKEPOINT_BOUNDED_WAITS defined, a wait of more than kPatience_ns writes a WaitReport and traps: for bring-up,
// where a deadlock would otherwise take the GPU along.
#pragma once

#include "kernels/common/cuda/hopper/ptx.cuh"

namespace chokepoint::hopper {

// Who waits, for reports.
enum class Role : int { producer = 0, consumer = 1, pace = 2, other = 3 };

// Of the wait that took too long. In host memory that the GPU sees; `what` is written last.
struct WaitReport {
  unsigned what = 0;  // 1 once it is there
  unsigned block = 0, warp = 0, stage = 0, phase = 0;
  Role role = Role::other;
};

#if defined(CHOKEPOINT_BOUNDED_WAITS) && defined(__CUDACC__)

inline constexpr unsigned long long kPatience_ns = 2'000'000'000ULL;
static __device__ WaitReport* wait_report = nullptr;  // set by cudaMemcpyToSymbol; one per program

__device__ inline void report_wait_and_trap(unsigned stage, unsigned phase, Role role) {
  WaitReport* report = wait_report;
  if (report != nullptr && atomicCAS_system(&report->what, 0U, 2U) == 0U) {
    report->block = blockIdx.x;
    report->warp = threadIdx.x / 32;
    report->stage = stage;
    report->phase = phase;
    report->role = role;
    __threadfence_system();
    *const_cast<volatile unsigned*>(&report->what) = 1U;
    __threadfence_system();
  }
  const unsigned long long begin_ns = globaltimer_ns();
  while (globaltimer_ns() - begin_ns < 1'000'000ULL) nanosleep(1000);  // lets the report arrive
  __trap();
}

__device__ inline void mbarrier_wait(Mbarrier* barrier, unsigned parity, Role role = Role::other, int stage = 0) {
  if (mbarrier_try_wait(barrier, parity)) return;
  const unsigned long long begin_ns = globaltimer_ns();
  while (!mbarrier_try_wait(barrier, parity))
    if (globaltimer_ns() - begin_ns > kPatience_ns) report_wait_and_trap(static_cast<unsigned>(stage), parity, role);
}

#else

// Until the phase of that parity is over.
__device__ __forceinline__ void mbarrier_wait(Mbarrier* barrier, unsigned parity, Role = Role::other, int = 0) {
  while (!mbarrier_try_wait(barrier, parity)) {
  }
}

#endif

// A place in a ring: which stage, and how many times round (parity).
struct Cursor {
  int stage = 0;
  unsigned phase = 0;
};

template <int kStages>
inline constexpr int kRingBytes = 2 * kStages * static_cast<int>(sizeof(Mbarrier));

template <int kStages>
class Ring {
 public:
  __device__ explicit Ring(void* shared) : barriers_(static_cast<Mbarrier*>(shared)) {}

  // Arrivals that fill a stage besides the bytes of TMA (1: the thread that expects them), and that empty it.
  __device__ void init(unsigned producers, unsigned consumers) const {
#pragma unroll
    for (int stage = 0; stage < kStages; ++stage) {
      mbarrier_init(barriers_ + stage, producers);
      mbarrier_init(barriers_ + kStages + stage, consumers);
    }
  }

  __device__ __forceinline__ Mbarrier* full(const Cursor& at) const { return barriers_ + at.stage; }
  __device__ __forceinline__ Mbarrier* empty(const Cursor& at) const { return barriers_ + kStages + at.stage; }

  __device__ __forceinline__ void wait_full(const Cursor& at, Role role = Role::consumer) const {
    mbarrier_wait(full(at), at.phase, role, at.stage);
  }
  __device__ __forceinline__ void wait_empty(const Cursor& at, Role role = Role::producer) const {
    mbarrier_wait(empty(at), at.phase ^ 1U, role, at.stage);
  }

  __device__ __forceinline__ static void next(Cursor& at) {
    if (++at.stage == kStages) {
      at.stage = 0;
      at.phase ^= 1U;
    }
  }

 private:
  Mbarrier* barriers_;
};

// A warpgroup is done with a stage: counts once at `empty` of every block of the cluster.
template <int kCluster>
__device__ __forceinline__ void give_back(Mbarrier* empty) {
  if constexpr (kCluster == 1) {
    if (threadIdx.x % 128 == 0) mbarrier_arrive(empty);
  } else {
    if (threadIdx.x % 128 < kCluster) mbarrier_arrive_in(empty, threadIdx.x % 128);
  }
}

// The same, where threads themselves have read the stage: each warp counts once, when all of its lanes have.
template <int kCluster>
__device__ __forceinline__ void give_back_by_warps(Mbarrier* empty) {
  __syncwarp();
  const unsigned lane = lane_id();
  if constexpr (kCluster == 1) {
    if (lane == 0) mbarrier_arrive(empty);
  } else {
    if (lane < kCluster) mbarrier_arrive_in(empty, lane);
  }
}

}  // namespace chokepoint::hopper
