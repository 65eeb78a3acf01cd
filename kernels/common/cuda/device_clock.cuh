// How does device code obey a cap? The contract of pace.hpp, on clocks in GPU memory that all blocks share.
//
// busy_until = max(busy_until, now) + amount / rate takes two atomics: the maximum first, then the sum. Whatever
// other blocks do in between only moves busy_until forward, so idle time earns nothing and nothing is lost. One
// thread of a block charges for all of it; the block is held where its threads meet next.
//
// Moments are counted in picoseconds, but `now` comes in ticks of the timer: a moment on an idle clock begins up to a
// tick early, and every wait ends up to a tick late. What is waited for as one (a message; all of a launch's tiles on a
// clock that is never idle meanwhile) takes its time within one tick either way, however many tiles it has; messages
// that wait for each other add up. harness/caps/timer_tick.hpp says where that is too much.
#pragma once

#include "kernels/common/cuda/ptx.cuh"
#include "kernels/pace.hpp"

namespace chokepoint {

using DeviceMoment = unsigned long long;  // ps since the clock's origin; 0: no need to wait

__device__ inline unsigned long long* device_counter(std::uint64_t& counter) {
  return reinterpret_cast<unsigned long long*>(&counter);
}

__device__ inline DeviceMoment device_now_ps(DeviceClock* clock) {
  const unsigned long long now_ns = globaltimer_ns();
  unsigned long long origin_ns = *const_cast<volatile std::uint64_t*>(&clock->origin_ns);
  if (origin_ns == 0) {
    const unsigned long long before = atomicCAS(device_counter(clock->origin_ns), 0ULL, now_ns);
    origin_ns = before == 0 ? now_ns : before;
  }
  return now_ns <= origin_ns ? 1 : (now_ns - origin_ns) * 1000ULL;
}

// Books `amount` and returns when it is through.
__device__ inline DeviceMoment device_reserve(DeviceClock* clock, double amount) {
  if (clock == nullptr || amount <= 0.0) return 0;
  atomicAdd(device_counter(clock->charged), static_cast<unsigned long long>(amount + 0.5));
  const double ps_per_unit = *const_cast<volatile double*>(&clock->ps_per_unit);
  if (ps_per_unit == 0.0) return 0;
  const auto cost = static_cast<unsigned long long>(amount * ps_per_unit + 0.5);
  atomicMax(device_counter(clock->busy_until_ps), device_now_ps(clock));
  return atomicAdd(device_counter(clock->busy_until_ps), cost) + cost;
}

// `ready` since `origin_ns`. In the timer's own terms: a look at the clock's memory takes longer than a tick.
__device__ inline void device_wait_since(unsigned long long origin_ns, DeviceMoment ready) {
  const unsigned long long ready_ns = origin_ns + (ready + 999) / 1000;
  for (unsigned long long now_ns; (now_ns = globaltimer_ns()) < ready_ns;) {
    // A sleep may last twice as long as asked for: the last microseconds are spun, so that nothing ends late.
    const unsigned long long left_ns = ready_ns - now_ns;
    nanosleep(left_ns > 4000 ? 1000 : left_ns > 1000 ? 100 : 0);
  }
}

__device__ inline void device_wait(DeviceClock* clock, DeviceMoment ready) {
  if (clock == nullptr || ready == 0) return;
  device_wait_since(*const_cast<volatile std::uint64_t*>(&clock->origin_ns), ready);
}

// Paces one block's loop over tiles, as PacedLoop does for a worker. For one thread of the block:
//   BlockPace<4> pace(clocks);
//   for (tile...) { if (threadIdx.x == 0) pace.begin(bytes, flop); __syncthreads(); compute(tile); }
//   if (threadIdx.x == 0) pace.drain();
template <int kAhead>
class BlockPace {
 public:
  __device__ explicit BlockPace(const DevicePace& pace) : memory_(pace.memory), compute_(pace.compute) {}

  // At most kAhead tiles are in flight before the oldest has to be through.
  __device__ void begin(double memory_bytes, double flop) {
    if (memory_ == nullptr && compute_ == nullptr) return;
    retire();
    memory_ready_[kAhead - 1] = device_reserve(memory_, memory_bytes);
    compute_ready_[kAhead - 1] = device_reserve(compute_, flop);
  }

  __device__ void drain() {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) retire();
  }

 private:
  __device__ void retire() {
    device_wait(memory_, memory_ready_[0]);
    device_wait(compute_, compute_ready_[0]);
#pragma unroll
    for (int i = 0; i + 1 < kAhead; ++i) {
      memory_ready_[i] = memory_ready_[i + 1];
      compute_ready_[i] = compute_ready_[i + 1];
    }
    memory_ready_[kAhead - 1] = compute_ready_[kAhead - 1] = 0;
  }

  DeviceClock* memory_;
  DeviceClock* compute_;
  DeviceMoment memory_ready_[kAhead] = {}, compute_ready_[kAhead] = {};
};

}  // namespace chokepoint
