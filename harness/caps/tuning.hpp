// Which setting gives a probe the rate that was asked for, where a mechanism acts on the rate only through something
// else? A search over a function that has to be measured, so with few calls.
#pragma once

#include "harness/caps/cap.hpp"

namespace chokepoint {

// Accepted by the search; leaves room for the probes before and after to differ within kCapTolerance.
inline constexpr double kTuningTolerance = 0.01;
inline constexpr int kMostTuningProbes = 14;

// The partition of `total` multiprocessors whose rate, which grows with their number, comes closest to `requested`.
// The first try is their share of the ceiling; fewer of them run at a higher clock, so it is seldom the last.
int tune_multiprocessors(double requested, double ceiling, int total, const DeliveredWith& delivered);

// Multiprocessors that copy at `traffic` bytes per second, read plus written: as many as can do it beside a kernel that
// keeps memory busy, at most half of them all, so that pace and not their number decides.
int multiprocessors_for_traffic(double traffic, int total);

// The traffic, in bytes per second up to `most`, beside which the probe gets `requested` of `ceiling` within
// kTuningTolerance. Throws Error{cap_not_held} when even `most` leaves it more, or when the probes do not settle.
double tune_traffic(double requested, double ceiling, double most, const DeliveredWith& delivered);

}  // namespace chokepoint
