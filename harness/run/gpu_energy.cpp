#include "harness/run/gpu_energy.hpp"

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/meters/nvml_instrument.hpp"

namespace chokepoint {

GpuEnergy::GpuEnergy(const DeviceFacts& facts) : is_gpu_(facts.kind == "cuda") {
  if (!is_gpu_) {
    why_not_ = "no GPU";
    return;
  }
  try {
    // The place on the bus names the board under MIG too, where CUDA's UUID is that of an instance.
    gpu_ = Nvml::open()->find(facts.more.at("pci_bus_id").get<std::string>());
  } catch (const std::exception& error) {
    why_not_ = error.what();
  }
}

std::unique_ptr<RegimeMonitor> GpuEnergy::watch() const {
  if (!gpu_) return nullptr;
  return std::make_unique<RegimeMonitor>([gpu = *gpu_] { return read_regime(gpu); });
}

std::optional<EnergyMeasurement> GpuEnergy::measure(const std::string& profile, const KeepBusy& keep_busy) {
  if (!is_gpu_) return std::nullopt;
  EnergyMeasurement refused;
  refused.refusal = why_not_;
  if (!gpu_) return refused;
  try {
    NvmlInstrument instrument(*gpu_);
    if (!instrument_) instrument_ = probe_instrument(instrument, keep_busy);
    return measure_energy(instrument, *instrument_, energy_settings(profile), keep_busy);
  } catch (const Error& error) {
    // MIG, or readings that fail: the times of the case stand without joules. What the load throws is its own affair.
    if (error.fault() != Fault::unsupported && error.fault() != Fault::io) throw;
    refused.refusal = error.what();
    return refused;
  }
}

void keep_energy(const EnergyMeasurement& measured, bool under_cap, Energy& energy) {
  energy.flags = measured.flags;
  if (!measured.refusal.empty()) {
    energy.flags.push_back("refused: " + measured.refusal);
    return;
  }
  energy.basis = under_cap ? "measured_under_cap" : "measured";
  energy.power_w = measured.power_w;
  energy.scope = "gpu_board";
  const bool has_counter = std::find(measured.flags.begin(), measured.flags.end(), "no_counter") == measured.flags.end();
  energy.source = has_counter ? "nvml energy counter" : "nvml instant power";
  energy.verified = true;
  energy.host_joule_per_launch = measured.gross_j_per_launch;
  energy.gross_j_per_launch = measured.gross_j_per_launch;
  energy.net_j_per_launch = measured.net_j_per_launch;
  energy.random_error = measured.random_error;
  if (measured.systematic) energy.systematic_error = measured.systematic->total();
  energy.idle_w = measured.idle_w;
  energy.static_share = measured.static_share;
  energy.agreement = measured.agreement;
  energy.window_s = measured.window_s;
  energy.trials = static_cast<std::int64_t>(measured.trials.size());
  energy.tick_s = measured.instrument.tick_s;
  energy.memory_scope_w = measured.memory_power_w;
}

}  // namespace chokepoint
