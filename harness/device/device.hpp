// What does the harness need from a machine that runs kernels? Its name, its facts, and a stopwatch around a
// launch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/base/registry.hpp"

namespace chokepoint {

// What is known about a device; absent facts are absent.
struct DeviceFacts {
  std::string kind;  // "cpu", "cuda", "fake"
  std::string name;  // marketing name
  std::string
      architecture;  // "x86_64/avx512", "sm_90"; same architecture as a profile allows basis `emulated`
  int workers = 1;   // threads or SMs
  std::int64_t last_level_cache_bytes = 0;
  std::int64_t memory_bytes = 0;
  Json more = Json::object();
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceFacts& facts() const = 0;

  // Runs `work` once and returns how long it took in seconds of the device's best clock; throws what `work`
  // throws.
  virtual double time_s(const std::function<void()>& work) = 0;

  // Seconds since some fixed moment, for budgets and warm-up; steady.
  virtual double now_s() = 0;
};

// How to reach a kind of device; registered from the file that implements it.
struct DeviceDriver {
  std::string name;  // "cpu", "cuda"
  // Throws Error{device} with a remedy when it is not there. `index` is N of "cuda:N".
  std::function<std::unique_ptr<Device>(int index)> open;
  // One line for `doctor`: what was found, or what is missing and how to get it.
  std::function<std::string()> describe;
};

// "cpu" or "cuda:1". Throws Error{config} for an unknown kind, Error{device} when it cannot be opened.
std::unique_ptr<Device> open_device(const std::string& name);

}  // namespace chokepoint
