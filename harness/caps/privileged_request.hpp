// Which knobs that only root may turn does a run ask for? Read from flags, refused without consent, turned on one GPU,
// told in records.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/caps/privileged.hpp"

namespace chokepoint {

struct PrivilegedRequest {
  std::optional<double> sm_clock_hz, memory_clock_hz, power_limit_w;
  std::optional<std::string> nvlink_mode;  // a word of nvlink_modes()

  bool empty() const { return !sm_clock_hz && !memory_clock_hz && !power_limit_w && !nvlink_mode; }
};

// The word's place is NVML's number of the mode.
const std::vector<std::string>& nvlink_modes();

// What can be refused before a device is opened. Throws Error{config} when something is asked for without consent or
// of a device that is no GPU, or when a value makes no sense.
void check(const PrivilegedRequest& request, bool allow_privileged, const std::string& device);

// Turns what is asked for; the guards put it back. Throws Error{config} without consent, Error{device} when the driver
// refuses; what was turned before the refusal is back by then.
[[nodiscard]] std::vector<PrivilegedGuard> turn_knobs(const PrivilegedRequest& request, bool allow_privileged,
                                                      const NvmlGpu& gpu);

// Only what was asked for.
Json to_json(const PrivilegedRequest& request);

}  // namespace chokepoint
