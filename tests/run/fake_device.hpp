// A device for tests: it runs nothing slowly and tells times from a script, so that results are known in
// advance.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "harness/device/device.hpp"

namespace chokepoint {

class FakeDevice : public Device {
 public:
  // `script(call)` is the time in seconds that the call-th timed launch "takes".
  explicit FakeDevice(std::function<double(std::size_t call)> script) : script_(std::move(script)) {
    facts_.kind = "cpu";  // plays a CPU, so that CPU kernels run on it
    facts_.name = "fake";
    facts_.architecture = "fake/1";
  }

  const DeviceFacts& facts() const override { return facts_; }

  double time_s(const std::function<void()>& work) override {
    work();
    const double time_s = script_(calls_++);
    now_s_ += time_s;
    return time_s;
  }

  double now_s() override {
    return now_s_ += 1e-4;
  }  // looking at the clock takes time, so no loop over it is endless

  std::size_t calls() const { return calls_; }

 protected:
  DeviceFacts facts_;

 private:
  std::function<double(std::size_t)> script_;
  std::size_t calls_ = 0;
  double now_s_ = 0.0;
};

}  // namespace chokepoint
