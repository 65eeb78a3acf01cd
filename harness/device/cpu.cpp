// The host CPU as a device: its facts from the kernel's files, its stopwatch the steady clock.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {
namespace {

// First line of a small file under /sys or /proc; empty when it is not there (containers hide some).
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      if (const std::size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return {};
}

std::string vector_width() {
  const std::string flags = " " + cpuinfo("flags") + " ";
  for (const char* name : {"avx512f", "avx2", "sse4_1"})
    if (flags.find(fmt::format(" {} ", name)) != std::string::npos) return name;
  return "generic";
}

// "32768K" -> bytes, of the largest cache that cpu0 sees.
std::int64_t last_level_cache_bytes() {
  std::int64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::istringstream text(
        first_line(fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/size", index)));
    std::int64_t size = 0;
    char unit = 0;
    if (text >> size >> unit) largest = std::max(largest, size << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0));
  }
  return largest;
}

class Cpu final : public Device {
 public:
  Cpu() {
    facts_.kind = "cpu";
    facts_.name = cpuinfo("model name");
    if (facts_.name.empty()) facts_.name = "CPU";
    facts_.architecture = "x86_64/" + vector_width();
    facts_.workers = parallel_workers();
    facts_.last_level_cache_bytes = last_level_cache_bytes();
    facts_.memory_bytes = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
    facts_.more = {{"governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
                   {"kernel", first_line("/proc/sys/kernel/osrelease")}};
  }

  const DeviceFacts& facts() const override { return facts_; }

  double time_s(const std::function<void()>& work) override {
    const double start = now_s();
    work();
    return now_s() - start;
  }

  double now_s() override {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

 private:
  DeviceFacts facts_;
};

const Register<DeviceDriver> driver{
    {.name = "cpu",
     .open = [](int index) -> std::unique_ptr<Device> {
       if (index != 0)
         throw Error(Fault::config, fmt::format("there is no cpu:{}", index), "use --device cpu");
       return std::make_unique<Cpu>();
     },
     .describe =
         [] {
           const Cpu cpu;
           const DeviceFacts& facts = cpu.facts();
           return fmt::format("{}, {} worker{}, {}, {:.0f} MiB last-level cache, {:.1f} GiB memory",
                              facts.name, facts.workers, facts.workers == 1 ? "" : "s", facts.architecture,
                              static_cast<double>(facts.last_level_cache_bytes) / (1 << 20),
                              static_cast<double>(facts.memory_bytes) / (1 << 30));
         }}};

}  // namespace
}  // namespace chokepoint
