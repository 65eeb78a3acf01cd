#include "harness/run/environment.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

#include "harness/base/error.hpp"
#include "harness/meters/nvml.hpp"

#include CHOKEPOINT_GIT_STATE  // made by cmake/git_state.cmake: defines CHOKEPOINT_GIT

namespace chokepoint {
namespace {

// Variables that change what is measured; everything else in the environment stays private.
constexpr const char* kTelling[] = {
    "CHOKEPOINT_THREADS", "CUDA_VISIBLE_DEVICES", "NCCL_DEBUG",       "OMP_NUM_THREADS",
    "OPENBLAS_CORETYPE",  "OPENBLAS_NUM_THREADS", "DNNL_MAX_CPU_ISA", "CI"};

Json load_average() {
  double loads[3] = {};
  return ::getloadavg(loads, 3) == 3 ? Json{loads[0], loads[1], loads[2]} : Json(nullptr);
}

Json answer(const auto& value) { return value ? Json(*value) : Json(nullptr); }

// The place on the bus names the board, as in GpuEnergy.
Json board_facts(const DeviceFacts& facts) {
  Json board = {{"driver", nullptr}, {"vbios", nullptr}, {"power_limit_w", nullptr},
                {"mig", nullptr},    {"persistence", nullptr}, {"nvml", nullptr}};
  try {
    const std::shared_ptr<const Nvml> nvml = Nvml::open();
    board["driver"] = nvml->driver_version();
    const NvmlGpu gpu = nvml->find(facts.more.at("pci_bus_id").get<std::string>());
    board["vbios"] = answer(gpu.vbios_version());
    board["power_limit_w"] = answer(gpu.power_limit_w());
    board["mig"] = answer(gpu.mig_enabled());
    board["persistence"] = answer(gpu.persistence_enabled());
    board["nvml"] = nvml->library();
  } catch (const Error& error) {
    board["nvml"] = error.what();
  }
  return board;
}

bool is_nvidia_gpu(const DeviceFacts& facts) { return facts.kind == "cuda" && facts.more.contains("pci_bus_id"); }

}  // namespace

BuildFacts build_facts() {
  return {CHOKEPOINT_VERSION, CHOKEPOINT_GIT, fmt::format("{} {}", CHOKEPOINT_COMPILER, __VERSION__),
          CHOKEPOINT_FLAGS};
}

std::string utc_now() {
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  const std::time_t now = fixed != nullptr ? static_cast<std::time_t>(std::atoll(fixed)) : std::time(nullptr);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

Json environment_of(const Device& device, const std::vector<std::string>& argv) {
  const DeviceFacts& facts = device.facts();
  const BuildFacts build = build_facts();
  utsname system{};
  ::uname(&system);
  Json variables = Json::object();
  for (const char* name : kTelling)
    if (const char* value = std::getenv(name)) variables[name] = value;
  Json more = facts.more;
  if (is_nvidia_gpu(facts)) more.update(board_facts(facts));
  return {{"schema", "chokepoint/environment/1"},
          {"started", utc_now()},
          {"argv", argv},
          {"build",
           {{"version", build.version},
            {"git", build.git},
            {"compiler", build.compiler},
            {"flags", build.flags}}},
          {"system", {{"name", system.sysname}, {"release", system.release}, {"machine", system.machine}}},
          {"device",
           {{"kind", facts.kind},
            {"name", facts.name},
            {"architecture", facts.architecture},
            {"workers", facts.workers},
            {"last_level_cache_bytes", facts.last_level_cache_bytes},
            {"memory_bytes", facts.memory_bytes},
            {"more", more}}},
          {"load_average_at_start", load_average()},
          {"variables", variables}};
}

Json program_provenance(const DeviceFacts& facts) {
  const BuildFacts build = build_facts();
  Json provenance = {{"version", build.version},
                     {"git", build.git},
                     {"build", fmt::format("{}, {}", build.compiler, build.flags)}};
  if (!is_nvidia_gpu(facts)) return provenance;
  if (const Json driver = board_facts(facts)["driver"]; !driver.is_null()) provenance["driver"] = driver;
  return provenance;
}

}  // namespace chokepoint
