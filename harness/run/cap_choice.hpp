// Which mechanism holds each cap of a target on this device? Chosen, tuned and installed before its launches are prepared.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/run/arm.hpp"
#include "harness/run/probe.hpp"

namespace chokepoint {

// The mechanisms that may hold a resource for this kernel here, in the order in which they are to be tried.
std::vector<const Cap*> mechanisms_for(const Kernel& kernel, Resource resource, const DeviceFacts& facts);

// Why this kernel cannot play this target here; empty when it can.
std::optional<std::string> cap_obstacle(const Kernel& kernel, const Target& target, const std::vector<CapPlan>& plans,
                                        const DeviceFacts& facts);

// A target whose caps cannot hold here leaves the others alone: its arm goes from `arms`, its record to `left_out`. Throws
// when none is left.
void choose_caps(const Kernel& kernel, Dtype dtype, const DeviceFacts& facts, Prober& prober, std::vector<Arm>& arms,
                 std::vector<Record>& left_out);

// The arm stays where it is from here on: caps and clocks refer to each other.
void install_caps(Arm& arm, Device& device);

// Whether one of its caps acts on all of the device while it is engaged.
bool acts_on_the_device(const Arm& arm);

}  // namespace chokepoint
