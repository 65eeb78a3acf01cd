// How is a resource made scarce without touching the machine? A clock that serialises what is charged on it.
//
// busy_until = max(busy_until, now) + amount / rate: idle time earns nothing, so no burst follows a pause (a
// token bucket would let one through). A message also takes `latency_s`, during which the next one may
// already be on its way.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "harness/caps/tallied_clock.hpp"

namespace chokepoint {

class SoftwareClock final : public TalliedClock {
 public:
  // rate in amount per second, latency per message. Starts disengaged: charges are counted, nothing waits.
  SoftwareClock(double rate, double latency_s) : rate_(rate), latency_s_(latency_s) {}

  void engage() override;
  void set_rate(double rate, double latency_s) override;
  void release() noexcept override;
  void reset_tally() override;
  ClockTally tally() const override;

  Moment reserve(double amount) override { return book(amount, false); }
  Moment reserve_message(double amount) override { return book(amount, true); }
  void wait(Moment ready) override;

 private:
  Moment book(double amount, bool message);
  void close_stretch();  // with mutex_ held
  double latency_pending_s(Moment until) const;  // since the last byte was through; with mutex_ held

  double rate_, latency_s_;
  std::atomic<bool> engaged_{false};
  mutable std::mutex mutex_;
  Moment busy_until_ = Moment::min();
  Moment arrives_until_ = Moment::min();  // busy_until_ and what latency comes on top
  Moment stretch_start_ = Moment::min(), stretch_end_ = Moment::min();
  ClockTally tally_;
};

// Sleeps until shortly before `moment` and spins the rest: the scheduler wakes sleepers tens of microseconds
// late.
void sleep_then_spin_until(Moment moment);

}  // namespace chokepoint
