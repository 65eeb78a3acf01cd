#include "harness/claims/machine.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/missing_input.hpp"

namespace chokepoint {
namespace {

MachineRate rate_of(const Rates& rates) {
  MachineRate rate;
  const std::optional<Figure>& figure = rates.datasheet ? rates.datasheet : rates.achieved;
  if (!figure) return rate;
  rate.nominal = figure->value;
  rate.source = figure->source;
  rate.is_verified = figure->verified;
  if (rates.datasheet && rates.achieved) rate.efficiency = rates.achieved->value / rates.datasheet->value;
  return rate;
}

void change(MachineRate& rate, double value) {
  rate.nominal = value;
  rate.source = "set on the command line";
  rate.is_set = rate.is_verified = true;
}

double known(std::optional<double> value, const Machine& machine, Resource resource) {
  if (value) return *value;
  throw MissingInput(Fault::config,
                     fmt::format("profile {} has no rate for {}", machine.profile.id, to_string(resource)),
                     fmt::format("add it to {}, or set it: --set {}=...", machine.profile.path, to_string(resource)));
}

}  // namespace

std::optional<double> MachineRate::achieved() const {
  return nominal ? std::optional(*nominal * efficiency) : std::nullopt;
}

double Machine::nominal(Resource resource) const { return known(rate[resource].nominal, *this, resource); }
double Machine::achieved(Resource resource) const { return known(rate[resource].achieved(), *this, resource); }

Machine machine_of(const Profile& profile, const MachineChanges& changes) {
  Machine machine;
  machine.profile = profile;
  machine.id = profile.id;
  for (const auto& [dtype, rates] : profile.compute) machine.compute[dtype] = rate_of(rates);
  if (const auto bf16 = machine.compute.find(Dtype::bf16); bf16 != machine.compute.end())
    machine.rate[Resource::compute] = bf16->second;
  machine.rate[Resource::memory] = rate_of(profile.memory);
  machine.rate[Resource::link] = rate_of(profile.link);
  machine.rate[Resource::network] = rate_of(profile.network);
  for (const auto& [resource, value] : changes) {
    const double before = resource == Resource::compute ? machine.nominal(resource) : 1.0;
    change(machine.rate[resource], value);
    if (resource == Resource::compute)
      for (auto& [dtype, rate] : machine.compute) change(rate, *rate.nominal * value / before);
    machine.id += fmt::format("{}{}={}", machine.id == profile.id ? "@" : "+", to_string(resource),
                              rate_text(value, resource));
  }
  return machine;
}

}  // namespace chokepoint
