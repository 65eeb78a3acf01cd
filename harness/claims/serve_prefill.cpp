#include "harness/claims/serve_prefill.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/op_model.hpp"

namespace chokepoint {
namespace {

struct PrefillLookup {
  const KernelTable& table;
  const ModelShapes& model;
  const PrefillPlan& plan;
  std::vector<const KernelRow*> sources = {};
};

void require_prefill_plan(const PrefillPlan& plan, const ModelShapes& model, double sms) {
  require_plan(model.architecture && model.architecture->experts, fmt::format("model {} has no experts", model.id));
  require_plan(plan.micro_batches >= 1, fmt::format("{} micro-batches cannot be run", plan.micro_batches));
  require_plan(plan.tokens > 0.0 && plan.sequence > 0.0, "a micro-batch without tokens has no time");
  require_plan(plan.compute_sms > 0.0 && plan.compute_sms <= sms,
               fmt::format("{} SMs compute, but the machine has {}", plan.compute_sms, sms));
  const std::int64_t experts = model.architecture->experts->count;
  require_plan(experts % plan.placement.gpus() == 0,
               fmt::format("{} GPUs do not divide {} experts", plan.placement.gpus(), experts));
}

double prefill_product_s(PrefillLookup& lookup, const ModelOp& op) {
  const Shape shape = {{"m", static_cast<std::int64_t>(*op.m + 0.5)}, {"n", op.n}, {"k", op.k}};
  return charged(lookup.sources, lookup.table.between("matmul", shape, op.dtype, {"m"}));
}

double prefill_routed_s(PrefillLookup& lookup, const ModelOp& op) {
  const std::int64_t groups = lookup.model.architecture->experts->count / lookup.plan.placement.gpus();
  const Shape shape = {{"groups", groups},
                       {"m", static_cast<std::int64_t>(*op.m / static_cast<double>(groups) + 0.5)},
                       {"n", op.n},
                       {"k", op.k}};
  return charged(lookup.sources, lookup.table.between("grouped_matmul", shape, op.dtype, {"m"}));
}

// Work grows with the square of a prompt, so it is the rate that is read between rows, and held outside them.
double prefill_core_s(PrefillLookup& lookup, const ModelOp& op) {
  const AttentionArchitecture& attention = lookup.model.architecture->attention;
  std::map<double, const KernelRow*> by_context;
  for (const KernelRow& row : lookup.table.rows()) {
    const bool fits = row.operation == "attention" && !row.in_place && row.shape.has("mode") &&
                      row.shape.word("mode") == "prefill" && row.shape["heads_q"] == attention.heads &&
                      row.shape["heads_kv"] == attention.heads_kv &&
                      row.shape["qk_dim"] == attention.qk_dim() && row.shape["v_dim"] == attention.v_dim &&
                      flop_per_s_of(row);
    if (fits) by_context.emplace(static_cast<double>(row.shape["context"]), &row);
  }
  require_plan(!by_context.empty(), fmt::format("no kernel row for attention of {} in prefill on {}", lookup.model.id,
                                                lookup.table.machine()));
  const auto above = by_context.lower_bound(lookup.plan.sequence);
  const auto high = above == by_context.end() ? std::prev(above) : above;
  const auto low =
      above == by_context.begin() || high->first == lookup.plan.sequence || above == by_context.end()
          ? high
          : std::prev(above);
  const double share = high == low ? 0.0 : (lookup.plan.sequence - low->first) / (high->first - low->first);
  const double rate =
      flop_per_s_of(*low->second).value() * (1.0 - share) + flop_per_s_of(*high->second).value() * share;
  lookup.sources.push_back(high->second);
  return op.flop_per_token * lookup.plan.tokens / rate;
}

void look_up_kernels(PrefillLookup& lookup, PrefillKernels& kernels) {
  const PrefillPlan& plan = lookup.plan;
  const std::vector<ModelOp> ops =
      prefill_ops(lookup.model, {.sequence = static_cast<std::int64_t>(plan.sequence),
                                 .tokens = plan.tokens,
                                 .expert_ranks = plan.placement.gpus()});
  for (const ModelOp& op : ops) {
    if (op.layer != LayerKind::expert || op.name == "router")
      continue;  // the router is in the traffic's estimate
    if (op.name.starts_with("attention_core"))
      kernels.core_s += prefill_core_s(lookup, op);
    else if (op.name.starts_with("routed_"))
      kernels.routed_s += prefill_routed_s(lookup, op);
    else
      (op.name.starts_with("shared_") ? kernels.shared_s : kernels.attention_products_s) +=
          prefill_product_s(lookup, op);
  }
}

LogicalRate transfer_rate(PrefillLookup& lookup, const char* operation, Dtype dtype) {
  const Shape fields = {{"ranks", lookup.plan.placement.gpus()},
                        {"tokens", std::int64_t{4096}},
                        {"hidden", lookup.model.hidden}};
  const KernelRow& row = lookup.table.at(operation, fields, dtype);
  require_plan(row.unit == "B/s" && row.logical, fmt::format("the row \"{}\" is no logical rate", row.name));
  lookup.sources.push_back(&row);
  return {row.value};
}

double transfer_s(LogicalRate rate, double bytes_per_row, const PrefillPlan& plan,
                  const PrefillFactors& factors) {
  const LogicalRows rows = {plan.tokens * plan.nodes_per_token};
  const double ratio = plan.placement.nodes > 1 ? factors.network_ratio : factors.link_ratio;
  return rows.rows * bytes_per_row / (rate.bytes_per_s * ratio) * factors.expert_imbalance;
}

PrefillLayer layer_of(const PrefillKernels& kernels, const ModelShapes& model, double sms,
                      const PrefillPlan& plan, const PrefillFactors& factors) {
  PrefillLayer layer{.core_s = kernels.core_s,
                     .attention_products_s = kernels.attention_products_s,
                     .routed_s = kernels.routed_s,
                     .shared_s = kernels.shared_s};
  const double alone_s =
      layer.core_s + layer.attention_products_s + layer.routed_s * factors.expert_imbalance + layer.shared_s;
  layer.compute_s = alone_s * sms / plan.compute_sms / factors.compute_ratio +
                    factors.traffic_s_per_token * plan.tokens / factors.memory_ratio;
  layer.dispatch_s = transfer_s(kernels.dispatch, row_bytes(model.hidden, Dtype::fp8_e4m3), plan, factors);
  layer.combine_s = transfer_s(kernels.combine, row_bytes(model.hidden, Dtype::bf16), plan, factors);
  layer.sources = kernels.sources;
  return layer;
}

}  // namespace

PrefillKernels prefill_kernels(const KernelTable& table, const ModelShapes& model, double sms,
                               const PrefillPlan& plan) {
  require_prefill_plan(plan, model, sms);
  PrefillLookup lookup{table, model, plan};
  PrefillKernels kernels;
  look_up_kernels(lookup, kernels);
  kernels.dispatch = transfer_rate(lookup, "dispatch", Dtype::fp8_e4m3);
  kernels.combine = transfer_rate(lookup, "combine", Dtype::bf16);
  kernels.sources = std::move(lookup.sources);
  return kernels;
}

PrefillRate prefill_rate(const PrefillKernels& kernels, const ModelShapes& model, double sms,
                         const PrefillPlan& plan, const PrefillFactors& factors) {
  require_prefill_plan(plan, model, sms);
  PrefillRate rate;
  rate.layer = layer_of(kernels, model, sms, plan, factors);
  const PrefillLayer& layer = rate.layer;
  const double longer = std::max(layer.compute_s, layer.transfer_s());
  const double shorter = std::min(layer.compute_s, layer.transfer_s());
  rate.layer_s = plan.micro_batches == 1 ? longer + shorter : plan.micro_batches * longer;
  rate.slack = longer / shorter - 1.0;
  rate.bound = layer.compute_s >= layer.transfer_s() ? Resource::compute : Resource::network;
  rate.tokens_per_s = plan.micro_batches * plan.tokens / (rate.layer_s * static_cast<double>(model.layers));
  rate.tokens_per_s_per_node = rate.tokens_per_s * static_cast<double>(plan.placement.gpus_per_node);
  return rate;
}

PrefillRate prefill_rate(const KernelTable& table, const ModelShapes& model, double sms,
                         const PrefillPlan& plan, const PrefillFactors& factors) {
  return prefill_rate(prefill_kernels(table, model, sms, plan), model, sms, plan, factors);
}

}  // namespace chokepoint
