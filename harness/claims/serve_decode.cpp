#include "harness/claims/serve_decode.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/op_model.hpp"
#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {
namespace {

constexpr double kRowHeaderBytes = 16;  // of a row that low-latency kernels send: its place (DeepEP)
constexpr double kTwoQueries = 1.9;     // time of attention with two queries per sequence over that with one
constexpr double kMostSequences = 1 << 16;  // per GPU, of the search
constexpr double kMemoryForCaches = 0.9;    // of the memory: the rest is for activations and buffers

// Rows that a micro-batch brings to a layer: one or two per sequence.
double sequences_of(const DecodePlan& plan) { return plan.sequences / plan.micro_batches; }
double decode_rows_of(const DecodePlan& plan) { return sequences_of(plan) * (plan.accepted_drafts > 0.0 ? 2.0 : 1.0); }

struct DecodeLookup {
  const KernelTable& table;
  const ModelShapes& model;
  const DecodePlan& plan;
  std::vector<const KernelRow*> sources = {};

  const Architecture& architecture() const { return model.architecture.value(); }
};

void require_decode_plan(const DecodePlan& plan, const ModelShapes& model) {
  require_plan(
      model.architecture && model.architecture->experts && model.architecture->attention.kind == AttentionKind::latent,
      fmt::format("decode of {} is not modelled: it needs experts and latent attention", model.id));
  require_plan(plan.micro_batches >= 1 && plan.sequences > 0.0 && plan.context > 0.0,
               "a plan without sequences has no rate");
  require_plan(plan.accepted_drafts >= 0.0 && plan.accepted_drafts <= 1.0,
               "the share of accepted drafts is not from 0 to 1");
  require_plan(plan.accepted_drafts == 0.0 || model.architecture->prediction,
               fmt::format("{} drafts no tokens", model.id));
  const std::int64_t copies = model.architecture->experts->count + plan.redundant;
  require_plan(plan.ranks >= 1 && copies % plan.ranks == 0,
               fmt::format("{} GPUs do not divide {} experts and copies", plan.ranks, copies));
}

std::int64_t whole_number(double value) { return std::max<std::int64_t>(1, static_cast<std::int64_t>(value + 0.5)); }

double decode_product_s(DecodeLookup& lookup, std::int64_t n, std::int64_t k) {
  const Shape shape = {{"m", whole_number(decode_rows_of(lookup.plan))}, {"n", n}, {"k", k}};
  return charged(lookup.sources, lookup.table.between("matmul", shape, lookup.architecture().linear_dtype, {"m"}));
}

double decode_routed_s(DecodeLookup& lookup) {
  const ExpertArchitecture& experts = *lookup.architecture().experts;
  const std::int64_t groups = (experts.count + lookup.plan.redundant) / lookup.plan.ranks;
  const double rows = decode_rows_of(lookup.plan) * static_cast<double>(experts.top_k) / static_cast<double>(groups);
  const Dtype dtype = lookup.architecture().linear_dtype;
  const auto time = [&](std::int64_t n, std::int64_t k) {
    const Shape shape = {{"groups", groups}, {"m", whole_number(rows)}, {"n", n}, {"k", k}};
    return charged(lookup.sources, lookup.table.between("masked_matmul", shape, dtype, {"m"}));
  };
  return time(2 * experts.intermediate, lookup.model.hidden) +
         time(lookup.model.hidden, experts.intermediate);
}

double decode_core_s(DecodeLookup& lookup) {
  const AttentionArchitecture& attention = lookup.architecture().attention;
  const Shape shape = {{"mode", "decode"},
                       {"batch", whole_number(sequences_of(lookup.plan))},
                       {"context", whole_number(lookup.plan.context)},
                       {"heads_q", attention.heads},
                       {"qk_dim", attention.kv_rank + attention.rope_dim},
                       {"v_dim", attention.kv_rank}};
  const KernelTime time = lookup.table.between("attention", shape, Dtype::bf16, {"batch", "context"});
  return charged(lookup.sources, time) * (lookup.plan.accepted_drafts > 0.0 ? kTwoQueries : 1.0);
}

void look_up_mlps(DecodeLookup& lookup, DecodeKernels& kernels) {
  const Architecture& architecture = lookup.architecture();
  const std::int64_t hidden = lookup.model.hidden;
  if (const std::int64_t shared = architecture.experts->shared * architecture.experts->intermediate;
      shared > 0) {
    kernels.shared_gate_up_s = decode_product_s(lookup, 2 * shared, hidden);
    kernels.shared_down_s = decode_product_s(lookup, hidden, shared);
  }
  kernels.routed_s = decode_routed_s(lookup);
  if (!architecture.dense) return;
  const std::int64_t wide = architecture.dense->intermediate;
  kernels.dense_mlp_s = decode_product_s(lookup, 2 * wide, hidden) + decode_product_s(lookup, hidden, wide);
}

// Kernels and factors of one machine, put together.
struct Assembly {
  const ModelShapes& model;
  const DecodeMachine& machine;
  const DecodePlan& plan;
  const DecodeFactors& factors;

  const AttentionArchitecture& attention() const { return model.architecture->attention; }
  double read_s(double bytes) const {
    return bytes / (machine.memory_bytes_per_s * factors.memory_ratio * factors.memory_efficiency);
  }
  // One row per token and expert, none merged.
  double transfer_s(double row) const {
    const double rows = decode_rows_of(plan) * static_cast<double>(model.architecture->experts->top_k);
    const double rate = machine.network_bytes_per_s * factors.network_ratio * factors.network_efficiency;
    return rows * row * factors.expert_imbalance / rate;
  }
};

double cached_bytes(const Assembly& on) {
  const std::int64_t numbers = on.attention().kv_rank + on.attention().rope_dim;
  return sequences_of(on.plan) * on.plan.context * static_cast<double>(numbers * bytes_of(Dtype::bf16));
}

// Both halves of kv_b, in bf16. The table's stand-in is one product with as many weights as one half, in fp8:
// a quarter of the bytes, read at a quarter of memory's rate.
double absorbed_bytes(const Assembly& on) {
  const std::int64_t half = on.attention().heads * on.attention().nope_dim * on.attention().kv_rank;
  return 2.0 * static_cast<double>(half * bytes_of(Dtype::bf16));
}

// Products of so few rows are bound by their weights: they follow memory's rate. Attention is as measured,
// but never faster than its cache can be read.
DecodeLayer layer_on(const DecodeKernels& kernels, const Assembly& on) {
  const DecodeFactors& factors = on.factors;
  const double ratio = factors.memory_ratio, share = factors.traffic_memory_share;
  DecodeLayer layer;
  layer.core_s = std::max(kernels.core_s, on.read_s(cached_bytes(on)));
  layer.projections_s = kernels.projections_s / ratio;
  layer.absorb_s = std::max(kernels.absorb_s / ratio, on.read_s(absorbed_bytes(on)));
  layer.output_s = kernels.output_s / ratio;
  layer.shared_gate_up_s = kernels.shared_gate_up_s / ratio;
  layer.shared_down_s = kernels.shared_down_s / ratio;
  layer.routed_s = kernels.routed_s * factors.expert_imbalance / ratio;
  layer.dense_mlp_s = kernels.dense_mlp_s / ratio;
  layer.traffic_s = factors.traffic_s * (1.0 - share + share / ratio);
  layer.dispatch_s = on.transfer_s(row_bytes(on.model.hidden, Dtype::fp8_e4m3) + kRowHeaderBytes);
  layer.combine_s = on.transfer_s(row_bytes(on.model.hidden, Dtype::bf16));
  layer.sync_s = factors.sync_s;
  layer.head_s =
      on.read_s(static_cast<double>(on.model.hidden * on.model.vocabulary * bytes_of(Dtype::bf16)));
  layer.sources = kernels.sources;
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
  return {known_figure(profile, profile.memory.datasheet, "datasheet rate of memory"),
          known_figure(profile, profile.memory_size, "memory_size"),
          known_figure(profile, profile.network.datasheet, "datasheet rate of network")};
}

double decode_step_s(const DecodeLayer& layer, const ModelShapes& model, const DecodePlan& plan) {
  const double drafts = plan.accepted_drafts > 0.0 ? 1.0 : 0.0;
  const double dense = static_cast<double>(model.dense_layers),
               experts = static_cast<double>(model.layers) - dense + drafts;
  const double in_turn = plan.micro_batches == 1 ? layer.compute_s() + layer.transfer_s()
                                                 : std::max(layer.compute_s(), layer.transfer_s());
  return plan.micro_batches * (experts * in_turn + dense * layer.dense_s() + (1.0 + drafts) * layer.head_s);
}

DecodeKernels decode_kernels(const KernelTable& table, const ModelShapes& model, const DecodePlan& plan) {
  require_decode_plan(plan, model);
  DecodeLookup lookup{table, model, plan};
  const AttentionArchitecture& attention = model.architecture->attention;
  DecodeKernels kernels;
  kernels.core_s = decode_core_s(lookup);
  kernels.projections_s = decode_product_s(lookup, attention.q_rank, model.hidden) +
                          decode_product_s(lookup, attention.heads * attention.qk_dim(), attention.q_rank) +
                          decode_product_s(lookup, attention.kv_rank + attention.rope_dim, model.hidden);
  kernels.absorb_s = decode_product_s(lookup, attention.kv_rank, attention.heads * attention.nope_dim);
  kernels.output_s = decode_product_s(lookup, model.hidden, attention.heads * attention.v_dim);
  look_up_mlps(lookup, kernels);
  kernels.sources = std::move(lookup.sources);
  return kernels;
}

DecodeRate decode_rate(const DecodeKernels& kernels, const ModelShapes& model, const DecodeMachine& machine,
                       const DecodePlan& plan, const DecodeFactors& factors) {
  require_decode_plan(plan, model);
  DecodeRate rate;
  rate.layer = layer_on(kernels, {model, machine, plan, factors});
  rate.step_s = decode_step_s(rate.layer, model, plan);
  rate.tokens_per_s_per_user = (1.0 + plan.accepted_drafts) / rate.step_s;
  rate.tokens_per_s = plan.sequences * rate.tokens_per_s_per_user;
  rate.tokens_per_s_per_node = rate.tokens_per_s * static_cast<double>(plan.gpus_per_node);
  rate.bound = rate.layer.compute_s() >= rate.layer.transfer_s() ? Resource::compute : Resource::network;
  rate.memory = memory_of(model, machine, plan);
  return rate;
}

DecodeRate decode_rate(const KernelTable& table, const ModelShapes& model, const DecodeMachine& machine,
                       const DecodePlan& plan, const DecodeFactors& factors) {
  return decode_rate(decode_kernels(table, model, plan), model, machine, plan, factors);
}

double sequences_in_flight(double tokens_per_s, double tokens_per_s_per_user) {
  require_plan(tokens_per_s >= 0.0 && tokens_per_s_per_user > 0.0, "a user who sees no tokens never ends a sequence");
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
