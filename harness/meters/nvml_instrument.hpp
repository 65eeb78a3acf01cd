// How is one NVIDIA GPU read as a power instrument, and what speaks against measuring its energy now?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/meters/nvml.hpp"
#include "harness/meters/power_trace.hpp"

namespace chokepoint {

class NvmlInstrument : public PowerInstrument {
 public:
  // Throws Error{unsupported} when MIG is on: the board's counter then counts every instance.
  explicit NvmlInstrument(NvmlGpu gpu);

  std::optional<double> energy_j() override { return gpu_.energy_j(); }
  std::optional<InstantPower> instant_power() override;
  std::optional<double> average_power_w() override;
  std::optional<double> memory_power_w() override;
  Readings state() override;
  Readings slowed_s() override;
  double now_s() override;
  void sleep_s(double seconds) override;

 private:
  NvmlGpu gpu_;
};

// A condition of trustworthy energy: mig_off, persistence_on, alone, power_limit_default, no_thermal_slowdown,
// energy_counter. `holds` is absent where the GPU does not say, or cannot be asked.
struct EnergyCondition {
  std::string name;
  std::optional<bool> holds;
  std::string text;  // what was found, with the remedy when it does not hold
};
std::vector<EnergyCondition> energy_conditions(const NvmlGpu& gpu);
Answers by_name(const std::vector<EnergyCondition>& conditions);

}  // namespace chokepoint
