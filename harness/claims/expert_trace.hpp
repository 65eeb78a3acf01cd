// Which experts did tokens choose? A trace file (configs/traces/<name>.json), as far as counting rows needs
// it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {

struct ExpertTrace {
  std::int64_t experts = 0, top_k = 0, tokens = 0;
  std::vector<std::int32_t> ids;  // [tokens, top_k]
  std::string path;
};

// Throws Error{io} or Error{config}: no trace, ids out of range, a digest that is not that of the ids.
ExpertTrace load_expert_trace(const std::string& path);

// Rows of the busiest GPU over the average, when the trace's experts lie on `gpus` GPUs.
Imbalance imbalance_of(const ExpertTrace& trace, std::int64_t gpus);

}  // namespace chokepoint
