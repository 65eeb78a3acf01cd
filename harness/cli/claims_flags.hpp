// What may be asked of claims on the command line, and what do the texts mean?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/claims/outcome.hpp"

namespace chokepoint {

// "link=450GB/s", "expert_imbalance=1.05": a resource takes a rate with its unit, everything else a number. Throws
// Error{config} for what is neither, and for a key set twice.
void apply_setting(const std::string& text, ClaimOptions& options);

// "link=40..450", "link=40..450:12": a resource's rates, each the same factor above the last; without a unit GB/s, or TFLOP/s for compute.
struct SweepRequest {
  Resource resource = Resource::link;
  std::vector<double> rates;
};
SweepRequest parse_sweep(const std::string& text);

// The claims whose id, or a glob of it, is named; all of a file that is named; all of `configs` without names. Throws
// Error{config} with the nearest known id.
std::vector<Claim> chosen_claims(const std::string& configs, const std::vector<std::string>& names);

// Throws Error{config} when a `--set` names something that none of the claims has.
void require_settable(const std::vector<Claim>& claims, const ClaimOptions& options);

}  // namespace chokepoint
