#include "harness/run/gpu_energy.hpp"

#include <fmt/format.h>

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

std::vector<EnergyMeasurement> GpuEnergy::measure(const std::string& profile, std::span<const KeepBusy> loads) {
  if (!is_gpu_ || loads.empty()) return {};
  EnergyMeasurement refused;
  refused.refusal = why_not_;
  if (!gpu_) return std::vector<EnergyMeasurement>(loads.size(), refused);
  try {
    refused.conditions = by_name(energy_conditions(*gpu_));
    NvmlInstrument instrument(*gpu_);
    if (!instrument_) instrument_ = probe_instrument(instrument, loads.front());
    std::vector<EnergyMeasurement> all = measure_energies(instrument, *instrument_, energy_settings(profile), loads);
    for (EnergyMeasurement& one : all) one.conditions = refused.conditions;
    return all;
  } catch (const Error& error) {
    // MIG, or readings that fail: the times of the case stand without joules. What the load throws is its own affair.
    if (error.fault() != Fault::unsupported && error.fault() != Fault::io) throw;
    refused.refusal = error.what();
    return std::vector<EnergyMeasurement>(loads.size(), refused);
  }
}

std::optional<EnergyMeasurement> GpuEnergy::measure(const std::string& profile, const KeepBusy& keep_busy) {
  std::vector<EnergyMeasurement> all = measure(profile, {&keep_busy, 1});
  return all.empty() ? std::nullopt : std::optional(std::move(all.front()));
}

InstrumentFacts GpuEnergy::probe(const KeepBusy& keep_busy, const ProbeSettings& settings) {
  if (!gpu_)
    throw Error(Fault::unsupported, fmt::format("there is no power instrument to probe: {}", why_not_),
                "name a GPU, as in cuda:0, and see `doctor` for its driver");
  NvmlInstrument instrument(*gpu_);
  instrument_ = probe_instrument(instrument, keep_busy, settings);
  return *instrument_;
}

void keep_energy(const EnergyMeasurement& measured, bool under_cap, Energy& energy) {
  energy.flags = measured.flags;
  energy.conditions = measured.conditions;
  energy.instrument = readings_of(measured.instrument);
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
  if (const std::optional<Systematic>& parts = measured.systematic) {
    energy.systematic_error = parts->total();
    energy.systematic_parts = {
        {"gain", parts->gain}, {"alignment", parts->alignment}, {"lag", parts->lag}, {"sampling", parts->sampling}};
  }
  energy.idle_w = measured.idle_w;
  energy.static_share = measured.static_share;
  energy.agreement = measured.agreement;
  energy.window_s = measured.window_s;
  energy.trials = static_cast<std::int64_t>(measured.trials.size());
  energy.tick_s = measured.instrument.tick_s;
  energy.memory_scope_w = measured.memory_power_w;
  energy.duty = measured.duty;
  energy.before = measured.before;
  energy.after = measured.after;
  energy.slowed_s = measured.slowed_s;
}

}  // namespace chokepoint
