// Copies that keep a rate by themselves until the host says stop: device code of background_traffic.cu.
//
// A block owes rate / blocks: it copies tiles of 32 KiB (as much again is written) and begins the next when the last is
// paid for by the time on %globaltimer. 16-byte accesses, four in flight per thread, streamed past the caches. Two
// blocks of 512 threads per SM have 64 KiB of reads in flight: 700 ns of latency at 94 GB/s, and 2 us, which a memory
// that others keep busy may take, at 33 GB/s, with as much written. Bound: memory. Registers: at most 32, half of an
// SM's file with two blocks; no shared memory, so that most kernels still fit beside it.
#pragma once

#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

inline constexpr int kTrafficThreads = 512;
inline constexpr int kTrafficBlocksPerSm = 2;
inline constexpr int kTrafficUnroll = 4;
inline constexpr std::int64_t kTrafficTileVectors = std::int64_t{kTrafficThreads} * kTrafficUnroll;  // of 16 bytes
inline constexpr double kTrafficTileBytes = 2.0 * 16 * kTrafficTileVectors;  // read plus written

// A block that was held up catches up on this much and no more; it covers a timer that ticks every microsecond.
inline constexpr std::uint64_t kTrafficCredit_ps = 2'000'000;
// Between two looks at the signals, which take as long as a tile: how late a stop may be noticed.
inline constexpr std::uint64_t kTrafficLook_ns = 20'000;

// In memory that host and device both see. Runs are numbered from 1, so that nothing has to be reset between them.
struct TrafficSignals {
  unsigned stop = 0;     // by the host: this run and earlier ones are to end
  unsigned running = 0;  // by the device: all blocks of this run have begun
  unsigned expired = 0;  // by the device: this run outlived its lifetime
};

// In the device's memory: what blocks tell each other.
struct TrafficTally {
  unsigned stop = 0;             // the host's, passed on: one block asks across the bus, not all
  unsigned long long begun = 0;  // blocks, in all runs
  unsigned long long tiles = 0;  // copied, in all runs
};

struct TrafficRun {
  const uint4* from;
  uint4* to;
  std::int64_t tiles;  // of each array; at least one per block
  unsigned number;     // of this run
  unsigned blocks;
  std::uint64_t tile_ps;  // in which a block owes a tile
  std::uint64_t lifetime_ns;
  TrafficSignals* signals;
  TrafficTally* tally;
};

// When may a block begin its next tile? Picoseconds since it began.
struct TrafficPace {
  std::uint64_t tile_ps;
  std::uint64_t due_ps;  // of the next tile

  __device__ bool may_begin(std::uint64_t now_ps) const { return now_ps >= due_ps; }
  // A tile begins now. Idle time earns nothing but the credit.
  __device__ void begin(std::uint64_t now_ps) {
    const std::uint64_t earliest_ps = now_ps > kTrafficCredit_ps ? now_ps - kTrafficCredit_ps : 0;
    due_ps = (due_ps > earliest_ps ? due_ps : earliest_ps) + tile_ps;
  }
};

// What one thread of a block keeps in mind for all of it.
struct TrafficWatch {
  std::uint64_t began_ns, looked_ns;
  TrafficPace pace;
};

__device__ inline void traffic_arrive(const TrafficRun& run) {
  const unsigned long long expected = static_cast<unsigned long long>(run.number) * run.blocks;
  if (atomicAdd(&run.tally->begun, 1ULL) + 1 != expected) return;
  *const_cast<volatile unsigned*>(&run.signals->running) = run.number;
  __threadfence_system();
}

__device__ inline bool traffic_is_over(const TrafficRun& run, std::uint64_t age_ns) {
  if (blockIdx.x == 0 && *const_cast<volatile unsigned*>(&run.signals->stop) >= run.number)
    store_release(&run.tally->stop, run.number);
  if (load_acquire(&run.tally->stop) >= run.number) return true;
  if (age_ns <= run.lifetime_ns) return false;
  *const_cast<volatile unsigned*>(&run.signals->expired) = run.number;
  __threadfence_system();
  return true;
}

// Waits until the next tile may begin; false when the run is over.
__device__ inline bool traffic_goes_on(const TrafficRun& run, TrafficWatch& watch) {
  for (;;) {
    const std::uint64_t now_ns = globaltimer_ns(), age_ns = now_ns - watch.began_ns;
    if (now_ns - watch.looked_ns >= kTrafficLook_ns) {
      watch.looked_ns = now_ns;
      if (traffic_is_over(run, age_ns)) return false;
    }
    if (watch.pace.may_begin(age_ns * 1000)) {
      watch.pace.begin(age_ns * 1000);
      return true;
    }
    // As device_wait: the last microseconds are spun, a sleep may last twice as long as asked for.
    const std::uint64_t left_ns = (watch.pace.due_ps - age_ns * 1000) / 1000;
    nanosleep(left_ns > 4000 ? 1000 : left_ns > 1000 ? 100 : 0);
  }
}

__device__ inline void traffic_tile(const TrafficRun& run, std::int64_t tile) {
  const std::int64_t first = tile * kTrafficTileVectors + threadIdx.x;
  uint4 vectors[kTrafficUnroll];
#pragma unroll
  for (int u = 0; u < kTrafficUnroll; ++u) vectors[u] = __ldcs(run.from + first + u * kTrafficThreads);
#pragma unroll
  for (int u = 0; u < kTrafficUnroll; ++u) __stcs(run.to + first + u * kTrafficThreads, vectors[u]);
}

// For all threads of block `blockIdx.x` of run.blocks. Blocks begin one after the other within a tile's time, so that
// they do not all ask for memory at once ever after.
__device__ inline void traffic_block(const TrafficRun& run) {
  const std::uint64_t began_ns = globaltimer_ns();
  TrafficWatch watch{began_ns, began_ns, {run.tile_ps, run.tile_ps * blockIdx.x / run.blocks}};
  if (threadIdx.x == 0) traffic_arrive(run);
  unsigned long long done = 0;
  for (std::int64_t tile = blockIdx.x;; tile = (tile + run.blocks) % run.tiles) {
    const bool over = threadIdx.x == 0 && !traffic_goes_on(run, watch);
    if (__syncthreads_or(over ? 1 : 0) != 0) break;
    traffic_tile(run, tile);
    ++done;
  }
  if (threadIdx.x == 0) atomicAdd(&run.tally->tiles, done);
}

__global__ void __launch_bounds__(kTrafficThreads, 4) background_traffic(TrafficRun run) { traffic_block(run); }

}  // namespace chokepoint
