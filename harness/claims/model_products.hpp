// Which matrix products do the parts of a model make of one token?
#pragma once

#include <cstdint>
#include <vector>

#include "harness/claims/op_model.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {

// A product with weights [n, k]. `copies` such matrices lie on this GPU of `all_copies`; a token meets `rows`
// of them.
struct ModelProduct {
  const char* name;
  std::int64_t n, k;
  Dtype dtype;
  Dtype output = Dtype::bf16;
  double rows = 1.0, copies = 1.0, all_copies = 1.0;
};

// Throws Error{config} where the model file has no "architecture".
const Architecture& architecture_of(const ModelShapes& model);

std::vector<ModelProduct> attention_products(const ModelShapes& model);
// The same in decode: latent attention has the two halves of kv_b per head, keys' half in the query, values'
// in the output.
std::vector<ModelProduct> absorbed_products(const ModelShapes& model);
std::vector<ModelProduct> dense_products(const ModelShapes& model);
std::vector<ModelProduct> expert_products(const ModelShapes& model, std::int64_t expert_ranks);
ModelProduct head_product(const ModelShapes& model);

// Of a whole layer, attention first; a prediction layer starts with its projection.
std::vector<ModelProduct> layer_products(const ModelShapes& model, LayerKind kind, std::int64_t expert_ranks);

}  // namespace chokepoint
