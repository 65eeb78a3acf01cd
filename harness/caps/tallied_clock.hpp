// What does a cap need of a clock, wherever it is kept? To switch it on and off, and to read what went through.
#pragma once

#include <cstdint>

#include "kernels/pace.hpp"

namespace chokepoint {

// What went through a clock since it was engaged, by the system's own time.
struct ClockTally {
  double charged = 0.0;  // amount
  double active_s =
      0.0;  // from a first reservation on an idle clock until the last wait of that stretch returned
  std::int64_t messages = 0;
  std::int64_t reservations = 0;
  double latency_only_s = 0.0;  // of active_s: bytes were through, and only the latency of messages was pending
  double tick_s = 0.0;          // of the timer that says when a wait is over; 0: too fine to matter
};

class TalliedClock : public ResourceClock {
 public:
  virtual void engage() = 0;
  // From the next engage() on: amount per second, and latency per message.
  virtual void set_rate(double rate, double latency_s) = 0;
  // The same: amount per second through one multiprocessor. For clocks whose messages several of them carry.
  virtual void set_sm_rate(double /*rate*/) {}
  virtual void release() noexcept = 0;
  virtual void reset_tally() = 0;
  virtual ClockTally tally() const = 0;
};

}  // namespace chokepoint
