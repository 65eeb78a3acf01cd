#include "harness/claims/kernel_scaling.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"

namespace chokepoint {
KernelMachine kernel_machine(const Profile& profile, Dtype dtype, std::optional<double> sms) {
  const auto rates = profile.compute.find(dtype);
  const double all_sms = known_figure(profile, profile.sm_count, "sm_count");
  const double peak = known_figure(profile, rates == profile.compute.end() ? std::nullopt : rates->second.datasheet,
                                   "datasheet rate of compute in this dtype");
  return {.sms = sms.value_or(all_sms),
          .flop_per_s_per_sm = peak / all_sms,
          .clock_hz = known_figure(profile, profile.boost_clock, "boost_clock"),
          .memory_bytes_per_s = known_figure(profile, profile.memory.datasheet, "datasheet rate of memory")};
}

std::string_view to_string(ScaledBy branch) { return branch == ScaledBy::compute ? "compute" : "memory"; }

ScaledTime scaled_time(double time_s, double flop, double bytes, const KernelMachine& from,
                       const KernelMachine& to) {
  require_positive(time_s, "a kernel's time", "correct the row");
  require_positive(flop, "a kernel's work in FLOP", "correct the row");
  require_positive(bytes, "a kernel's memory traffic", "correct the row");
  const double ridge = from.peak_flop_per_s() / from.memory_bytes_per_s;
  const double share = std::min(1.0, bytes / (time_s * from.memory_bytes_per_s));
  if (flop / bytes <= ridge) return {bytes / (to.memory_bytes_per_s * share), ScaledBy::memory};
  const double compute_s = time_s * from.peak_flop_per_s() / to.peak_flop_per_s();
  const double memory_s = bytes / to.memory_bytes_per_s;
  return {std::max(compute_s, memory_s), compute_s >= memory_s ? ScaledBy::compute : ScaledBy::memory};
}

}  // namespace chokepoint
