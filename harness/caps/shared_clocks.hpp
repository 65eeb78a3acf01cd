// How do several targets use the same launches? The launches charge clocks that belong to no target; for its turn a target
// puts its own in their place, with rate, tally and how long they are busy, and takes them back after it.
#pragma once

#include <memory>
#include <vector>

#include "harness/device/device.hpp"
#include "kernels/pace.hpp"

namespace chokepoint {

class SharedClock;

// Whether both have clocks for the same resources.
bool have_same_clocks(const Pace& a, const Pace& b);

class SharedClocks {
 public:
  // One for each clock of `like`, kept where that is kept. Before the first turn nothing waits. `device` outlives it.
  SharedClocks(Device& device, const Pace& like);
  ~SharedClocks();

  const Pace& pace() const { return pace_; }  // for the launches

  // In order with the launches on `stream`. `own` has the same clocks as `like`.
  void begin_turn(const Pace& own, void* stream);
  void end_turn(const Pace& own, void* stream);

 private:
  void copy(const Pace& own, bool back, void* stream);

  Device& device_;
  std::vector<std::unique_ptr<SharedClock>> clocks_;
  Pace pace_;
};

}  // namespace chokepoint
