// What is a claim's derivation fed with, and which of its numbers are the claim's? Machine, settings, records and
// assumptions, as the claim and the command line have them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/claims/derivation.hpp"
#include "harness/claims/uncertainty.hpp"

namespace chokepoint {

class Error;

struct ClaimOptions {
  std::string configs;  // folder, for models and tables
  std::vector<Profile> profiles;
  std::string profile;                    // instead of the claim's hardware; empty: the claim's own
  MachineChanges rates;                   // --set link=450GB/s
  std::map<std::string, double> numbers;  // --set of an assumption or of a name in `let`, fixed at this value
  std::shared_ptr<const std::vector<Record>> records;  // measured; take the place of published kernel rows
  MeasuredUse measured_use = MeasuredUse::comparable;
  std::string routing_trace;  // file: its imbalance takes the place of an assumed one where experts are routed
  DrawPlan plan;
};

// Null where this program has no derivation of the claim's kind.
const Derivation* derivation_of(const Claim& claim);

// The profile that the claim names, or that its kind of derivation stands for; empty when no machine matters.
std::string hardware_of(const Claim& claim);
std::optional<Machine> machine_for(const Claim& claim, const ClaimOptions& options);

// The claim as `--set` changes it: a name in `let` has another value.
Claim with_numbers(Claim claim, const std::map<std::string, double>& numbers);

// The claim's own route, or its kind's first.
std::string route_of(const Claim& claim);

// Within a handler: throws the error on, with the claim's place where it has none. What a draw or a plan came to is in no
// key, but in this claim.
[[noreturn]] void rethrow_with_place(const Claim& claim, const Error& error);

// The claim has a derivation. An assumption that is set is drawn no more. Throws Error{config}.
Prepared prepared_for(const Claim& claim, const ClaimOptions& options, const std::string& route);

// Which of the derivation's numbers each number of the claim is. Throws Error{config} where they do not fit.
std::vector<std::size_t> rows_of(const Claim& claim, const Prepared& prepared);

// What a number of the derivation is divided by to be in the claim's unit. Throws Error{config} for a unit of another
// kind.
double scale_of(const Claim& claim, const Prepared& prepared);

// The claim's first number, every assumption at its value.
double first_number(const Claim& claim, const Prepared& prepared, const Predict& predict, const DrawPlan& plan);

}  // namespace chokepoint
