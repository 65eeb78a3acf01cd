// In which unit do schedules reckon? Whole nanoseconds: sums are exact, and equal times compare equal.
#pragma once

#include <cmath>
#include <cstdint>

#include "harness/base/error.hpp"

namespace chokepoint {

inline constexpr double kMostSeconds = 1e6;  // sums of thousands of them still fit 64 bits

// Throws Error{config} beyond what a schedule can reckon with.
inline std::int64_t to_ns(double seconds) {
  if (!(std::abs(seconds) <= kMostSeconds))
    throw Error(Fault::config, "a part of a schedule takes " + std::to_string(seconds) + " s",
                "correct the times it was made from");
  return std::llround(seconds * 1e9);
}
inline double to_s(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

}  // namespace chokepoint
