#include "harness/claims/claim_what_if.hpp"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

// Rates worth asking about: half of it, and those of other machines of the same silicon, with their names.
std::map<double, std::string> other_rates(const Machine& machine, const ClaimOptions& options, Resource resource) {
  const double own = machine.nominal(resource);
  std::map<double, std::string> rates = {{own / 2.0, "half"}};
  for (const Profile& profile : options.profiles) {
    if (profile.architecture != machine.profile.architecture || resource == Resource::compute) continue;
    const std::optional<double> rate = machine_of(profile).rate[resource].nominal;
    if (!rate || std::abs(*rate / own - 1.0) < 0.02) continue;
    std::string& names = rates[*rate];
    names += (names.empty() ? "" : ", ") + profile.id;
  }
  return rates;
}

void add_machine_what_ifs(const Claim& claim, const ClaimOptions& options, const std::string& route,
                          const Prepared& prepared, double base, std::vector<WhatIf>& what_if) {
  const std::optional<Machine> machine = machine_for(claim, options);
  if (!machine) return;
  for (Resource resource : prepared.uses)
    for (const auto& [rate, names] : other_rates(*machine, options, resource)) {
      ClaimOptions changed = options;
      changed.rates[resource] = rate;
      const Prepared other = prepared_for(claim, changed, route);
      if (!other.missing.empty()) continue;
      what_if.push_back({fmt::format("{} {} ({}) instead of {}", to_string(resource), rate_text(rate, resource), names,
                                     rate_text(machine->nominal(resource), resource)),
                         first_number(claim, other, other.predict, options.plan) / base - 1.0});
    }
}

// The other way to treat kernels that were both measured and published; nothing where it changes nothing.
void add_measured_what_if(const Claim& claim, const ClaimOptions& options, const std::string& route, double base,
                          std::vector<WhatIf>& what_if) {
  if (!options.records) return;
  const bool takes_all = options.measured_use == MeasuredUse::all;
  ClaimOptions changed = options;
  changed.measured_use = takes_all ? MeasuredUse::comparable : MeasuredUse::all;
  const Prepared other = prepared_for(claim, changed, route);
  if (!other.missing.empty()) return;
  const double change = first_number(claim, other, other.predict, options.plan) / base - 1.0;
  if (change == 0.0) return;
  what_if.push_back(
      {takes_all ? "published kernels where measured ones are much slower" : "measured kernels whatever they take",
       change});
}

bool changes_anything(const ClaimOptions& options) {
  return !options.profile.empty() || !options.rates.empty() || !options.numbers.empty() ||
         !options.routing_trace.empty();
}

}  // namespace

std::vector<WhatIf> what_ifs(const Claim& claim, const ClaimOptions& options, const std::string& route,
                             const Prepared& prepared) {
  std::vector<WhatIf> what_if;
  const double base = first_number(claim, prepared, prepared.predict, options.plan);
  if (base == 0.0) return what_if;
  add_machine_what_ifs(claim, options, route, prepared, base, what_if);
  add_measured_what_if(claim, options, route, base, what_if);
  for (const Alternative& alternative : prepared.alternatives)
    what_if.push_back(
        {alternative.text, first_number(claim, prepared, alternative.predict, options.plan) / base - 1.0});
  return what_if;
}

std::optional<double> change_by_settings(const Claim& original, const Claim& claim, const ClaimOptions& options,
                                         const std::string& route, const Prepared& prepared) {
  if (!changes_anything(options)) return std::nullopt;
  ClaimOptions own = options;
  own.profile.clear();
  own.rates.clear();
  own.numbers.clear();
  own.routing_trace.clear();
  const Prepared before = prepared_for(original, own, route);
  if (!before.missing.empty()) return std::nullopt;
  const double base = first_number(original, before, before.predict, options.plan);
  if (base == 0.0) return std::nullopt;
  return first_number(claim, prepared, prepared.predict, options.plan) / base - 1.0;
}

std::vector<double> changes_along(const Claim& claim, const ClaimOptions& options, Resource resource,
                                  const std::vector<double>& rates) {
  std::vector<double> changes;
  if (!derivation_of(claim) || hardware_of(claim).empty()) return changes;
  const std::string route = route_of(claim);
  const Prepared own = prepared_for(claim, options, route);
  if (!own.missing.empty()) return changes;
  const double base = first_number(claim, own, own.predict, options.plan);
  for (double rate : rates) {
    ClaimOptions changed = options;
    changed.rates[resource] = rate;
    const Prepared prepared = prepared_for(claim, changed, route);
    if (!prepared.missing.empty())
      claim.reject("", "cannot be derived at every rate: missing " + joined(prepared.missing, "; "),
                   "sweep a smaller range");
    changes.push_back(first_number(claim, prepared, prepared.predict, options.plan) / base - 1.0);
  }
  return changes;
}

}  // namespace chokepoint
