#include "harness/claims/kernel_phases.hpp"

#include <fmt/format.h>

#include <array>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/expert_imbalance.hpp"

namespace chokepoint {
namespace {

constexpr std::array<OpPhase, 3> kPhases = {OpPhase::forward, OpPhase::backward_input,
                                            OpPhase::backward_weight};
constexpr std::array<const char*, 3> kPhaseNames = {"forward", "backward_input",
                                                    "weight"};  // in rows of the table

struct PhaseLookup {
  const KernelTable& table;
  const ModelShapes& model;
  const StepPlan& plan;
  double sms;
  std::vector<const KernelRow*> sources = {};

  std::int64_t local_experts() const {
    return model.architecture.value().experts.value().count / plan.placement.gpus();
  }
};

bool is_routed(const ModelOp& op) { return op.name.starts_with("routed_"); }
bool is_core(const ModelOp& op) { return !op.m && op.name.starts_with("attention_core"); }
bool is_mlp(const ModelOp& op) {
  return is_routed(op) || op.name.starts_with("shared_") || op.name == "router" || op.name == "gate_up" ||
         op.name == "down";
}

Shape without_m(Shape shape) {
  Shape rest;
  for (const auto& [name, value] : shape.values())
    if (name != "m") rest.set(name, value);
  return rest;
}

// The time of a product at its rows, between the table's rows; absent when the table has nothing of that
// shape.
std::optional<KernelTime> product_time(const PhaseLookup& lookup, const char* operation, const Shape& shape,
                                       Dtype dtype) {
  if (lookup.table.find(operation, without_m(shape), dtype) == nullptr) return std::nullopt;
  return lookup.table.between(operation, shape, dtype, {"m"});
}

Shape product_shape(const PhaseLookup& lookup, const ModelOp& op, std::int64_t n, std::int64_t k) {
  const auto rows = [](double m) { return static_cast<std::int64_t>(m + 0.5); };
  if (!is_routed(op)) return {{"m", rows(*op.m)}, {"n", n}, {"k", k}};
  const std::int64_t groups = lookup.local_experts();
  return {{"groups", groups}, {"m", rows(*op.m / static_cast<double>(groups))}, {"n", n}, {"k", k}};
}

// An input gradient is a product of the same work with n and k exchanged: its own row if it was measured
// alone, else the forward product's.
std::optional<KernelTime> linear_time(const PhaseLookup& lookup, const ModelOp& op) {
  if (op.phase == OpPhase::backward_weight)
    return product_time(lookup, "matmul_weight_gradient", product_shape(lookup, op, op.n, op.k), op.dtype);
  const char* operation = is_routed(op) ? "grouped_matmul" : "matmul";
  const std::optional<KernelTime> forward =
      product_time(lookup, operation, product_shape(lookup, op, op.n, op.k), op.dtype);
  if (op.phase != OpPhase::backward_input) return forward;
  const std::optional<KernelTime> exchanged =
      product_time(lookup, operation, product_shape(lookup, op, op.k, op.n), op.dtype);
  const bool own = exchanged && (!forward || !exchanged->rows.front()->in_place);
  return own ? exchanged : forward;
}

KernelTime core_time(const PhaseLookup& lookup, const ModelOp& op) {
  const AttentionArchitecture& attention = lookup.model.architecture.value().attention;
  const Shape shape = {{"mode", "prefill"},
                       {"heads_q", attention.heads},
                       {"heads_kv", attention.heads_kv},
                       {"qk_dim", attention.qk_dim()},
                       {"v_dim", attention.v_dim},
                       {"causal", std::int64_t{1}},
                       {"context", static_cast<std::int64_t>(lookup.plan.tokens)}};
  const char* operation = op.phase == OpPhase::backward_input ? "attention_backward" : "attention";
  return lookup.table.between(operation, shape, Dtype::bf16, {});
}

// Adds a kernel that took `time`.
void charge(PhaseLookup& lookup, const KernelTime& time, PartWork& part) {
  const KernelRow& row = *time.rows.front();
  double& sum = row.in_place ? part.in_place_sm_s : part.alone_sm_s;
  sum += time.time_s * (row.sms ? static_cast<double>(*row.sms) : lookup.sms);
  lookup.sources.insert(lookup.sources.end(), time.rows.begin(), time.rows.end());
}

// The row of one part of this model's layer, at this micro-batch.
const KernelRow* find_part(const KernelTable& table, const ModelShapes& model, const char* operation,
                           const std::string& part) {
  return table.find(operation, {{"part", part}, {"model", model.id}},
                    model.architecture.value().linear_dtype);
}

// Parts of the bf16 head are listed in the model's dtype too: they belong to its step.
const KernelRow& part_row(const KernelTable& table, const ModelShapes& model, const char* operation,
                          const std::string& part) {
  if (const KernelRow* row = find_part(table, model, operation, part)) return *row;
  throw Error(Fault::config,
              fmt::format("no kernel row of operation {} for the part {} of {} on {}", operation, part,
                          model.id, table.machine()),
              "add one to configs/kernels, or choose a model and a machine that have it");
}

double part_s(const KernelTable& table, const ModelShapes& model, const std::string& part) {
  return time_s_of(part_row(table, model, "layer_part", part)).value();
}

// What the products of a phase take when single rows are missing: the trace's own sum.
void charge_whole(PhaseLookup& lookup, const std::string& part_name, PartWork& part) {
  const KernelRow& row = part_row(lookup.table, lookup.model, "layer_part", part_name);
  charge(lookup, {time_s_of(row).value(), {&row}}, part);
}

PartWork part_work(PhaseLookup& lookup, const std::vector<ModelOp>& ops, LayerKind layer, std::size_t phase,
                   bool mlp) {
  PartWork part;
  bool complete = true;
  const std::size_t sources_before = lookup.sources.size();
  for (const ModelOp& op : ops) {
    const OpPhase counts_as = op.phase == OpPhase::recompute ? OpPhase::backward_input : op.phase;
    if (op.layer != layer || counts_as != kPhases[phase] || is_mlp(op) != mlp) continue;
    const std::optional<KernelTime> time =
        is_core(op) ? std::optional(core_time(lookup, op)) : linear_time(lookup, op);
    complete = complete && time.has_value();
    if (time) charge(lookup, *time, part);
  }
  const std::string name = std::string(layer == LayerKind::dense ? "dense"
                                       : mlp                     ? "mlp"
                                                                 : "attention") +
                           "_" + kPhaseNames[phase];
  if (!complete) {
    part = {};
    lookup.sources.resize(sources_before);
    charge_whole(lookup, std::string(mlp ? "mlp" : "attention") + "_" + kPhaseNames[phase] + "_products",
                 part);
  }
  if (const KernelRow* traffic = find_part(lookup.table, lookup.model, "traffic", name)) {
    part.traffic_bytes = traffic->value * lookup.plan.tokens;
    lookup.sources.push_back(traffic);
  }
  return part;
}

PassWork pass_work(PhaseLookup& lookup, const std::vector<ModelOp>& ops, LayerKind layer, bool mlp) {
  return {part_work(lookup, ops, layer, 0, mlp), part_work(lookup, ops, layer, 1, mlp),
          part_work(lookup, ops, layer, 2, mlp)};
}

PassTimes traced_pass(const KernelTable& table, const ModelShapes& model, const std::string& part) {
  const bool by_name = find_part(table, model, "layer_part", part) != nullptr;  // one row for all three
  const auto time = [&](std::size_t phase) {
    return part_s(table, model, by_name ? part : part + "_" + kPhaseNames[phase]);
  };
  return {time(0), time(1), time(2)};
}

void require_step_plan(const StepPlan& plan, const ModelShapes& model) {
  const ExpertArchitecture& experts = *model.architecture->experts;
  require_plan(plan.tokens >= 1.0, fmt::format("a micro-batch has {} tokens", plan.tokens));
  require_plan(plan.placement.gpus() >= 1 && experts.count % plan.placement.gpus() == 0,
          fmt::format("{} GPUs do not divide {} experts", plan.placement.gpus(), experts.count));
  require_plan(plan.nodes_per_token >= 1.0 && plan.nodes_per_token <= static_cast<double>(plan.placement.nodes),
          fmt::format("a token's rows go to {} of {} nodes", plan.nodes_per_token, plan.placement.nodes));
}

double part_time(const PartWork& part, const StepMachine& machine, const KernelPhaseFactors& factors) {
  return (part.alone_sm_s * factors.compute_in_place + part.in_place_sm_s) / machine.compute_sms +
         part.traffic_bytes / (machine.memory_bytes_per_s * factors.traffic_efficiency);
}

PassTimes pass_times(const PassWork& pass, const StepMachine& machine, const KernelPhaseFactors& factors) {
  return {part_time(pass.forward, machine, factors), part_time(pass.backward_input, machine, factors),
          part_time(pass.weight, machine, factors)};
}

}  // namespace

StepMachine step_machine(const Profile& profile, double transfer_sms) {
  StepMachine machine;
  machine.sms = known_figure(profile, profile.sm_count, "sm_count");
  if (!(transfer_sms >= 0.0 && transfer_sms < machine.sms))
    throw Error(Fault::config,
                fmt::format("{} SMs for transfers of {} that {} has", transfer_sms, machine.sms, profile.id),
                "leave some for compute");
  machine.compute_sms = machine.sms - transfer_sms;
  machine.memory_bytes_per_s = known_figure(profile, profile.memory.datasheet, "datasheet rate of memory");
  machine.network_bytes_per_s = known_figure(profile, profile.network.datasheet, "datasheet rate of network");
  machine.link_bytes_per_s = known_figure(profile, profile.link.datasheet, "datasheet rate of link");
  return machine;
}

StepParts step_parts(const KernelTable& table, const ModelShapes& model, const StepPlan& plan,
                     const StepMachine& machine) {
  if (!model.architecture || !model.architecture->experts)
    throw Error(Fault::config, fmt::format("model {} has no experts", model.id), "choose one with experts");
  require_step_plan(plan, model);
  const TrainingWorkload workload = {.sequence = static_cast<std::int64_t>(plan.tokens),
                                     .tokens = plan.tokens,
                                     .expert_ranks = plan.placement.gpus()};
  const std::vector<ModelOp> ops = training_ops(model, workload);
  const ExpertArchitecture& experts = *model.architecture->experts;
  PhaseLookup lookup{table, model, plan, machine.sms};
  StepParts parts;
  parts.attention = pass_work(lookup, ops, LayerKind::expert, false);
  parts.mlp = pass_work(lookup, ops, LayerKind::expert, true);
  if (model.dense_layers > 0) parts.dense_mlp = pass_work(lookup, ops, LayerKind::dense, true);
  parts.head = traced_pass(table, model, "head");
  if (model.architecture->prediction) parts.projection = traced_pass(table, model, "projection");
  const std::int64_t chosen = experts.top_k / static_cast<std::int64_t>(plan.nodes_per_token + 0.5);
  const std::int64_t per_node = experts.count / plan.placement.nodes;
  parts.rows = transfer_rows(plan.tokens, plan.nodes_per_token,
                             distinct_bins(per_node, plan.placement.gpus_per_node, chosen), plan.placement);
  parts.dispatch_row_bytes = row_bytes(model.hidden, plan.dispatch_dtype);
  parts.combine_row_bytes = row_bytes(model.hidden, plan.combine_dtype);
  parts.sources = std::move(lookup.sources);
  return parts;
}

TrainingPhases phases_from_kernels(const StepParts& parts, const StepMachine& machine,
                                   const KernelPhaseFactors& factors) {
  const WireRates rates = {machine.network_bytes_per_s, machine.link_bytes_per_s, factors.network_efficiency,
                           factors.link_efficiency, factors.transfer_in_place};
  const double out = transfer_time(parts.rows, parts.dispatch_row_bytes, rates).time_s;
  const double back = transfer_time(parts.rows, parts.combine_row_bytes, rates).time_s;
  TrainingPhases phases;
  phases.expert_layer = {.attention = pass_times(parts.attention, machine, factors),
                         .mlp = pass_times(parts.mlp, machine, factors),
                         .dispatch_forward_s = out,
                         .combine_forward_s = back,
                         .combine_backward_s = out,
                         .dispatch_backward_s = back,
                         .sync_s = factors.sync_s};
  phases.dense_mlp = pass_times(parts.dense_mlp, machine, factors);
  phases.head = parts.head;
  phases.projection = parts.projection;
  phases.gap = factors.gap;
  phases.hop_s = factors.hop_s;
  phases.optimizer_s = factors.optimizer_s;
  return with_imbalance(phases, factors.expert_imbalance);
}

}  // namespace chokepoint
