#include "harness/caps/privileged_request.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {

namespace {

void require_consent(bool allow_privileged) {
  if (!allow_privileged)
    throw Error(Fault::config, "clocks, power limits and NVLink modes are changed only with --allow-privileged",
                "add --allow-privileged and run as root, or leave out the --lock-*, --power-limit and --nvlink-mode flags");
}

void require_positive(const std::optional<double>& value, const char* flag) {
  if (value && !(*value > 0.0))
    throw Error(Fault::config, fmt::format("{} is {}", flag, *value), "give a value above 0");
}

unsigned number_of(const std::string& mode) {
  const auto& modes = nvlink_modes();
  const auto found = std::find(modes.begin(), modes.end(), mode);
  if (found == modes.end())
    throw Error(Fault::config, fmt::format("--nvlink-mode is \"{}\"", mode),
                fmt::format("choose one of {}", joined(modes, ", ")));
  return static_cast<unsigned>(found - modes.begin());
}

}  // namespace

const std::vector<std::string>& nvlink_modes() {
  static const std::vector<std::string> modes = {"full", "off", "least", "half", "three-quarter"};
  return modes;
}

void check(const PrivilegedRequest& request, bool allow_privileged, const std::string& device) {
  if (request.empty()) return;
  require_consent(allow_privileged);
  if (!device.starts_with("cuda"))
    throw Error(Fault::config, fmt::format("{} has no clocks or limits that NVML could set", device),
                "choose --device cuda:N, or leave these flags out");
  require_positive(request.sm_clock_hz, "--lock-sm-clock");
  require_positive(request.memory_clock_hz, "--lock-memory-clock");
  require_positive(request.power_limit_w, "--power-limit");
  if (request.nvlink_mode) number_of(*request.nvlink_mode);
}

std::vector<PrivilegedGuard> turn_knobs(const PrivilegedRequest& request, bool allow_privileged, const NvmlGpu& gpu) {
  std::vector<PrivilegedGuard> guards;
  if (request.empty()) return guards;
  const std::optional<PrivilegedConsent> consent = PrivilegedConsent::from_flag(allow_privileged);
  require_consent(consent.has_value());
  PrivilegedKnobs knobs(*consent, gpu);
  if (const auto hz = request.sm_clock_hz) guards.push_back(knobs.lock_sm_clock(*hz, *hz));
  if (const auto hz = request.memory_clock_hz) guards.push_back(knobs.lock_memory_clock(*hz, *hz));
  if (const auto w = request.power_limit_w) guards.push_back(knobs.limit_power(*w));
  if (request.nvlink_mode) guards.push_back(knobs.set_nvlink_bandwidth_mode(number_of(*request.nvlink_mode)));
  return guards;
}

Json to_json(const PrivilegedRequest& request) {
  Json json = Json::object();
  if (request.sm_clock_hz) json["sm_clock_hz"] = *request.sm_clock_hz;
  if (request.memory_clock_hz) json["memory_clock_hz"] = *request.memory_clock_hz;
  if (request.power_limit_w) json["power_limit_w"] = *request.power_limit_w;
  if (request.nvlink_mode) json["nvlink_mode"] = *request.nvlink_mode;
  return json;
}

}  // namespace chokepoint
