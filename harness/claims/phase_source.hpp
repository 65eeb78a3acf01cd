// Where do the phases of DeepSeek-V3's training step come from, and what do they hold for? From the public trace, moved
// to another machine's rates; single kernels are the other source (harness/claims/kernel_source.hpp).
#pragma once

#include <functional>

#include "harness/claims/derivation.hpp"
#include "harness/claims/what_if.hpp"

namespace chokepoint {

// Phases under conditions, for what is assumed in one draw; without imbalance and jitter, which come after.
using PhaseSource = std::function<TrainingPhases(const Conditions& conditions, const Drawn& drawn)>;

// What the published phases hold for, moved to the rates of this machine. Where the same kernels were measured on it
// and on an H800, products and attention run at the ratio of those times, otherwise at that of the datasheets. Throws
// Error{config} where the profile lacks a figure.
Conditions conditions_of(const Machine& machine, const std::string& configs);

// The phases of the trace; adds what they take to inputs and notes. On another machine than the traced one everything
// changes; a rate that is set reaches the layers with experts, as in published sensitivities.
PhaseSource trace_source(const Machine& machine, Prepared& prepared);

// The same with kernels of another age: the trace is newer than the run that claims are about.
PhaseSource aged(PhaseSource source, Prepared& prepared);

}  // namespace chokepoint
