#include "harness/claims/op_model.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"

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

const Architecture& architecture_of(const ModelShapes& model) {
  if (model.architecture) return *model.architecture;
  throw Error(Fault::config, fmt::format("model {} has no \"architecture\"", model.id),
              "add the object to " + model.path + "; configs/schema/model.json says what is in it");
}

// A product with weights [n, k]. `copies` matrices lie on this GPU of `all_copies`; a token meets `rows` of them.
struct Product {
  const char* name;
  std::int64_t n, k;
  Dtype dtype;
  Dtype output = Dtype::bf16;
  double rows = 1.0, copies = 1.0, all_copies = 1.0;
};

double numbers(double rows, std::int64_t columns) { return rows * static_cast<double>(columns); }

// Traffic of one product for the whole micro-batch. Gradients of outputs come in the dtype of the product; gradients of
// inputs leave in bf16, those of weights in f32.
double product_bytes(const Product& product, OpPhase phase, double m) {
  const double in = static_cast<double>(bytes_of(product.dtype)), out = static_cast<double>(bytes_of(product.output));
  const double weights = product.copies * numbers(static_cast<double>(product.n), product.k);
  switch (phase) {
    case OpPhase::forward:
    case OpPhase::recompute: return numbers(m, product.k) * in + weights * in + numbers(m, product.n) * out;
    case OpPhase::backward_input:
      return numbers(m, product.n) * in + weights * in + numbers(m, product.k) * static_cast<double>(bytes_of(Dtype::bf16));
    case OpPhase::backward_weight:
      return numbers(m, product.n + product.k) * in + weights * static_cast<double>(bytes_of(Dtype::f32));
  }
  return 0.0;
}

void add_product(Builder& builder, const Product& product, OpPhase phase, LayerKind layer, double count) {
  ModelOp op{.name = product.name, .phase = phase, .layer = layer, .n = product.n, .k = product.k,
             .dtype = product.dtype, .count = count};
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

std::vector<Product> attention_products(const Builder& builder) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const Dtype dtype = builder.architecture.linear_dtype;
  const std::int64_t hidden = builder.model.hidden, heads = attention.heads;
  if (attention.kind == AttentionKind::grouped)
    return {{"qkv", (heads + 2 * attention.heads_kv) * attention.v_dim, hidden, dtype},
            {"o", hidden, heads * attention.v_dim, dtype}};
  return {{"q_a", attention.q_rank, hidden, dtype},
          {"q_b", heads * attention.qk_dim(), attention.q_rank, dtype},
          {"kv_a", attention.kv_rank + attention.rope_dim, hidden, dtype},
          {"kv_b", heads * (attention.nope_dim + attention.v_dim), attention.kv_rank, dtype},
          {"o", hidden, heads * attention.v_dim, dtype}};
}

std::vector<Product> dense_products(const Builder& builder) {
  const std::int64_t wide = builder.architecture.dense.value().intermediate, hidden = builder.model.hidden;
  const Dtype dtype = builder.architecture.linear_dtype;
  return {{"gate_up", 2 * wide, hidden, dtype}, {"down", hidden, wide, dtype}};
}

std::vector<Product> expert_products(const Builder& builder) {
  const ExpertArchitecture& experts = builder.architecture.experts.value();
  const Dtype dtype = builder.architecture.linear_dtype;
  const std::int64_t wide = experts.intermediate, hidden = builder.model.hidden;
  const double all = static_cast<double>(experts.count), rows = static_cast<double>(experts.top_k);
  const double local = all / static_cast<double>(builder.expert_ranks);
  std::vector<Product> products = {
      {.name = "router", .n = experts.count, .k = hidden, .dtype = Dtype::bf16, .output = Dtype::f32},
      {.name = "routed_gate_up", .n = 2 * wide, .k = hidden, .dtype = dtype, .rows = rows, .copies = local, .all_copies = all},
      {.name = "routed_down", .n = hidden, .k = wide, .dtype = dtype, .rows = rows, .copies = local, .all_copies = all}};
  if (experts.shared == 0) return products;
  products.push_back({"shared_gate_up", 2 * wide * experts.shared, hidden, dtype});
  products.push_back({"shared_down", hidden, wide * experts.shared, dtype});
  return products;
}

// Tokens that a token attends to on average. Causal: half of what a full window holds, and of a shorter one all but the
// start of the sequence.
double attended(double sequence, std::optional<std::int64_t> window, bool causal) {
  const double reach = window ? std::min(static_cast<double>(*window), sequence) : sequence;
  return causal ? reach * (1.0 - reach / (2.0 * sequence)) : reach;
}

// Scores and sums of all heads; `reach` as above. Backward makes the scores again and then four products of the same
// sizes: (3 qk + 2 v) / (qk + v) of forward as executed, twice as model FLOP (FlashAttention, arXiv 2205.14135, B.2).
void add_core(Builder& builder, OpPhase phase, LayerKind layer, double reach, const char* name, double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double qk = static_cast<double>(attention.qk_dim()), v = static_cast<double>(attention.v_dim);
  const double heads = static_cast<double>(attention.heads), heads_kv = static_cast<double>(attention.heads_kv);
  const double forward = 2.0 * reach * (qk + v) * heads;
  const double bytes = (heads + heads_kv) * (qk + v) * static_cast<double>(bytes_of(Dtype::bf16));
  const bool backward = phase == OpPhase::backward_input;
  ModelOp op{.name = name, .phase = phase, .layer = layer, .dtype = Dtype::bf16, .count = count};
  op.flop_per_token = backward ? forward * (3.0 * qk + 2.0 * v) / (qk + v) : forward;
  op.model_flop_per_token = backward ? 2.0 * forward : forward;
  op.bytes_per_token = backward ? 2.0 * bytes : bytes;
  builder.ops.push_back(std::move(op));
}

void add_cores(Builder& builder, OpPhase phase, LayerKind layer, const TrainingWorkload& workload, double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double sequence = static_cast<double>(workload.sequence);
  const double windowed = count * static_cast<double>(attention.windowed_layers) / static_cast<double>(builder.model.layers);
  if (windowed < count)
    add_core(builder, phase, layer, attended(sequence, std::nullopt, workload.causal), "attention_core", count - windowed);
  if (windowed > 0.0)
    add_core(builder, phase, layer, attended(sequence, attention.window, workload.causal), "attention_core_windowed", windowed);
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

Product head_of(const Builder& builder) {
  return {"head", builder.model.vocabulary, builder.model.hidden, Dtype::bf16};
}

void append(std::vector<Product>& all, std::vector<Product> more) { all.insert(all.end(), more.begin(), more.end()); }

std::vector<Product> layer_products(const Builder& builder, LayerKind kind) {
  std::vector<Product> products;
  if (kind == LayerKind::prediction)
    products.push_back({"projection", builder.model.hidden, 2 * builder.model.hidden, builder.architecture.linear_dtype});
  append(products, attention_products(builder));
  append(products, kind == LayerKind::dense ? dense_products(builder) : expert_products(builder));
  return products;
}

// One row of the table per token, read and written.
void add_embedding(Builder& builder) {
  const double table = numbers(builder.hidden(), builder.model.vocabulary);
  builder.ops.push_back({.name = "embedding", .layer = LayerKind::ends,
                         .bytes_per_token = 2.0 * builder.hidden() * static_cast<double>(bytes_of(Dtype::bf16)),
                         .n = builder.model.hidden, .k = builder.model.vocabulary,
                         .parameters = table, .active_parameters = table});
}

void add_phase(Builder& builder, OpPhase phase, const TrainingWorkload& workload) {
  for (const LayerGroup& group : layer_groups(builder, workload.prediction)) {
    for (const Product& product : layer_products(builder, group.kind))
      add_product(builder, product, phase, group.kind, group.count);
    if (phase != OpPhase::backward_weight) add_cores(builder, phase, group.kind, workload, group.count);
    if (group.kind != LayerKind::prediction) continue;
    Product head = head_of(builder);
    head.all_copies = 0.0;  // the weights are the model's own head
    add_product(builder, head, phase, group.kind, group.count);
  }
  add_product(builder, head_of(builder), phase, LayerKind::ends, 1.0);
}

void add_recomputation(Builder& builder, const TrainingWorkload& workload) {
  if (builder.architecture.attention.kind != AttentionKind::latent) return;
  for (const LayerGroup& group : layer_groups(builder, workload.prediction))
    for (const Product& product : attention_products(builder))
      if (const std::string_view name = product.name; name == "q_b" || name == "kv_b")
        add_product(builder, product, OpPhase::recompute, group.kind, group.count);
}

void require_positive(const char* name, double value) {
  if (value > 0.0) return;
  throw Error(Fault::config, fmt::format("{} is {}, but has to be above 0", name, value), "correct the workload");
}

Builder builder_for(const ModelShapes& model, double tokens, std::int64_t expert_ranks) {
  require_positive("the micro-batch's number of tokens", tokens);
  require_positive("the number of GPUs that share the experts", static_cast<double>(expert_ranks));
  return {.model = model, .architecture = architecture_of(model), .tokens = tokens, .expert_ranks = expert_ranks};
}

// The two halves of kv_b, per head: keys' half into the query, values' half into the output.
std::vector<Product> absorbed_products(const Builder& builder) {
  std::vector<Product> products = attention_products(builder);
  const AttentionArchitecture& attention = builder.architecture.attention;
  if (attention.kind == AttentionKind::grouped) return products;
  std::erase_if(products, [](const Product& product) { return std::string_view(product.name) == "kv_b"; });
  const double heads = static_cast<double>(attention.heads);
  products.push_back({.name = "absorb_k", .n = attention.kv_rank, .k = attention.nope_dim, .dtype = Dtype::bf16,
                      .rows = heads, .copies = heads, .all_copies = heads});
  products.push_back({.name = "absorb_v", .n = attention.v_dim, .k = attention.kv_rank, .dtype = Dtype::bf16,
                      .rows = heads, .copies = heads, .all_copies = heads});
  return products;
}

// One query per sequence against `reach` cached tokens.
void add_decode_core(Builder& builder, LayerKind layer, double reach, const char* name, double count) {
  const AttentionArchitecture& attention = builder.architecture.attention;
  const bool latent = attention.kind == AttentionKind::latent;
  const double heads = static_cast<double>(attention.heads);
  const double key = static_cast<double>(latent ? attention.kv_rank + attention.rope_dim : attention.qk_dim());
  const double value = static_cast<double>(latent ? attention.kv_rank : attention.v_dim);
  const double cached = latent ? key : (key + value) * static_cast<double>(attention.heads_kv);
  ModelOp op{.name = name, .layer = layer, .dtype = Dtype::bf16, .count = count};
  op.flop_per_token = op.model_flop_per_token = 2.0 * heads * reach * (key + value);
  op.bytes_per_token = cached * reach * static_cast<double>(bytes_of(Dtype::bf16));
  builder.ops.push_back(std::move(op));
}

void add_decode_layers(Builder& builder, const LayerGroup& group, double context) {
  for (const Product& product : absorbed_products(builder))
    add_product(builder, product, OpPhase::forward, group.kind, group.count);
  const AttentionArchitecture& attention = builder.architecture.attention;
  const double windowed = group.count * static_cast<double>(attention.windowed_layers) / static_cast<double>(builder.model.layers);
  if (windowed < group.count)
    add_decode_core(builder, group.kind, context, "attention_core", group.count - windowed);
  if (windowed > 0.0)
    add_decode_core(builder, group.kind, attended(context, attention.window, false), "attention_core_windowed", windowed);
  const std::vector<Product> mlp = group.kind == LayerKind::dense ? dense_products(builder) : expert_products(builder);
  for (const Product& product : mlp) add_product(builder, product, OpPhase::forward, group.kind, group.count);
}

template <class Value>
double summed(const std::vector<ModelOp>& ops, Value value) {
  double sum = 0.0;
  for (const ModelOp& op : ops) sum += value(op) * op.count;
  return sum;
}

}  // namespace

std::string_view to_string(OpPhase phase) {
  switch (phase) {
    case OpPhase::forward: return "forward";
    case OpPhase::backward_input: return "backward_input";
    case OpPhase::backward_weight: return "backward_weight";
    case OpPhase::recompute: return "recompute";
  }
  return "unknown";
}

std::string_view to_string(LayerKind kind) {
  switch (kind) {
    case LayerKind::dense: return "dense";
    case LayerKind::expert: return "expert";
    case LayerKind::prediction: return "prediction";
    case LayerKind::ends: return "ends";
  }
  return "unknown";
}

std::vector<ModelOp> prefill_ops(const ModelShapes& model, const TrainingWorkload& workload) {
  require_positive("the sequence", static_cast<double>(workload.sequence));
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
  require_positive("the context", workload.context);
  Builder builder = builder_for(model, workload.sequences, workload.expert_ranks);
  add_embedding(builder);
  for (const LayerGroup& group : layer_groups(builder, false)) add_decode_layers(builder, group, workload.context);
  add_product(builder, head_of(builder), OpPhase::forward, LayerKind::ends, 1.0);
  return std::move(builder.ops);
}

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

const ModelOp& find_op(const std::vector<ModelOp>& ops, std::string_view name, LayerKind layer, OpPhase phase) {
  for (const ModelOp& op : ops)
    if (op.name == name && op.layer == layer && op.phase == phase) return op;
  throw Error(Fault::config, fmt::format("there is no operation {} in a layer of kind {}, phase {}", std::string(name),
                                         std::string(to_string(layer)), std::string(to_string(phase))),
              "ask for one of the model's operations");
}

double parameters(const ModelShapes& model, bool prediction) {
  return summed(prefill_ops(model, {.prediction = prediction}), [](const ModelOp& op) { return op.parameters; });
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
