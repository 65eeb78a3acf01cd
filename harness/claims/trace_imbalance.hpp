// How far out of balance are experts in a recorded trace of routing, and how sure is that?
#pragma once

#include <string>

#include "harness/claims/derivation.hpp"

namespace chokepoint {

// The trace's imbalance in place of the assumption that `prepared.expert_ranks` names, with the trace as an input.
// Grade C for a trace that says what it was recorded from, D for any other. Throws Error{config} for a trace of other
// experts or of GPUs that do not divide them, Error{io} or Error{config} for a file that is none.
void replace_by_trace(const std::string& path, Prepared& prepared);

}  // namespace chokepoint
