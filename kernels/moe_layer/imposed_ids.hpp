// Which experts do tokens choose when the gate does not decide? Imposed ids: balanced, zipf, or from a trace.
//
// They depend on the shape alone, not on the seed of the inputs, so that two seeds carry the same traffic.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/routing_trace.hpp"
#include "kernels/moe_layer/routing.hpp"

namespace chokepoint::moe {

// Each returns ids [tokens, top_k], distinct within a token.

// Every expert gets the same number of rows, as nearly as the group limit allows: a token takes the experts
// with the fewest rows so far, at random among equals.
std::vector<std::int32_t> balanced_ids(const GateRule& rule, std::int64_t tokens);

// Popularity of experts falls as 1 / place (Zipf, exponent 1), places dealt at random; a token draws without
// replacement (the largest keys log p + Gumbel noise: Efraimidis and Spirakis 2006, in logarithms).
std::vector<std::int32_t> zipf_ids(const GateRule& rule, std::int64_t tokens);

// "<configs>/traces/default.json" with the environment's CHOKEPOINT_CONFIGS, else the source tree's configs.
std::string default_trace_path();

// The trace for a layer of `experts` (which has to divide the trace's) and `top_k` (at most the trace's):
// neighbouring experts are merged, a repeated one moves to the next free expert, only the first top_k choices
// count, and the tokens start over when the trace is too short. Throws Error{config} when it does not fit.
std::vector<std::int32_t> fold_trace(const RoutingTrace& trace, std::int64_t experts, std::int64_t top_k,
                                     std::int64_t tokens);

}  // namespace chokepoint::moe
