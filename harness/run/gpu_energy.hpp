// How are a GPU's power and clocks read beside the cases that run on it? Found by what the device says of itself;
// the instrument is probed once per process.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/device/device.hpp"
#include "harness/meters/energy.hpp"
#include "harness/meters/nvml.hpp"
#include "harness/meters/regime.hpp"
#include "harness/model/record.hpp"

namespace chokepoint {

class GpuEnergy {
 public:
  // Without a GPU, NVML or a match every reading is absent and `why_not` says why.
  explicit GpuEnergy(const DeviceFacts& facts);

  const std::string& why_not() const { return why_not_; }

  // A monitor of clocks, temperature and power until it is stopped; null without readings.
  std::unique_ptr<RegimeMonitor> watch() const;

  // Joules per launch of each load, their trials in turn; `profile` as in energy_settings. Empty on a device that is no
  // GPU; with refusals instead of numbers where the GPU cannot be read. Throws what a load throws.
  std::vector<EnergyMeasurement> measure(const std::string& profile, std::span<const KeepBusy> loads);
  std::optional<EnergyMeasurement> measure(const std::string& profile, const KeepBusy& keep_busy);  // of one

  // The power instrument under this load. Throws Error{unsupported} where there is none, and what the load throws.
  InstrumentFacts probe(const KeepBusy& keep_busy, const ProbeSettings& settings = {});

 private:
  bool is_gpu_;
  std::optional<NvmlGpu> gpu_;
  std::string why_not_;
  std::optional<InstrumentFacts> instrument_;
};

// What a record keeps of it. `under_cap`: the machine played another one. Fields that say what was provisioned stay
// when the measurement was refused.
void keep_energy(const EnergyMeasurement& measured, bool under_cap, Energy& energy);

}  // namespace chokepoint
