#include "harness/meters/nvml_instrument.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <thread>

#include "harness/base/error.hpp"

namespace chokepoint {

NvmlInstrument::NvmlInstrument(NvmlGpu gpu) : gpu_(std::move(gpu)) {
  if (gpu_.mig_enabled().value_or(false))
    throw Error(Fault::unsupported,
                fmt::format("MIG is on for GPU {}, whose energy counter covers all of its instances", gpu_.bus_id()),
                fmt::format("turn it off (`nvidia-smi -i {} -mig 0` as root), or run without measuring energy",
                            gpu_.bus_id()));
}

std::optional<InstantPower> NvmlInstrument::instant_power() {
  const std::optional<NvmlPower> power = gpu_.instant_power();
  return power ? std::optional(InstantPower{power->w, power->stamp_s}) : std::nullopt;
}

std::optional<double> NvmlInstrument::average_power_w() {
  const std::optional<NvmlPower> power = gpu_.average_power();
  return power ? std::optional(power->w) : std::nullopt;
}

std::optional<double> NvmlInstrument::memory_power_w() {
  const std::optional<NvmlPower> power = gpu_.instant_power(PowerScope::memory);
  return power ? std::optional(power->w) : std::nullopt;
}

namespace {

// Labels: one that cannot be read must not cost the joules, whose own readings tell when a GPU is lost.
template <class Value>
Value if_read(const std::function<Value()>& read) {
  try {
    return read();
  } catch (const Error&) {
    return {};
  }
}

}  // namespace

Readings NvmlInstrument::state() {
  const auto label = [](auto read) { return if_read<std::optional<double>>(read); };
  return {{"temperature_c", label([&] { return gpu_.temperature_c(); })},
          {"sm_clock_hz", label([&] { return gpu_.sm_clock_hz(); })},
          {"memory_clock_hz", label([&] { return gpu_.memory_clock_hz(); })}};
}

Readings NvmlInstrument::slowed_s() {
  const auto slowed = if_read<NvmlGpu::SlowedS>([&] { return gpu_.slowed_s(); });
  return {{"power_cap", slowed.power_cap},
          {"sw_thermal", slowed.sw_thermal},
          {"hw_thermal", slowed.hw_thermal},
          {"hw_power_brake", slowed.hw_power_brake}};
}

double NvmlInstrument::now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void NvmlInstrument::sleep_s(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

namespace {

EnergyCondition mig_off(const NvmlGpu& gpu) {
  const std::optional<bool> mig = gpu.mig_enabled();
  if (!mig) return {"mig_off", std::nullopt, "this GPU has no MIG mode"};
  return {"mig_off", !*mig, *mig ? "MIG is on; turn it off with `nvidia-smi -mig 0` as root" : "MIG is off"};
}

EnergyCondition persistence_on(const NvmlGpu& gpu) {
  const std::optional<bool> on = gpu.persistence_enabled();
  if (!on) return {"persistence_on", std::nullopt, "this driver does not tell its persistence mode"};
  return {"persistence_on", on,
          *on ? "persistence mode is on" : "persistence mode is off; turn it on with `nvidia-smi -pm 1` as root"};
}

EnergyCondition alone(const NvmlGpu& gpu) {
  const std::optional<int> processes = gpu.compute_processes();
  if (!processes) return {"alone", std::nullopt, "this driver does not list the GPU's processes"};
  return {"alone", *processes <= 1,
          *processes <= 1 ? fmt::format("{} compute process(es) on the GPU", *processes)
                          : fmt::format("{} compute processes on the GPU; end the others", *processes)};
}

EnergyCondition power_limit_default(const NvmlGpu& gpu) {
  const std::optional<double> limit = gpu.power_limit_w(), usual = gpu.default_power_limit_w();
  if (!limit || !usual) return {"power_limit_default", std::nullopt, "this driver does not tell its power limits"};
  const bool holds = std::abs(*limit - *usual) < 0.5;
  return {"power_limit_default", holds,
          holds ? fmt::format("the power limit is {:.0f} W, the default", *limit)
                : fmt::format("the power limit is {:.0f} W and the default {:.0f} W; `nvidia-smi -pl {:.0f}` as root",
                              *limit, *usual, *usual)};
}

EnergyCondition no_thermal_slowdown(const NvmlGpu& gpu) {
  constexpr std::uint64_t kHot = 1U << 3 | 1U << 5 | 1U << 6 | 1U << 7;  // hw_slowdown, sw and hw thermal, power brake
  const std::optional<std::uint64_t> mask = gpu.throttle_mask();
  if (!mask) return {"no_thermal_slowdown", std::nullopt, "this driver does not tell throttle reasons"};
  std::string words;
  for (const std::string& word : throttle_words(*mask & kHot)) words += (words.empty() ? "" : ", ") + word;
  return {"no_thermal_slowdown", words.empty(),
          words.empty() ? "no thermal or power-brake slowdown" : fmt::format("slowed by {}; cool the GPU first", words)};
}

EnergyCondition energy_counter(const NvmlGpu& gpu) {
  if (gpu.energy_j()) return {"energy_counter", true, "the energy counter is readable"};
  return {"energy_counter", false,
          gpu.instant_power() ? "energy counter absent: joules come from integrated instant power"
                              : "energy counter absent, and no instant power in its place: no joules are measured"};
}

}  // namespace

std::vector<EnergyCondition> energy_conditions(const NvmlGpu& gpu) {
  std::vector<EnergyCondition> conditions;
  const auto look = [&](const char* name, EnergyCondition (*at)(const NvmlGpu&)) {
    try {
      conditions.push_back(at(gpu));
    } catch (const Error& error) {
      conditions.push_back({name, std::nullopt, error.what()});
    }
  };
  look("mig_off", mig_off);
  look("persistence_on", persistence_on);
  look("alone", alone);
  look("power_limit_default", power_limit_default);
  look("no_thermal_slowdown", no_thermal_slowdown);
  look("energy_counter", energy_counter);
  return conditions;
}

Answers by_name(const std::vector<EnergyCondition>& conditions) {
  Answers named;
  for (const EnergyCondition& condition : conditions) named[condition.name] = condition.holds;
  return named;
}

}  // namespace chokepoint
