// How many bytes have to be put in flight now, so that traffic moves at a target rate? Arithmetic only: whoever
// moves them says what was done in each tick.
//
// It owes what the target would have moved and was not moved yet, and keeps one tick's worth in flight besides, so
// that the engine does not run dry. What is owed is bounded: traffic that was held up for a while does not make up
// for it with a burst far above the target.
#pragma once

#include <algorithm>

namespace chokepoint {

class RateController {
 public:
  // Bytes per second; bursts are whole multiples of `granule` bytes, and a tick is nominally `tick_s` long.
  RateController(double target_rate, double tick_s, double granule);

  // After a tick that lasted `elapsed_s` and in which `done_bytes` were moved: bytes to enqueue.
  double next_burst(double elapsed_s, double done_bytes);

  double in_flight() const { return in_flight_; }
  double most_in_flight() const { return most_; }

 private:
  double target_rate_, ahead_, granule_;
  double most_;  // in flight, and owed either way
  double owed_ = 0.0, in_flight_ = 0.0;
};

}  // namespace chokepoint
