// Which shipped model does a claim mean?
#pragma once

#include <optional>

#include "harness/claims/claim.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {

// The model that the claim's workload names, by id or by words of the id in order ("llama-405b" is llama-3.1-405b when
// no other fits); `fallback` when it names none. Throws Error{config} that names the claim's file, line and key.
ModelShapes model_of(const Claim& claim, const std::string& configs, const std::string& fallback = "deepseek-v3");

}  // namespace chokepoint
