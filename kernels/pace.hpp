// How does a kernel obey a cap? It charges what it uses on resource clocks: reserve ahead of the work, wait
// late.
//
// A resource clock serialises everything that is reserved on it, as a wire or a memory bus does:
//   reserve(amount): ready_at = busy_until = max(busy_until, now) + amount / rate
// Idle time earns nothing. Waiting comes after the kernel's own work on that amount, so that the slower of
// the two decides (max, not sum). Clocks are shared by all threads of a launch and may be called from any of
// them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace chokepoint {

using Moment = std::chrono::steady_clock::time_point;

// A resource clock in the memory of a GPU, charged by kernels (kernels/common/cuda/device_clock.cuh). Times are
// picoseconds since `origin_ns` of the GPU's %globaltimer, which the first charge sets.
struct DeviceClock {
  double ps_per_unit = 0.0;  // of an amount; 0 while the clock is released: charges are counted, nothing waits
  std::uint64_t latency_ps = 0;     // per message
  std::uint64_t origin_ns = 0;      // 0: not set yet
  std::uint64_t busy_until_ps = 0;
  std::uint64_t charged = 0;        // amount, since the tally was reset
  std::uint64_t active_ps = 0;      // of messages: from booking until all had arrived
  std::uint64_t messages = 0;
  double ps_per_unit_of_sm = 0.0;  // of what one multiprocessor carries of a message; 0: as fast as it can
};

class ResourceClock {
 public:
  virtual ~ResourceClock() = default;

  // Where kernels on a GPU find this clock, in the GPU's memory; null for clocks that the host keeps.
  virtual DeviceClock* on_device() const { return nullptr; }

  // Books `amount` (bytes, or FLOP for compute) and returns when it is through.
  virtual Moment reserve(double amount) = 0;

  // Blocks until `ready`, and notes when that really was.
  virtual void wait(Moment ready) = 0;

  // Seconds a message needs besides its bytes; included in what `reserve_message` returns.
  virtual Moment reserve_message(double amount) = 0;
};

// The clocks of one launch; a null clock means that resource is not capped.
struct Pace {
  ResourceClock* compute = nullptr;
  ResourceClock* memory = nullptr;
  ResourceClock* link_send = nullptr;
  ResourceClock* link_receive = nullptr;
  ResourceClock* network_send = nullptr;
  ResourceClock* network_receive = nullptr;
};

inline constexpr ResourceClock* Pace::*kPaceClocks[] = {&Pace::compute,      &Pace::memory,       &Pace::link_send,
                                                        &Pace::link_receive, &Pace::network_send, &Pace::network_receive};

// The same for device code, by value; a null clock means that resource is not capped.
struct DevicePace {
  DeviceClock* compute = nullptr;
  DeviceClock* memory = nullptr;
  DeviceClock* link_send = nullptr;
  DeviceClock* link_receive = nullptr;
  DeviceClock* network_send = nullptr;
  DeviceClock* network_receive = nullptr;
};

inline DevicePace device_pace(const Pace& pace) {
  const auto on_device = [](const ResourceClock* clock) {
    return clock == nullptr ? nullptr : clock->on_device();
  };
  return {on_device(pace.compute),      on_device(pace.memory),       on_device(pace.link_send),
          on_device(pace.link_receive), on_device(pace.network_send), on_device(pace.network_receive)};
}

// What one tile of a kernel costs.
struct Charge {
  double memory_bytes =
      0.0;            // cold bytes: what a cache of the emulated machine would have to fetch or write back
  double flop = 0.0;  // FLOP of the emulated dtype
};

// Paces one worker's loop over tiles: charge a tile when its work begins; `ahead` tiles may be in flight
// before the oldest has to be through. The worker runs at most that far ahead of the clocks, and `drain`
// settles the rest.
//   PacedLoop loop(pace, 8);
//   for (tile...) { loop.begin(charge(tile)); compute(tile); }
//   loop.drain();
class PacedLoop {
 public:
  PacedLoop(const Pace& pace, std::size_t ahead)
      : memory_(pace.memory), compute_(pace.compute), ahead_(ahead) {}

  void begin(const Charge& charge) {
    if (memory_ == nullptr && compute_ == nullptr) return;
    while (in_flight_.size() >= ahead_) retire();
    Ready ready;
    if (memory_ != nullptr && charge.memory_bytes > 0.0) ready.memory = memory_->reserve(charge.memory_bytes);
    if (compute_ != nullptr && charge.flop > 0.0) ready.compute = compute_->reserve(charge.flop);
    in_flight_.push_back(ready);
  }

  void drain() {
    while (!in_flight_.empty()) retire();
  }

 private:
  struct Ready {
    Moment memory = Moment::min(), compute = Moment::min();
  };

  void retire() {
    const Ready ready = in_flight_.front();
    in_flight_.pop_front();
    if (ready.memory != Moment::min()) memory_->wait(ready.memory);
    if (ready.compute != Moment::min()) compute_->wait(ready.compute);
  }

  ResourceClock* memory_;
  ResourceClock* compute_;
  std::size_t ahead_;
  std::deque<Ready> in_flight_;
};

// Paces work whose tiles are all known before it begins, by several workers: everything is booked in order at
// once, so that no phase without charges of its own (packing, say) leaves a clock idle. Safe to use from any
// thread.
//   const PacedSchedule schedule(pace, charges, 8);
//   workers: schedule.before(i); compute(i);      then once: schedule.finish();
class PacedSchedule {
 public:
  PacedSchedule(const Pace& pace, std::span<const Charge> charges, std::size_t ahead)
      : memory_(pace.memory), compute_(pace.compute), ahead_(ahead) {
    for (const Charge& charge : charges) {
      if (memory_ != nullptr)
        memory_ready_.push_back(charge.memory_bytes > 0.0 ? memory_->reserve(charge.memory_bytes)
                                                          : last(memory_ready_));
      if (compute_ != nullptr)
        compute_ready_.push_back(charge.flop > 0.0 ? compute_->reserve(charge.flop) : last(compute_ready_));
    }
  }

  // Blocks until tile `i - ahead` is through: a worker runs at most that far ahead of the clocks.
  void before(std::size_t i) const {
    if (i < ahead_) return;
    wait(memory_, memory_ready_, i - ahead_);
    wait(compute_, compute_ready_, i - ahead_);
  }

  // Blocks until every tile is through.
  void finish() const {
    if (!memory_ready_.empty()) wait(memory_, memory_ready_, memory_ready_.size() - 1);
    if (!compute_ready_.empty()) wait(compute_, compute_ready_, compute_ready_.size() - 1);
  }

 private:
  static Moment last(const std::vector<Moment>& ready) {
    return ready.empty() ? Moment::min() : ready.back();
  }

  static void wait(ResourceClock* clock, const std::vector<Moment>& ready, std::size_t i) {
    if (clock != nullptr && ready[i] != Moment::min()) clock->wait(ready[i]);
  }

  ResourceClock* memory_;
  ResourceClock* compute_;
  std::size_t ahead_;
  std::vector<Moment> memory_ready_, compute_ready_;  // by tile
};

}  // namespace chokepoint
