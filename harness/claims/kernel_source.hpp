// Which phases does a training step have when nothing is taken from a trace of it? Single kernels, bytes and rates.
#pragma once

#include "harness/claims/phase_source.hpp"

namespace chokepoint {

// Adds rows to inputs, and what stretches them in place to assumptions; `missing` and nothing else where the machine
// has no row for a kernel.
PhaseSource kernel_source(const Scene& scene, Prepared& prepared);

}  // namespace chokepoint
