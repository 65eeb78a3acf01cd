#include "harness/claims/serve_decode.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/claims/op_model.hpp"
#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {
namespace {

constexpr double kRowHeaderBytes =
    16;  // of a row that low-latency kernels send: its place (DeepEP, internode_ll)
constexpr double kTwoQueries = 1.9;  // time of attention with two queries per sequence over that with one
constexpr double kMostSequences = 1 << 16;  // per GPU, of the search
constexpr double kMemoryForCaches = 0.9;    // of the memory: the rest is for activations and buffers

void require(bool holds, const std::string& message) {
  if (!holds) throw Error(Fault::config, message, "correct the plan");
}

double figure(const Profile& profile, const std::optional<Figure>& value, const char* key) {
  if (value) return value->value;
  throw Error(Fault::config, fmt::format("profile {} has no {}", profile.id, key),
              "add it to " + profile.path);
}

struct Lookup {
  const KernelTable& table;
  const ModelShapes& model;
  const DecodeMachine& machine;
  const DecodePlan& plan;
  const DecodeFactors& factors;
  std::vector<const KernelRow*> sources = {};

  double sequences() const { return plan.sequences / plan.micro_batches; }
  double queries() const { return plan.accepted_drafts > 0.0 ? 2.0 : 1.0; }  // per sequence and step
  double rows() const { return sequences() * queries(); }
  double memory_bytes_per_s() const {
    return machine.memory_bytes_per_s * factors.memory_ratio * factors.memory_efficiency;
  }
  std::int64_t local_experts() const {
    return (model.architecture->experts->count + plan.redundant) / plan.ranks;
  }
};

void require_plan(const DecodePlan& plan, const ModelShapes& model) {
  require(model.architecture && model.architecture->experts &&
              model.architecture->attention.kind == AttentionKind::latent,
          fmt::format("decode of {} is not modelled: it needs experts and latent attention", model.id));
  require(plan.micro_batches >= 1 && plan.sequences > 0.0 && plan.context > 0.0,
          "a plan without sequences has no rate");
  require(plan.accepted_drafts >= 0.0 && plan.accepted_drafts <= 1.0,
          "the share of accepted drafts is not from 0 to 1");
  require(plan.accepted_drafts == 0.0 || model.architecture->prediction,
          fmt::format("{} drafts no tokens", model.id));
  const std::int64_t copies = model.architecture->experts->count + plan.redundant;
  require(plan.ranks >= 1 && copies % plan.ranks == 0,
          fmt::format("{} GPUs do not divide {} experts and copies", plan.ranks, copies));
}

double charged(Lookup& lookup, const KernelTime& time) {
  lookup.sources.insert(lookup.sources.end(), time.rows.begin(), time.rows.end());
  return time.time_s;
}

std::int64_t whole(double value) { return std::max<std::int64_t>(1, static_cast<std::int64_t>(value + 0.5)); }

// Products of so few rows are bound by their weights: they follow memory's rate.
double product_s(Lookup& lookup, std::int64_t n, std::int64_t k) {
  const Shape shape = {{"m", whole(lookup.rows())}, {"n", n}, {"k", k}};
  return charged(lookup,
                 lookup.table.between("matmul", shape, lookup.model.architecture->linear_dtype, {"m"})) /
         lookup.factors.memory_ratio;
}

double routed_s(Lookup& lookup) {
  const ExpertArchitecture& experts = *lookup.model.architecture->experts;
  const std::int64_t groups = lookup.local_experts();
  const double rows = lookup.rows() * static_cast<double>(experts.top_k) / static_cast<double>(groups);
  double sum = 0.0;
  for (const auto& [n, k] : {std::pair{2 * experts.intermediate, lookup.model.hidden},
                             {lookup.model.hidden, experts.intermediate}}) {
    const Shape shape = {{"groups", groups}, {"m", whole(rows)}, {"n", n}, {"k", k}};
    sum += charged(
        lookup, lookup.table.between("masked_matmul", shape, lookup.model.architecture->linear_dtype, {"m"}));
  }
  return sum * lookup.factors.expert_imbalance / lookup.factors.memory_ratio;
}

// As measured, but never faster than the cache can be read.
double core_s(Lookup& lookup) {
  const AttentionArchitecture& attention = lookup.model.architecture->attention;
  const Shape shape = {{"mode", "decode"},
                       {"batch", whole(lookup.sequences())},
                       {"context", whole(lookup.plan.context)},
                       {"heads_q", attention.heads},
                       {"qk_dim", attention.kv_rank + attention.rope_dim},
                       {"v_dim", attention.kv_rank}};
  const double measured =
      charged(lookup, lookup.table.between("attention", shape, Dtype::bf16, {"batch", "context"}));
  const double cached = lookup.sequences() * lookup.plan.context *
                        static_cast<double>(bytes_of(Dtype::bf16) * (attention.kv_rank + attention.rope_dim));
  return std::max(measured * (lookup.queries() > 1.0 ? kTwoQueries : 1.0),
                  cached / lookup.memory_bytes_per_s());
}

// Both halves of kv_b, in bf16. The table's stand-in is one product with as many weights as one half, in fp8;
// it moves a quarter of the bytes, at a quarter of memory's rate.
double absorb_s(Lookup& lookup) {
  const AttentionArchitecture& attention = lookup.model.architecture->attention;
  const std::int64_t wide = attention.heads * attention.nope_dim;
  const double bytes = 2.0 * static_cast<double>(wide * attention.kv_rank * bytes_of(Dtype::bf16));
  return std::max(product_s(lookup, attention.kv_rank, wide), bytes / lookup.memory_bytes_per_s());
}

double row_transfer_s(const Lookup& lookup, double bytes) {
  const double rows = lookup.rows() * static_cast<double>(lookup.model.architecture->experts->top_k);
  return rows * bytes * lookup.factors.expert_imbalance /
         (lookup.machine.network_bytes_per_s * lookup.factors.network_ratio *
          lookup.factors.network_efficiency);
}

void add_mlps(Lookup& lookup, DecodeLayer& layer) {
  const Architecture& architecture = *lookup.model.architecture;
  const std::int64_t hidden = lookup.model.hidden;
  if (const std::int64_t shared = architecture.experts->shared * architecture.experts->intermediate;
      shared > 0) {
    layer.shared_gate_up_s = product_s(lookup, 2 * shared, hidden);
    layer.shared_down_s = product_s(lookup, hidden, shared);
  }
  layer.routed_s = routed_s(lookup);
  if (!architecture.dense) return;
  layer.dense_mlp_s = product_s(lookup, 2 * architecture.dense->intermediate, hidden) +
                      product_s(lookup, hidden, architecture.dense->intermediate);
}

DecodeLayer decode_layer(Lookup& lookup) {
  const AttentionArchitecture& attention = lookup.model.architecture->attention;
  const DecodeFactors& factors = lookup.factors;
  const std::int64_t hidden = lookup.model.hidden;
  DecodeLayer layer;
  layer.core_s = core_s(lookup);
  layer.projections_s = product_s(lookup, attention.q_rank, hidden) +
                        product_s(lookup, attention.heads * attention.qk_dim(), attention.q_rank) +
                        product_s(lookup, attention.kv_rank + attention.rope_dim, hidden);
  layer.absorb_s = absorb_s(lookup);
  layer.output_s = product_s(lookup, hidden, attention.heads * attention.v_dim);
  add_mlps(lookup, layer);
  layer.traffic_s = factors.traffic_s * (1.0 - factors.traffic_memory_share +
                                         factors.traffic_memory_share / factors.memory_ratio);
  layer.dispatch_s = row_transfer_s(lookup, row_bytes(hidden, Dtype::fp8_e4m3) + kRowHeaderBytes);
  layer.combine_s = row_transfer_s(lookup, row_bytes(hidden, Dtype::bf16));
  layer.sync_s = factors.sync_s;
  layer.head_s = static_cast<double>(hidden * lookup.model.vocabulary * bytes_of(Dtype::bf16)) /
                 lookup.memory_bytes_per_s();
  layer.sources = std::move(lookup.sources);
  return layer;
}

// Weights as they are stored: routed experts of this GPU alone, everything else on every one.
DecodeMemory memory_of(const ModelShapes& model, const DecodeMachine& machine, const DecodePlan& plan) {
  DecodeMemory memory;
  const ExpertArchitecture& experts = *model.architecture->experts;
  const double local =
      static_cast<double>((experts.count + plan.redundant) / plan.ranks) / static_cast<double>(experts.count);
  for (const ModelOp& op : decode_ops(model, {}))
    memory.weights_bytes += op.parameters * op.count * static_cast<double>(bytes_of(op.dtype)) *
                            (op.name.starts_with("routed_") ? local : 1.0);
  memory.cache_bytes = plan.sequences * plan.context * kv_bytes_per_token(model);
  memory.capacity_bytes = machine.memory_bytes * kMemoryForCaches;
  return memory;
}

}  // namespace

DecodeMachine decode_machine(const Profile& profile) {
  return {figure(profile, profile.memory.datasheet, "datasheet rate of memory"),
          figure(profile, profile.memory_size, "memory_size"),
          figure(profile, profile.network.datasheet, "datasheet rate of network")};
}

double decode_step_s(const DecodeLayer& layer, const ModelShapes& model, const DecodePlan& plan) {
  const double drafts = plan.accepted_drafts > 0.0 ? 1.0 : 0.0;
  const double dense = static_cast<double>(model.dense_layers),
               experts = static_cast<double>(model.layers) - dense + drafts;
  const double in_turn = plan.micro_batches == 1 ? layer.compute_s() + layer.transfer_s()
                                                 : std::max(layer.compute_s(), layer.transfer_s());
  return plan.micro_batches * (experts * in_turn + dense * layer.dense_s() + (1.0 + drafts) * layer.head_s);
}

DecodeRate decode_rate(const KernelTable& table, const ModelShapes& model, const DecodeMachine& machine,
                       const DecodePlan& plan, const DecodeFactors& factors) {
  require_plan(plan, model);
  Lookup lookup{table, model, machine, plan, factors};
  DecodeRate rate;
  rate.layer = decode_layer(lookup);
  rate.step_s = decode_step_s(rate.layer, model, plan);
  rate.tokens_per_s_per_user = (1.0 + plan.accepted_drafts) / rate.step_s;
  rate.tokens_per_s = plan.sequences * rate.tokens_per_s_per_user;
  rate.tokens_per_s_per_node = rate.tokens_per_s * static_cast<double>(plan.gpus_per_node);
  rate.bound = rate.layer.compute_s() >= rate.layer.transfer_s() ? Resource::compute : Resource::network;
  rate.memory = memory_of(model, machine, plan);
  return rate;
}

double sequences_in_flight(double tokens_per_s, double tokens_per_s_per_user) {
  require(tokens_per_s >= 0.0 && tokens_per_s_per_user > 0.0,
          "a user who sees no tokens never ends a sequence");
  return tokens_per_s / tokens_per_s_per_user;
}

std::int64_t most_sequences(const KernelTable& table, const ModelShapes& model, const DecodeMachine& machine,
                            DecodePlan plan, const DecodeFactors& factors, double tokens_per_s_per_user) {
  const auto holds = [&](std::int64_t sequences) {
    plan.sequences = static_cast<double>(sequences);
    const DecodeRate rate = decode_rate(table, model, machine, plan, factors);
    return rate.memory.fits() && rate.tokens_per_s_per_user >= tokens_per_s_per_user;
  };
  std::int64_t fits = 0, fails = static_cast<std::int64_t>(kMostSequences);
  while (fails - fits >
         1) {  // steps grow with sequences, but for a per mille where a kernel of the table does not
    const std::int64_t middle = fits + (fails - fits) / 2;
    (holds(middle) ? fits : fails) = middle;
  }
  return fits;
}

}  // namespace chokepoint
