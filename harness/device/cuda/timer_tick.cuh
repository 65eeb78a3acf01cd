// Device code of timer_tick.cu: one thread reads the timer as fast as it can and notes by how much it moves.
#pragma once

#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

inline constexpr unsigned kTimerSteps = 64;
// A reading takes some ten nanoseconds: a timer that stands still is left after a millisecond or two.
inline constexpr unsigned kMostTimerReadings = 1U << 16;

struct TimerSteps {
  unsigned count;  // of those below that were seen
  std::uint32_t step_ns[kTimerSteps];
};

// The first step is left out: it began before the first reading. So is one that goes back, if any does.
__device__ inline void note_timer_steps(TimerSteps* to) {
  unsigned count = 0;
  bool is_whole = false;
  std::uint64_t last_ns = globaltimer_ns();
  for (unsigned reading = 0; reading < kMostTimerReadings && count < kTimerSteps; ++reading) {
    const std::uint64_t now_ns = globaltimer_ns();
    if (now_ns == last_ns) continue;
    if (is_whole && now_ns > last_ns) to->step_ns[count++] = static_cast<std::uint32_t>(now_ns - last_ns);
    is_whole = true;
    last_ns = now_ns;
  }
  to->count = count;
}

__global__ void timer_steps(TimerSteps* to) { note_timer_steps(to); }

}  // namespace chokepoint
