// How long do the parts of a DeepSeek-V3 training step take on an H800, as DeepSeek's public trace shows
// them?
#pragma once

#include "harness/claims/phase_parts.hpp"
#include "harness/claims/phases.hpp"

namespace chokepoint {

// 4096 tokens per micro-batch, 64 experts' ranks (8 nodes of 8), 112 SMs for compute and 20 for transfers,
// routing perfectly balanced. Means over the layers of the trace; what the trace does not contain is derived
// (see there).
TrainingPhases trace_phases();

// What these phases consist of.
PhaseParts trace_parts();

}  // namespace chokepoint
