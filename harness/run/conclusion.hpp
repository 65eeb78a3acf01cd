// What does the record of one target say, once its samples and probes are there?
#pragma once

#include <optional>

#include "harness/device/device.hpp"
#include "harness/meters/meter.hpp"
#include "harness/run/arm.hpp"

namespace chokepoint {

// What all targets of a group share.
struct LoadSeen {
  double warmed_s = 0.0, window_s = 0.0;  // before sampling, and while it went on
  std::optional<double> joule_per_launch = std::nullopt;  // by a meter of the host, of a target that was alone
  const EnergyMeter* meter = nullptr;                     // which
};

// Times, energy, basis and the verdict on every cap: ok, or invalid with all that speaks against it.
void conclude_record(Arm& arm, const LoadSeen& seen, const DeviceFacts& facts);

}  // namespace chokepoint
