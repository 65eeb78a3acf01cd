// Which knobs that only root may turn does a run ask for? Read from flags, refused without consent or where the GPU has
// no such value, turned on one GPU, told in records.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/caps/privileged.hpp"
#include "harness/meters/nvml.hpp"

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

// Who will turn them: to be called before this process opens CUDA or NVML, see PrivilegedKnobs. Null when nothing is
// asked for. Throws Error{config} without consent.
std::unique_ptr<PrivilegedKnobs> knobs_for(const PrivilegedRequest& request, bool allow_privileged);

// Throws Error{config}, with the nearest values that would do, when the GPU does not support a clock (an SM clock:
// beside the memory clock that is asked for, else beside the highest) or a power limit. What NVML does not list is left
// to the driver.
void check_on(const PrivilegedRequest& request, const NvmlGpu& gpu);

// Checks, then turns what is asked for. Throws as check_on, and Error{device} when the driver refuses; what was turned
// before that goes back with `knobs`.
void turn_knobs(const PrivilegedRequest& request, const NvmlGpu& gpu, PrivilegedKnobs& knobs);

// Only what was asked for.
Json to_json(const PrivilegedRequest& request);

}  // namespace chokepoint
