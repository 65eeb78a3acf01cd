// What does a time measured on one machine say about another one of the same family?
//
// compute-bound (measured intensity above the ridge): time x (SMs x clock there) / (SMs x clock here), but
// not below the time of its bytes; memory-bound: bytes over the other memory's rate, at the share of the rate
// it had.
#pragma once

#include <optional>
#include <string>

#include "harness/base/dtype.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

// What of a machine a kernel's time depends on.
struct KernelMachine {
  double sms = 0.0;                // that the kernel runs on
  double flop_per_s_per_sm = 0.0;  // peak of this dtype, at `clock_hz`
  double clock_hz = 0.0;
  double memory_bytes_per_s = 0.0;  // as the maker states it

  double peak_flop_per_s() const { return sms * flop_per_s_per_sm; }
};

// Throws Error{config} where the profile lacks SMs, a clock, or the datasheet's rate. `sms` absent: all of
// them.
KernelMachine kernel_machine(const Profile& profile, Dtype dtype, std::optional<double> sms = std::nullopt);

enum class ScaledBy { compute, memory };
std::string_view to_string(ScaledBy branch);

struct ScaledTime {
  double time_s = 0.0;
  ScaledBy branch = ScaledBy::compute;
};

// `bytes` and `flop` of one launch that took `time_s` on `from`. Throws Error{config} when one of them is not
// above 0.
ScaledTime scaled_time(double time_s, double flop, double bytes, const KernelMachine& from,
                       const KernelMachine& to);

}  // namespace chokepoint
