// In which unit do schedules reckon? Whole nanoseconds: sums are exact, and equal times compare equal.
#pragma once

#include <cmath>
#include <cstdint>

namespace chokepoint {

inline std::int64_t to_ns(double seconds) { return std::llround(seconds * 1e9); }
inline double to_s(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-9; }

}  // namespace chokepoint
