#include "harness/claims/claim_scene.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/missing_input.hpp"
#include "harness/claims/quantity_unit.hpp"
#include "harness/claims/trace_imbalance.hpp"

namespace chokepoint {
namespace {

void replace_assumptions(Prepared& prepared, const Claim& claim, const std::map<std::string, double>& numbers) {
  for (Assumption& assumption : prepared.assumptions) {
    for (const Assumption& own : claim.assumptions)
      if (own.key == assumption.key) {
        const Assumption fallback = assumption;
        assumption = own;
        assumption.neutral = fallback.neutral;
        if (assumption.source.empty()) assumption.source = "the claim, " + claim.file->path;
      }
    if (const auto found = numbers.find(assumption.key); found != numbers.end())
      assumption = {assumption.key, found->second, found->second, found->second, "published", "set on the command line",
                    std::nullopt};
  }
}

// A path in a file is meant from that file's folder.
std::string beside(const std::string& file, const std::string& path) {
  return (std::filesystem::path(file).parent_path() / path).string();
}

// A trace that the claim names has to fit it; one of the command line is for every claim that it fits. A number that is
// set goes before both.
void use_routing_trace(const Claim& claim, const ClaimOptions& options, Prepared& prepared) {
  const std::string own = claim.workload.text("routing_trace");
  const bool is_own = options.routing_trace.empty();
  if ((is_own && own.empty()) || !prepared.missing.empty()) return;
  if (!is_own && !prepared.expert_ranks) return;
  try {
    if (!prepared.expert_ranks) throw Error(Fault::config, "nothing in it is routed", "leave it out");
    if (options.numbers.contains(prepared.expert_ranks->imbalance_key)) return;
    replace_by_trace(is_own ? beside(claim.file->path, own) : options.routing_trace, prepared);
  } catch (const Error& error) {
    if (is_own)
      claim.reject("workload/routing_trace", fmt::format("is \"{}\": {}", own, error.message()), error.remedy());
    prepared.notes.push_back(fmt::format("routing trace {} left out: {}", options.routing_trace, error.message()));
  }
}

Prepared prepared_or_missing(const Derivation& derivation, const Scene& scene) {
  try {
    return derivation.prepare(scene);
  } catch (const MissingInput& error) {
    Prepared prepared;
    prepared.missing.push_back(error.message());
    return prepared;
  } catch (const Error& error) {
    rethrow_with_place(scene.claim, error);
  }
}

void require_inputs(Prepared& prepared, const Claim& claim) {
  for (const std::string& glob : claim.inputs) {
    const bool is_there = std::any_of(prepared.inputs.begin(), prepared.inputs.end(),
                                      [&](const ClaimInput& input) { return glob_matches(glob, input.key); });
    if (!is_there) prepared.missing.push_back(fmt::format("an input that matches {}", glob));
  }
}

}  // namespace

void rethrow_with_place(const Claim& claim, const Error& error) {
  if (error.fault() != Fault::config || error.message().starts_with(claim.file->path)) throw;
  claim.reject("", error.message(), error.remedy());
}

const Derivation* derivation_of(const Claim& claim) { return Registry<Derivation>::instance().find(claim.kind); }

std::string hardware_of(const Claim& claim) {
  const Derivation* derivation = derivation_of(claim);
  if (!claim.hardware.empty() || !derivation || !derivation->default_hardware) return claim.hardware;
  return derivation->default_hardware(claim);
}

std::optional<Machine> machine_for(const Claim& claim, const ClaimOptions& options) {
  const std::string hardware = hardware_of(claim);
  if (hardware.empty()) return std::nullopt;
  std::vector<std::string> known;
  for (const Profile& profile : options.profiles) known.push_back(profile.id);
  if (std::find(known.begin(), known.end(), hardware) == known.end())
    claim.reject("hardware", fmt::format("is \"{}\", which is no profile", hardware), suggestion(hardware, known));
  const std::string& id = options.profile.empty() ? hardware : options.profile;
  return machine_of(find_profile(options.profiles, id), options.rates);
}

Claim with_numbers(Claim claim, const std::map<std::string, double>& numbers) {
  for (auto& [name, value] : claim.let)
    if (const auto found = numbers.find(name); found != numbers.end()) value = found->second;
  return claim;
}

std::string route_of(const Claim& claim) { return claim.model.text("route", derivation_of(claim)->routes.front()); }

Prepared prepared_for(const Claim& claim, const ClaimOptions& options, const std::string& route) {
  Prepared prepared = prepared_or_missing(*derivation_of(claim), {claim, machine_for(claim, options), options.configs,
                                                                  route, options.records.get(), options.measured_use});
  replace_assumptions(prepared, claim, options.numbers);
  use_routing_trace(claim, options, prepared);
  if (prepared.missing.empty()) require_inputs(prepared, claim);
  return prepared;
}

std::vector<std::size_t> rows_of(const Claim& claim, const Prepared& prepared) {
  const std::size_t given = std::max<std::size_t>(1, prepared.rows.size());
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < claim.quantity.values.size(); ++i) rows.push_back(i);
  if (claim.quantity.rows.empty() || prepared.rows.empty()) {
    if (rows.size() != given)
      claim.reject("quantity/value",
                   fmt::format("has {} numbers, but {} gives {}{}", rows.size(), claim.kind, given,
                               prepared.rows.empty() ? "" : ": " + joined(prepared.rows, ", ")),
                   "say in rows which ones they are");
    return rows;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string& name = claim.quantity.rows[i];
    const auto found = std::find(prepared.rows.begin(), prepared.rows.end(), name);
    if (found == prepared.rows.end())
      claim.reject(fmt::format("quantity/rows/{}", i),
                   fmt::format("is \"{}\", which {} does not give", name, claim.kind), suggestion(name, prepared.rows));
    rows[i] = static_cast<std::size_t>(found - prepared.rows.begin());
  }
  return rows;
}

double scale_of(const Claim& claim, const Prepared& prepared) {
  if (prepared.base_unit.empty()) return 1.0;
  const QuantityUnit unit = *quantity_unit(claim.quantity.unit);
  if (unit.base != prepared.base_unit)
    claim.reject("quantity/unit",
                 fmt::format("is {}, but {} of kind {} is in {}", claim.quantity.unit, claim.quantity.name, claim.kind,
                             prepared.base_unit),
                 "write a unit of that kind");
  return unit.scale;
}

double first_number(const Claim& claim, const Prepared& prepared, const Predict& predict, const DrawPlan& plan) {
  return predict_at_values(prepared, predict, plan)[rows_of(claim, prepared).front()];
}

}  // namespace chokepoint
