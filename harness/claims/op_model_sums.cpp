// What do the operations of a model come to: FLOP, weights, cache?
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/claims/model_products.hpp"
#include "harness/claims/op_model.hpp"

namespace chokepoint {
namespace {

template <class Value>
double summed(const std::vector<ModelOp>& ops, Value value) {
  double sum = 0.0;
  for (const ModelOp& op : ops) sum += value(op) * op.count;
  return sum;
}

}  // namespace

double flop_per_token(const std::vector<ModelOp>& ops) {
  return summed(ops, [](const ModelOp& op) { return op.flop_per_token; });
}

double model_flop_per_token(const std::vector<ModelOp>& ops) {
  return summed(ops, [](const ModelOp& op) { return op.model_flop_per_token; });
}

double layer_flop_per_token(const std::vector<ModelOp>& ops, LayerKind layer, OpPhase phase) {
  double sum = 0.0;
  for (const ModelOp& op : ops)
    if (op.layer == layer && op.phase == phase) sum += op.flop_per_token;
  return sum;
}

const ModelOp& find_op(const std::vector<ModelOp>& ops, std::string_view name, LayerKind layer,
                       OpPhase phase) {
  for (const ModelOp& op : ops)
    if (op.name == name && op.layer == layer && op.phase == phase) return op;
  throw Error(Fault::config,
              fmt::format("there is no operation {} in a layer of kind {}, phase {}", std::string(name),
                          std::string(to_string(layer)), std::string(to_string(phase))),
              "ask for one of the model's operations");
}

double parameters(const ModelShapes& model, bool prediction) {
  return summed(prefill_ops(model, {.prediction = prediction}),
                [](const ModelOp& op) { return op.parameters; });
}

double active_parameters(const ModelShapes& model, bool with_embedding) {
  return summed(prefill_ops(model, {}), [&](const ModelOp& op) {
    return op.name == "embedding" && !with_embedding ? 0.0 : op.active_parameters;
  });
}

double kv_bytes_per_token(const ModelShapes& model) {
  const AttentionArchitecture& attention = architecture_of(model).attention;
  const std::int64_t numbers_per_layer = attention.kind == AttentionKind::latent
                                             ? attention.kv_rank + attention.rope_dim
                                             : attention.heads_kv * (attention.qk_dim() + attention.v_dim);
  return static_cast<double>(numbers_per_layer * bytes_of(Dtype::bf16) * model.layers);
}

}  // namespace chokepoint
