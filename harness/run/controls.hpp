// Does a cap leave alone what it is not about? A kernel bound by one resource, timed in turn with and without a cap on
// another that leaves it enough.
#pragma once

#include <string>
#include <vector>

#include "harness/model/statistics.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {

inline constexpr double kControlTolerance = 0.02;  // design.md section 5

struct Control {
  std::string work;  // "matmul/tiled bf16 k=4096,m=4096,n=4096"
  Resource capped = Resource::memory;
  std::string mechanism;
  double requested = 0.0;
  RatioEstimate slowdown;  // capped time / uncapped time

  // Too slow only if the whole interval says so: noise is not a leak.
  bool good() const;
};

// A compute-bound product under each kind of memory cap, and a memory-bound stream under a link cap, as far as this
// device has kernels and caps for them. `memory` and `link` are ceilings.
std::vector<Control> negative_controls(Device& device, Prober& prober, double memory, double link);

}  // namespace chokepoint
