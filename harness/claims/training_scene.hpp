// How is any claim about training prepared? By what its model is, and where its phases come from.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/derivation.hpp"

namespace chokepoint {

std::vector<SettingRule> training_settings();
std::vector<std::string> training_assumption_keys();
std::vector<std::string> training_routes();

// The profile that a claim which names none stands for; empty when it is unknown.
std::string training_hardware(const Claim& claim);

// `missing` where the claim lacks something.
Prepared prepare_training(const Scene& scene);

}  // namespace chokepoint
