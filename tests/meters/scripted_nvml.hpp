// A GPU behind the fake NVML whose clock is its script's: the whole chain from energy to the shared object, and hours
// of it in no time. Its script begins with "clock = script".
#pragma once

#include <dlfcn.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "harness/meters/load_log.hpp"
#include "harness/meters/nvml_instrument.hpp"

namespace chokepoint {

// Polls are as late as the script's readings make them, on top of `poll_s`.
class ScriptedNvml final : public NvmlInstrument, public Poller {
 public:
  double poll_s = 0.002;
  double idle_w = 400.0, load_w = 400.0;

  explicit ScriptedNvml(NvmlGpu gpu) : NvmlInstrument(std::move(gpu)) {
    void* library = ::dlopen(FAKE_NVML, RTLD_NOW | RTLD_NOLOAD);
    now_ = reinterpret_cast<double (*)()>(::dlsym(library, "fake_nvml_now"));
    pass_ = reinterpret_cast<void (*)(double)>(::dlsym(library, "fake_nvml_pass"));
    draw_ = reinterpret_cast<void (*)(double)>(::dlsym(library, "fake_nvml_draw"));
    ::dlclose(library);  // the GPU keeps it
  }

  double now_s() override { return now_(); }
  void sleep_s(double seconds) override {
    draw(idle_w);
    pass(seconds);
  }
  KeepBusy load() {  // launches of 1 ms
    return [this] {
      draw(load_w);
      const double began_s = now_();
      pass(0.03);
      begun_ += (now_() - began_s) * 1e3;
      const auto launches = static_cast<std::int64_t>(begun_);
      begun_ -= static_cast<double>(launches);
      return LoadStep{launches, now_() - began_s};
    };
  }

  void start(std::function<void()> poll) override { poll_ = std::move(poll); }
  void stop() override { poll_ = nullptr; }

 private:
  void draw(double w) {
    if (w != drawn_w_) draw_(w);
    drawn_w_ = w;
  }
  void pass(double seconds) {
    for (const double until_s = now_() + seconds; now_() < until_s - 1e-9;) {
      pass_(std::min(poll_s, until_s - now_()));
      if (poll_) poll_();
    }
  }

  double (*now_)();
  void (*pass_)(double);
  void (*draw_)(double);
  double drawn_w_ = -1.0, begun_ = 0.0;
  std::function<void()> poll_;
};

}  // namespace chokepoint
