// How does a persistent kernel obey a cap without stalling? A warp of its own charges tiles on the device clocks ahead
// of the loads; a loading thread enters a tile when that warp has let it.
//
//   TilePace pace(shared, clocks);            kPaceBytes of shared memory, aligned to 8
//   one thread: pace.init();                  before fence_barrier_init() and the barrier of all
//   pace warp, one lane:  for (tiles) pace.admit(bytes, flop);  pace.drain();
//   loading thread:       Cursor gate;  for (tiles) { pace.enter(gate); loads.. }
// Admitting a tile books its amounts at once, and waits until the tile kPaceAhead before it is through: charge early,
// wait late. What the two atomics of a charge cost is hidden while the tile before is computed. Without clocks nothing
// of this happens. The block ends after drain, so not before its clocks.
#pragma once

#include "kernels/common/cuda/device_clock.cuh"
#include "kernels/common/cuda/hopper/barrier.cuh"

namespace chokepoint::hopper {

inline constexpr int kPaceAhead = 2;  // tiles
inline constexpr int kPaceSlots = 2;  // tiles let in and not yet entered
inline constexpr int kPaceBytes = kRingBytes<kPaceSlots> + static_cast<int>(sizeof(BlockPace<kPaceAhead>));

class TilePace {
 public:
  __device__ TilePace(unsigned char* shared, const DevicePace& clocks)
      : gate_(shared),
        booked_(reinterpret_cast<BlockPace<kPaceAhead>*>(shared + kRingBytes<kPaceSlots>)),
        clocks_(clocks),
        on_(clocks.memory != nullptr || clocks.compute != nullptr) {}

  __device__ void init() const {
    if (!on_) return;
    gate_.init(1, 1);
    *booked_ = BlockPace<kPaceAhead>(clocks_);  // in shared memory: loading warps have few registers
  }

  __device__ bool on() const { return on_; }

  __device__ void admit(double memory_bytes, double flop) {
    gate_.wait_empty(at_, Role::pace);
    booked_->begin(memory_bytes, flop);
    mbarrier_arrive(gate_.full(at_));
    gate_.next(at_);
  }
  __device__ void drain() { booked_->drain(); }

  __device__ void enter(Cursor& at) const {
    if (!on_) return;
    gate_.wait_full(at, Role::pace);
    mbarrier_arrive(gate_.empty(at));
    gate_.next(at);
  }

 private:
  Ring<kPaceSlots> gate_;
  BlockPace<kPaceAhead>* booked_;
  const DevicePace& clocks_;
  bool on_;
  Cursor at_;
};

}  // namespace chokepoint::hopper
