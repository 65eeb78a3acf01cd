// Which experts did tokens choose? What configs/traces/<name>.json holds; scripts/make_routing_trace.py writes such files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace chokepoint {

struct RoutingTrace {
  std::int64_t experts = 0, top_k = 0, tokens = 0;
  std::vector<std::int32_t> ids;  // [tokens, top_k], best first
  std::string summary, source;    // what it is, and how it was made
  std::string recorded_from;      // the model and its input; empty when it was made up, or nobody says
};

// Throws Error{io} or Error{config}: no trace, ids out of range or repeated within a token, a wrong digest.
RoutingTrace load_routing_trace(const std::string& path);

}  // namespace chokepoint
