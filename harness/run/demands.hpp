// Which resources does a target ask of this host for some work, and at which rates?
#pragma once

#include <optional>
#include <vector>

#include "harness/model/emulation.hpp"
#include "harness/model/profile.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// Resources that `target` would cap for this work, with the profile's rates and latencies. On a host of the
// target's architecture whose own profile is known, compute and memory are what was measured here times the
// ratio of the two profiles: silicon is compared with itself, not with what somebody achieved elsewhere.
std::vector<Demand> demands_of(const Target& target, const Work& work, Dtype dtype, const Profile* host = nullptr,
                               const PerResource<std::optional<double>>& ceilings = {});

}  // namespace chokepoint
