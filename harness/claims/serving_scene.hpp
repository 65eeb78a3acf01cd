// How does a claim about serving become numbers? Prefill and decode rates at the claim's batch, context and ranks.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/claims/claim_kernels.hpp"
#include "harness/claims/serve_decode.hpp"
#include "harness/claims/serve_prefill.hpp"

namespace chokepoint {

// Keys of a serving claim's assumptions, shared by the three kinds.
std::vector<std::string> serving_assumption_keys();

// Tokens per second and node, as kernels allow; times `utilization` where the claim assumes one, which makes it the
// load factor. Each adds its inputs, assumptions and notes; `missing` where the claim lacks something. The predictions
// share what is drawn.
Predict prefill_source(const Scene& scene, Prepared& prepared);
Predict decode_source(const Scene& scene, Prepared& prepared);

// What the three kinds share: a machine, rows and unit of what the claim asks for ("tok_s_node", "tok_s_gpu" or
// "tok_s_node_computed"), and the prediction of `source`.
Prepared prepare_serving(const Scene& scene, std::vector<std::string> rows,
                         const std::function<Predict(const Scene&, Prepared&)>& source);

}  // namespace chokepoint
