// How does a claim about the training of a dense model become numbers? Tensor, pipeline and data parallelism as the
// claim states them, at rates that are assumed or achieved elsewhere.
#pragma once

#include "harness/claims/derivation.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {

// Fills assumptions, inputs, alternatives and prediction; `missing` where the claim lacks something.
void prepare_dense_step(const Scene& scene, const ModelShapes& model, Prepared& prepared);

}  // namespace chokepoint
