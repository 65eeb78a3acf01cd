// How are several contenders timed in turn, each under caps of its own? Caps that act on the launches they were made
// for stay engaged throughout; those that act on the whole device are engaged for their contender's turns alone.
#pragma once

#include <span>
#include <vector>

#include "harness/caps/cap.hpp"

namespace chokepoint {

// Runs `enqueue` as work of these caps. Null entries stand for resources without one.
void hold_under(std::span<const std::unique_ptr<InstalledCap>> caps, const std::function<void()>& enqueue);

struct Contender {
  LaunchTimer* timer = nullptr;
  std::span<const std::unique_ptr<InstalledCap>> caps = {};
};

// One sample of each in this order: seconds per launch. Where a cap acts on the whole device, turns of the same
// contender that follow each other share one engagement, and it is released before the next, also when timing
// throws.
std::vector<double> time_contenders(Device& device, std::span<const Contender* const> order);

// Of this contender: `device_wide` caps or the others.
void engage_caps(const Contender& contender, bool device_wide);
void release_caps(const Contender& contender, bool device_wide) noexcept;

}  // namespace chokepoint
