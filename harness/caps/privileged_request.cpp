#include "harness/caps/privileged_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

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

// "1200, 1215, 1185 or 1230 MHz", nearest first.
std::string nearest_text(std::vector<double> clocks_hz, double to_hz) {
  constexpr std::size_t kMost = 4;
  std::stable_sort(clocks_hz.begin(), clocks_hz.end(),
                   [&](double a, double b) { return std::abs(a - to_hz) < std::abs(b - to_hz); });
  clocks_hz.resize(std::min(clocks_hz.size(), kMost));
  std::string text;
  for (std::size_t i = 0; i < clocks_hz.size(); ++i)
    text += fmt::format("{}{:.0f}", i == 0 ? "" : i + 1 == clocks_hz.size() ? " or " : ", ", clocks_hz[i] * 1e-6);
  return text + " MHz";
}

void require_supported(double hz, const std::vector<double>& clocks_hz, const char* flag, const std::string& by_whom) {
  if (std::find(clocks_hz.begin(), clocks_hz.end(), hz) != clocks_hz.end()) return;
  throw Error(Fault::config, fmt::format("{} is {} MHz, which {} does not support", flag, hz / 1e6, by_whom),
              fmt::format("choose {}; `nvidia-smi -q -d SUPPORTED_CLOCKS` lists all", nearest_text(clocks_hz, hz)));
}

void check_clocks(const PrivilegedRequest& request, const NvmlGpu& gpu) {
  const std::optional<std::vector<double>> memory_clocks_hz = gpu.supported_memory_clocks_hz();
  if (!memory_clocks_hz || memory_clocks_hz->empty()) return;
  const std::optional<double> memory_hz = request.memory_clock_hz, sm_hz = request.sm_clock_hz;
  if (memory_hz) require_supported(*memory_hz, *memory_clocks_hz, "--lock-memory-clock", gpu.name());
  if (!sm_hz) return;
  const double beside_hz = memory_hz.value_or(std::ranges::max(*memory_clocks_hz));
  if (const auto sm_clocks_hz = gpu.supported_sm_clocks_hz(beside_hz); sm_clocks_hz && !sm_clocks_hz->empty())
    require_supported(*sm_hz, *sm_clocks_hz, "--lock-sm-clock",
                      fmt::format("{} with its memory at {:.0f} MHz", gpu.name(), beside_hz * 1e-6));
}

void check_power_limit(double w, const NvmlGpu& gpu) {
  const std::optional<NvmlGpu::PowerRange> range = gpu.power_limit_range();
  if (range && (w < range->least_w || w > range->most_w))
    throw Error(Fault::config, fmt::format("--power-limit is {} W, which {} does not take", w, gpu.name()),
                fmt::format("choose {:.0f} to {:.0f} W", range->least_w, range->most_w));
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

std::unique_ptr<PrivilegedKnobs> knobs_for(const PrivilegedRequest& request, bool allow_privileged) {
  if (request.empty()) return nullptr;
  const std::optional<PrivilegedConsent> consent = PrivilegedConsent::from_flag(allow_privileged);
  require_consent(consent.has_value());
  return std::make_unique<PrivilegedKnobs>(*consent);
}

void check_on(const PrivilegedRequest& request, const NvmlGpu& gpu) {
  check_clocks(request, gpu);
  if (const auto w = request.power_limit_w) check_power_limit(*w, gpu);
}

void turn_knobs(const PrivilegedRequest& request, const NvmlGpu& gpu, PrivilegedKnobs& knobs) {
  check_on(request, gpu);
  const std::string id = gpu.bus_id();
  if (const auto hz = request.sm_clock_hz) knobs.lock_sm_clock(id, *hz, *hz);
  if (const auto hz = request.memory_clock_hz) knobs.lock_memory_clock(id, *hz, *hz);
  if (const auto w = request.power_limit_w) knobs.limit_power(id, *w);
  if (request.nvlink_mode) knobs.set_nvlink_bandwidth_mode(number_of(*request.nvlink_mode));
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
