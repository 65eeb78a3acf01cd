// How does a claim about a training step of DeepSeek-V3 become numbers? From phases, whatever their source, through the
// pair and pipeline schedules.
#pragma once

#include "harness/claims/phase_source.hpp"

namespace chokepoint {

// Fills assumptions, inputs, alternatives, trace and prediction of a whole step; `missing` where the claim lacks
// something.
void prepare_expert_step(const Scene& scene, const PhaseSource& phases, Prepared& prepared);

}  // namespace chokepoint
