#include "harness/claims/model_products.hpp"

#include <fmt/format.h>

#include <string_view>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

void append(std::vector<ModelProduct>& all, std::vector<ModelProduct> more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

const Architecture& architecture_of(const ModelShapes& model) {
  if (model.architecture) return *model.architecture;
  throw Error(Fault::config, fmt::format("model {} has no \"architecture\"", model.id),
              "add the object to " + model.path + "; configs/schema/model.json says what is in it");
}

std::vector<ModelProduct> attention_products(const ModelShapes& model) {
  const AttentionArchitecture& attention = architecture_of(model).attention;
  const Dtype dtype = architecture_of(model).linear_dtype;
  const std::int64_t hidden = model.hidden, heads = attention.heads;
  if (attention.kind == AttentionKind::grouped)
    return {{"qkv", (heads + 2 * attention.heads_kv) * attention.v_dim, hidden, dtype},
            {"o", hidden, heads * attention.v_dim, dtype}};
  return {{"q_a", attention.q_rank, hidden, dtype},
          {"q_b", heads * attention.qk_dim(), attention.q_rank, dtype},
          {"kv_a", attention.kv_rank + attention.rope_dim, hidden, dtype},
          {"kv_b", heads * (attention.nope_dim + attention.v_dim), attention.kv_rank, dtype},
          {"o", hidden, heads * attention.v_dim, dtype}};
}

// The two halves of kv_b, per head: keys' half into the query, values' half into the output.
std::vector<ModelProduct> absorbed_products(const ModelShapes& model) {
  std::vector<ModelProduct> products = attention_products(model);
  const AttentionArchitecture& attention = architecture_of(model).attention;
  if (attention.kind == AttentionKind::grouped) return products;
  std::erase_if(products,
                [](const ModelProduct& product) { return std::string_view(product.name) == "kv_b"; });
  const double heads = static_cast<double>(attention.heads);
  products.push_back({.name = "absorb_k",
                      .n = attention.kv_rank,
                      .k = attention.nope_dim,
                      .dtype = Dtype::bf16,
                      .rows = heads,
                      .copies = heads,
                      .all_copies = heads});
  products.push_back({.name = "absorb_v",
                      .n = attention.v_dim,
                      .k = attention.kv_rank,
                      .dtype = Dtype::bf16,
                      .rows = heads,
                      .copies = heads,
                      .all_copies = heads});
  return products;
}

std::vector<ModelProduct> dense_products(const ModelShapes& model) {
  const std::int64_t wide = architecture_of(model).dense.value().intermediate, hidden = model.hidden;
  const Dtype dtype = architecture_of(model).linear_dtype;
  return {{"gate_up", 2 * wide, hidden, dtype}, {"down", hidden, wide, dtype}};
}

std::vector<ModelProduct> expert_products(const ModelShapes& model, std::int64_t expert_ranks) {
  const ExpertArchitecture& experts = architecture_of(model).experts.value();
  const Dtype dtype = architecture_of(model).linear_dtype;
  const std::int64_t wide = experts.intermediate, hidden = model.hidden;
  const double all = static_cast<double>(experts.count), rows = static_cast<double>(experts.top_k);
  const double local = all / static_cast<double>(expert_ranks);
  std::vector<ModelProduct> products = {
      {.name = "router", .n = experts.count, .k = hidden, .dtype = Dtype::bf16, .output = Dtype::f32},
      {.name = "routed_gate_up",
       .n = 2 * wide,
       .k = hidden,
       .dtype = dtype,
       .rows = rows,
       .copies = local,
       .all_copies = all},
      {.name = "routed_down",
       .n = hidden,
       .k = wide,
       .dtype = dtype,
       .rows = rows,
       .copies = local,
       .all_copies = all}};
  if (experts.shared == 0) return products;
  products.push_back({"shared_gate_up", 2 * wide * experts.shared, hidden, dtype});
  products.push_back({"shared_down", hidden, wide * experts.shared, dtype});
  return products;
}

ModelProduct head_product(const ModelShapes& model) {
  return {"head", model.vocabulary, model.hidden, Dtype::bf16};
}

std::vector<ModelProduct> layer_products(const ModelShapes& model, LayerKind kind,
                                         std::int64_t expert_ranks) {
  std::vector<ModelProduct> products;
  if (kind == LayerKind::prediction)
    products.push_back({"projection", model.hidden, 2 * model.hidden, architecture_of(model).linear_dtype});
  append(products, attention_products(model));
  append(products, kind == LayerKind::dense ? dense_products(model) : expert_products(model, expert_ranks));
  return products;
}

}  // namespace chokepoint
