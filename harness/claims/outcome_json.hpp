// How is what came of claims written down for programs? chokepoint/claims-result/1: everything the tables show, and all
// of the inputs; nothing of it goes back into the claim file.
#pragma once

#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/claims/outcome.hpp"

namespace chokepoint {

// `tool` says which program this is: version and commit. Missing is null.
Json to_json(const std::vector<ClaimOutcome>& outcomes, const Json& tool);

}  // namespace chokepoint
