// What do the windows of a load come to? Joules per launch with their error bars and flags, or the reason why none.
#pragma once

#include "harness/meters/energy.hpp"

namespace chokepoint {

// From trials, powers before and after, and slowing that are in `result` already.
void summarise(const EnergySettings& settings, EnergyMeasurement& result);

}  // namespace chokepoint
