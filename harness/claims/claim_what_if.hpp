// What would have changed a claim's number? Another machine, another rate, another schedule, or what the command line
// sets.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/claim_scene.hpp"

namespace chokepoint {

// "with network 25 GB/s instead of 50 GB/s": change of the first number, relative.
struct WhatIf {
  std::string text;
  double change = 0.0;
};

// Half of each rate that the derivation uses, those of machines of the same silicon, and the derivation's own
// alternatives.
std::vector<WhatIf> what_ifs(const Claim& claim, const ClaimOptions& options, const std::string& route,
                             const Prepared& prepared);

// Of the first number, against the claim's own machine, assumptions and `let`; absent where nothing is set. `claim` is
// `original` as the options change it.
std::optional<double> change_by_settings(const Claim& original, const Claim& claim, const ClaimOptions& options,
                                         const std::string& route, const Prepared& prepared);

// Change of the first number when a resource of the machine runs at each of these rates: the sensitivity curve.
std::vector<double> changes_along(const Claim& claim, const ClaimOptions& options, Resource resource,
                                  const std::vector<double>& rates);

}  // namespace chokepoint
