// Which targets of a group are timed on the same launches? Those that only clocks hold, and the same ones: they differ in
// rates alone, take turns on one set of arrays, and so differ in nothing else. Caps from outside act on where work is
// enqueued, and have launches of their own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "harness/caps/shared_clocks.hpp"
#include "harness/run/wire_lanes.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

struct Arm;

struct LaunchSet {
  std::vector<Arm*> arms;              // whose launches they are, at least one
  std::optional<SharedClocks> clocks;  // of several; the launches of one alone charge its own
  WireLanes lanes;
  std::vector<std::unique_ptr<Launch>> launches;  // one per copy of the problem

  const Pace& pace() const;  // what they charge
  // Runs `work`, which prepares launches, within what they will be timed in: caps from outside, lanes apart.
  void hold(const std::function<void()>& work) const;
  // A timer for each of its arms, within the same.
  void make_timers(Device& device);
};

// Gives every arm its set, whose launches are still to be prepared; caps of the arms are installed, and the arms stay
// where they are.
std::vector<std::shared_ptr<LaunchSet>> launch_sets(std::vector<Arm>& arms, Device& device, int wire_multiprocessors);

}  // namespace chokepoint
