// How fast does one multiprocessor send over a link? Slower than it copies within its own memory: a wire played by such
// copies would need too few of them, and leave products more than they would have.
#pragma once

#include <cmath>

#include "harness/model/emulation.hpp"

namespace chokepoint {

// Bytes per second and direction, of one channel, which is one SM, over NVLink on Hopper: NCCL v2.28.9-1,
// src/graph/tuning.cc, perChMaxTreeBws of one node. (Its perChMaxRingLL128Bws says 36.7 GB/s.) A constant by which NCCL
// chooses algorithms: reported, not measured here.
inline constexpr double kLinkRatePerSm = 38.7e9;

// On this machine, where time is dilated as for the plan's rate. The plan's `setting` is another figure for the target.
// Only links are carried by multiprocessors; a network's adapter reads by itself.
inline double sm_rate_of(const CapPlan& plan) {
  if (plan.demand.resource != Resource::link) return INFINITY;
  const double share = plan.demand.target_rate > 0.0 ? plan.requested / plan.demand.target_rate : 1.0;
  return plan.setting.value_or(kLinkRatePerSm) * share;
}

}  // namespace chokepoint
