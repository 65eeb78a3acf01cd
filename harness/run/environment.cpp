#include "harness/run/environment.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <ctime>
#include <fstream>

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
            {"more", facts.more}}},
          {"load_average_at_start", load_average()},
          {"variables", variables}};
}

}  // namespace chokepoint
