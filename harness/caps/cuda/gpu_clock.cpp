#include "harness/caps/cuda/gpu_clock.hpp"

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

[[noreturn]] void refuse() {
  throw Error(Fault::unsupported, "this clock lives on a GPU, and the host cannot charge it",
              "charge it in device code");
}

// What the device found when it was opened; a device that does not say is taken to have a fine one.
double timer_tick_s(const Device& device) {
  const Json& more = device.facts().more;
  const auto tick_ns = more.find("globaltimer_tick_ns");
  return tick_ns == more.end() || tick_ns->is_null() ? 0.0 : tick_ns->get<double>() * 1e-9;
}

}  // namespace

GpuClock::GpuClock(Device& device, double rate, double latency_s)
    : device_(device),
      rate_(rate),
      latency_s_(latency_s),
      tick_s_(timer_tick_s(device)),
      memory_(device.allocate(sizeof(DeviceClock))) {
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
  clock.ps_per_unit_of_sm = 1e12 / sm_rate_;
  write(clock);
}

void GpuClock::release() noexcept {
  try {
    DeviceClock clock = read();
    clock.ps_per_unit = clock.ps_per_unit_of_sm = 0.0;
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
          latency_s_ * static_cast<double>(clock.messages),  // device code sends one message after the other
          tick_s_};
}

Moment GpuClock::reserve(double) { refuse(); }
Moment GpuClock::reserve_message(double) { refuse(); }
void GpuClock::wait(Moment) { refuse(); }

}  // namespace chokepoint
