#include "harness/claims/op_model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/model_products.hpp"

namespace chokepoint {
namespace {

// What the rest of this file is about: one model, its micro-batch, and the list that grows.
struct Builder {
  const ModelShapes& model;
  const Architecture& architecture;
  double tokens = 0.0;
  std::int64_t expert_ranks = 1;
  std::vector<ModelOp> ops = {};

  double hidden() const { return static_cast<double>(model.hidden); }
};

double numbers(double rows, std::int64_t columns) { return rows * static_cast<double>(columns); }

// Traffic of one product for the whole micro-batch. Gradients of outputs come in the dtype of the product;
// gradients of inputs leave in bf16, those of weights in f32.
double product_bytes(const ModelProduct& product, OpPhase phase, double m) {
  const double in = static_cast<double>(bytes_of(product.dtype)),
               out = static_cast<double>(bytes_of(product.output));
  const double weights = product.copies * numbers(static_cast<double>(product.n), product.k);
  switch (phase) {
    case OpPhase::forward:
    case OpPhase::recompute:
      return numbers(m, product.k) * in + weights * in + numbers(m, product.n) * out;
    case OpPhase::backward_input:
      return numbers(m, product.n) * in + weights * in +
             numbers(m, product.k) * static_cast<double>(bytes_of(Dtype::bf16));
    case OpPhase::backward_weight:
      return numbers(m, product.n + product.k) * in + weights * static_cast<double>(bytes_of(Dtype::f32));
  }
  return 0.0;
}

void add_product(Builder& builder, const ModelProduct& product, OpPhase phase, LayerKind layer,
                 double count) {
  ModelOp op{.name = product.name,
             .phase = phase,
             .layer = layer,
             .n = product.n,
             .k = product.k,
             .dtype = product.dtype,
             .count = count};
  const double weights = numbers(static_cast<double>(product.n), product.k);
  op.m = builder.tokens * product.rows;
  op.flop_per_token = 2.0 * weights * product.rows;
  op.model_flop_per_token = phase == OpPhase::recompute ? 0.0 : op.flop_per_token;
  op.bytes_per_token = product_bytes(product, phase, *op.m) / builder.tokens;
  if (phase == OpPhase::forward) {
    op.parameters = weights * product.all_copies;
    op.active_parameters = weights * product.rows;
  }
  builder.ops.push_back(std::move(op));
}

// Tokens that a token attends to on average. Causal: half of what a full window holds, and of a shorter one
// all but the start of the sequence.
double attended(double sequence, std::optional<std::int64_t> window, bool causal) {
  const double reach = window ? std::min(static_cast<double>(*window), sequence) : sequence;
  return causal ? reach * (1.0 - reach / (2.0 * sequence)) : reach;
}

// Scores and sums of all heads; `reach` as above. Backward makes the scores again and then four products of
// the same sizes: (3 qk + 2 v) / (qk + v) of forward as executed, twice as model FLOP (FlashAttention, arXiv
// 2205.14135, B.2).
void add_core(Builder& builder, OpPhase phase, LayerKind layer, double reach, const char* name,
              double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double qk = static_cast<double>(attention.qk_dim()), v = static_cast<double>(attention.v_dim);
  const double heads = static_cast<double>(attention.heads),
               heads_kv = static_cast<double>(attention.heads_kv);
  const double forward = 2.0 * reach * (qk + v) * heads;
  const double bytes = (heads + heads_kv) * (qk + v) * static_cast<double>(bytes_of(Dtype::bf16));
  const bool backward = phase == OpPhase::backward_input;
  ModelOp op{.name = name, .phase = phase, .layer = layer, .dtype = Dtype::bf16, .count = count};
  op.flop_per_token = backward ? forward * (3.0 * qk + 2.0 * v) / (qk + v) : forward;
  op.model_flop_per_token = backward ? 2.0 * forward : forward;
  op.bytes_per_token = backward ? 2.0 * bytes : bytes;
  builder.ops.push_back(std::move(op));
}

void add_cores(Builder& builder, OpPhase phase, LayerKind layer, const TrainingWorkload& workload,
               double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double sequence = static_cast<double>(workload.sequence);
  const double windowed =
      count * static_cast<double>(attention.windowed_layers) / static_cast<double>(builder.model.layers);
  if (windowed < count)
    add_core(builder, phase, layer, attended(sequence, std::nullopt, workload.causal), "attention_core",
             count - windowed);
  if (windowed > 0.0)
    add_core(builder, phase, layer, attended(sequence, attention.window, workload.causal),
             "attention_core_windowed", windowed);
}

struct LayerGroup {
  LayerKind kind;
  double count;
};

std::vector<LayerGroup> layer_groups(const Builder& builder, bool prediction) {
  const double dense = static_cast<double>(builder.model.dense_layers);
  const double experts = static_cast<double>(builder.model.layers) - dense;
  std::vector<LayerGroup> groups;
  if (dense > 0.0) groups.push_back({LayerKind::dense, dense});
  if (experts > 0.0) groups.push_back({LayerKind::expert, experts});
  if (!prediction) return groups;
  if (!builder.architecture.prediction)
    throw Error(Fault::config, fmt::format("model {} predicts no further tokens", builder.model.id),
                "leave prediction (mtp) out, or add architecture.prediction to " + builder.model.path);
  groups.push_back({LayerKind::prediction, static_cast<double>(builder.architecture.prediction->layers)});
  return groups;
}

// One row of the table per token, read and written.
void add_embedding(Builder& builder) {
  const double table = numbers(builder.hidden(), builder.model.vocabulary);
  builder.ops.push_back(
      {.name = "embedding",
       .layer = LayerKind::ends,
       .bytes_per_token = 2.0 * builder.hidden() * static_cast<double>(bytes_of(Dtype::bf16)),
       .n = builder.model.hidden,
       .k = builder.model.vocabulary,
       .parameters = table,
       .active_parameters = table});
}

void add_phase(Builder& builder, OpPhase phase, const TrainingWorkload& workload) {
  for (const LayerGroup& group : layer_groups(builder, workload.prediction)) {
    for (const ModelProduct& product : layer_products(builder.model, group.kind, builder.expert_ranks))
      add_product(builder, product, phase, group.kind, group.count);
    if (phase != OpPhase::backward_weight) add_cores(builder, phase, group.kind, workload, group.count);
    if (group.kind != LayerKind::prediction) continue;
    ModelProduct head = head_product(builder.model);
    head.all_copies = 0.0;  // the weights are the model's own head
    add_product(builder, head, phase, group.kind, group.count);
  }
  add_product(builder, head_product(builder.model), phase, LayerKind::ends, 1.0);
}

void add_recomputation(Builder& builder, const TrainingWorkload& workload) {
  if (builder.architecture.attention.kind != AttentionKind::latent) return;
  for (const LayerGroup& group : layer_groups(builder, workload.prediction))
    for (const ModelProduct& product : attention_products(builder.model))
      if (const std::string_view name = product.name; name == "q_b" || name == "kv_b")
        add_product(builder, product, OpPhase::recompute, group.kind, group.count);
}

Builder builder_for(const ModelShapes& model, double tokens, std::int64_t expert_ranks) {
  require_positive(tokens, "the micro-batch's number of tokens", "correct the workload");
  require_positive(static_cast<double>(expert_ranks), "the number of GPUs that share the experts",
                   "correct the workload");
  return {
      .model = model, .architecture = architecture_of(model), .tokens = tokens, .expert_ranks = expert_ranks};
}

// One query per sequence against `reach` cached tokens.
void add_decode_core(Builder& builder, LayerKind layer, double reach, const char* name, double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const bool latent = attention.kind == AttentionKind::latent;
  const double heads = static_cast<double>(attention.heads);
  const double key =
      static_cast<double>(latent ? attention.kv_rank + attention.rope_dim : attention.qk_dim());
  const double value = static_cast<double>(latent ? attention.kv_rank : attention.v_dim);
  const double cached = latent ? key : (key + value) * static_cast<double>(attention.heads_kv);
  ModelOp op{.name = name, .layer = layer, .dtype = Dtype::bf16, .count = count};
  op.flop_per_token = op.model_flop_per_token = 2.0 * heads * reach * (key + value);
  op.bytes_per_token = cached * reach * static_cast<double>(bytes_of(Dtype::bf16));
  builder.ops.push_back(std::move(op));
}

void add_decode_layers(Builder& builder, const LayerGroup& group, double context) {
  for (const ModelProduct& product : absorbed_products(builder.model))
    add_product(builder, product, OpPhase::forward, group.kind, group.count);
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double windowed = group.count * static_cast<double>(attention.windowed_layers) /
                          static_cast<double>(builder.model.layers);
  if (windowed < group.count)
    add_decode_core(builder, group.kind, context, "attention_core", group.count - windowed);
  if (windowed > 0.0)
    add_decode_core(builder, group.kind, attended(context, attention.window, false),
                    "attention_core_windowed", windowed);
  const std::vector<ModelProduct> mlp = group.kind == LayerKind::dense
                                            ? dense_products(builder.model)
                                            : expert_products(builder.model, builder.expert_ranks);
  for (const ModelProduct& product : mlp)
    add_product(builder, product, OpPhase::forward, group.kind, group.count);
}

}  // namespace

std::string_view to_string(OpPhase phase) {
  switch (phase) {
    case OpPhase::forward:
      return "forward";
    case OpPhase::backward_input:
      return "backward_input";
    case OpPhase::backward_weight:
      return "backward_weight";
    case OpPhase::recompute:
      return "recompute";
  }
  return "unknown";
}

std::string_view to_string(LayerKind kind) {
  switch (kind) {
    case LayerKind::dense:
      return "dense";
    case LayerKind::expert:
      return "expert";
    case LayerKind::prediction:
      return "prediction";
    case LayerKind::ends:
      return "ends";
  }
  return "unknown";
}

std::vector<ModelOp> prefill_ops(const ModelShapes& model, const TrainingWorkload& workload) {
  require_positive(static_cast<double>(workload.sequence), "the sequence", "correct the workload");
  Builder builder = builder_for(model, workload.tokens, workload.expert_ranks);
  add_embedding(builder);
  add_phase(builder, OpPhase::forward, workload);
  return std::move(builder.ops);
}

std::vector<ModelOp> training_ops(const ModelShapes& model, const TrainingWorkload& workload) {
  Builder builder = builder_for(model, workload.tokens, workload.expert_ranks);
  builder.ops = prefill_ops(model, workload);
  add_phase(builder, OpPhase::backward_input, workload);
  add_phase(builder, OpPhase::backward_weight, workload);
  add_recomputation(builder, workload);
  return std::move(builder.ops);
}

std::vector<ModelOp> decode_ops(const ModelShapes& model, const DecodeWorkload& workload) {
  require_positive(workload.context, "the context", "correct the workload");
  Builder builder = builder_for(model, workload.sequences, workload.expert_ranks);
  add_embedding(builder);
  for (const LayerGroup& group : layer_groups(builder, false))
    add_decode_layers(builder, group, workload.context);
  add_product(builder, head_product(builder.model), OpPhase::forward, LayerKind::ends, 1.0);
  return std::move(builder.ops);
}

}  // namespace chokepoint
