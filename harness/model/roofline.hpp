// How fast could this work be at best under these rates, and which resource decides?
#pragma once

#include <optional>

#include "harness/base/resource.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// Rates in FLOP/s and bytes/s (per direction for link and network); absent = that resource is not a limit
// here.
struct Roof {
  PerResource<std::optional<double>> rate;
};

// max over resources of work/rate (Williams, Waterman and Patterson 2009, with a roof for each link); message
// latency is not part. 0 when nothing limits this work. Throws Error{config} on a rate that is not a positive
// number or work that is negative or not finite.
double roofline_time_s(const Work& work, const Roof& roof);

// The resource that gives this time (the first in the order of the vocabulary on a tie); absent when nothing
// limits.
std::optional<Resource> bound_by(const Work& work, const Roof& roof);

}  // namespace chokepoint
