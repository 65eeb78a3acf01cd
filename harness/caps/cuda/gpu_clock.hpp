// How does the host hold a clock that kernels on a GPU charge? It lives in the GPU's memory; the host switches
// it on and off and reads its tally while no kernel runs.
#pragma once

#include <cmath>
#include <memory>

#include "harness/caps/tallied_clock.hpp"
#include "harness/device/device.hpp"

namespace chokepoint {

class GpuClock final : public TalliedClock {
 public:
  // rate in amount per second, latency per message; multiprocessors as fast as they can. Starts released. `device`
  // outlives it.
  GpuClock(Device& device, double rate, double latency_s);

  DeviceClock* on_device() const override { return static_cast<DeviceClock*>(memory_.get()); }
  void engage() override;
  void set_rate(double rate, double latency_s) override {
    rate_ = rate;
    latency_s_ = latency_s;
  }
  void set_sm_rate(double rate) override { sm_rate_ = rate; }
  void release() noexcept override;
  void reset_tally() override;
  ClockTally tally() const override;

  // The host cannot charge it. Both throw Error{unsupported}.
  Moment reserve(double amount) override;
  Moment reserve_message(double amount) override;
  void wait(Moment ready) override;

 private:
  DeviceClock read() const;
  void write(const DeviceClock& clock);

  Device& device_;
  double rate_, latency_s_, sm_rate_ = INFINITY, tick_s_;
  std::shared_ptr<void> memory_;
};

}  // namespace chokepoint
