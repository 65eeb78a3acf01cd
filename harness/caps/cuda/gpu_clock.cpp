#include "harness/caps/cuda/gpu_clock.hpp"

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

[[noreturn]] void refuse() {
  throw Error(Fault::unsupported, "this clock lives on a GPU, and the host cannot charge it",
              "charge it in device code");
}

}  // namespace

GpuClock::GpuClock(Device& device, double rate, double latency_s)
    : device_(device), rate_(rate), latency_s_(latency_s), memory_(device.allocate(sizeof(DeviceClock))) {
  write({});
}

DeviceClock GpuClock::read() const {
  DeviceClock clock;
  device_.download(&clock, memory_.get(), sizeof clock);
  return clock;
}

void GpuClock::write(const DeviceClock& clock) { device_.upload(memory_.get(), &clock, sizeof clock); }

void GpuClock::engage() {
  device_.finish();
  DeviceClock clock;
  clock.ps_per_unit = 1e12 / rate_;
  clock.latency_ps = static_cast<std::uint64_t>(latency_s_ * 1e12 + 0.5);
  write(clock);
}

void GpuClock::release() noexcept {
  try {
    DeviceClock clock = read();
    clock.ps_per_unit = 0.0;
    clock.latency_ps = 0;
    write(clock);
  } catch (const Error&) {
    // A GPU that faulted has no kernels left to hold; the fault itself was thrown where it happened.
  }
}

void GpuClock::reset_tally() {
  DeviceClock clock = read();
  clock.charged = clock.active_ps = clock.messages = 0;
  write(clock);
}

ClockTally GpuClock::tally() const {
  const DeviceClock clock = read();
  return {static_cast<double>(clock.charged), static_cast<double>(clock.active_ps) * 1e-12,
          static_cast<std::int64_t>(clock.messages), 0,
          latency_s_ * static_cast<double>(clock.messages)};  // device code sends one message after the other
}

Moment GpuClock::reserve(double) { refuse(); }
Moment GpuClock::reserve_message(double) { refuse(); }
void GpuClock::wait(Moment) { refuse(); }

}  // namespace chokepoint
