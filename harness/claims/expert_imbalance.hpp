// What does it cost when experts do not get the same number of tokens?
#pragma once

#include "harness/claims/phases.hpp"

namespace chokepoint {

// The busiest rank's rows as a multiple of the mean, at least 1: all ranks wait for it, so what experts
// compute and what transfers carry takes that much longer. Attention, dense layers, heads and the waits
// themselves stay.
TrainingPhases with_imbalance(TrainingPhases phases, double imbalance);  // throws Error{config} below 1

}  // namespace chokepoint
