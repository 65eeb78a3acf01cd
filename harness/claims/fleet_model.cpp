#include "harness/claims/fleet_model.hpp"

#include <algorithm>

namespace chokepoint {
namespace {

constexpr double kWeightBytes = 2.0, kGradientBytes = 4.0;
constexpr double kOptimizerBytes = 4.0 + 2 * 2.0;  // weights in FP32, two moments in BF16
constexpr double kExchangedBytes = 2.0 + 2.0;      // a gradient out, a parameter in

// Stages that lie on a rank, first to last.
std::vector<int> stages_of(const PipelinePlan& pipeline, int rank) {
  const int mirror = pipeline.stages() - 1 - rank;
  if (overlaps(pipeline.schedule)) return {std::min(rank, mirror), std::max(rank, mirror)};
  std::vector<int> stages;
  for (int stage = rank; stage < pipeline.stages(); stage += pipeline.ranks) stages.push_back(stage);
  return stages;
}

// GPUs that hold the same parameter.
struct Copies {
  double expert, other;
};

Copies copies_of(const FleetPlan& plan) {
  const double each = static_cast<double>(plan.data_parallel()) * parameter_copies(plan.pipeline.schedule);
  return {each * plan.tensor_ranks / plan.expert_ranks, each};
}

double compute_s(const PassTimes& pass) { return pass.forward_s + pass.backward_s(); }

}  // namespace

StageLayout fleet_layout(const FleetModel& model, const PipelinePlan& pipeline,
                         const TrainingPhases& phases) {
  const double attention_s = compute_s(phases.expert_layer.attention);
  return balanced_layout(pipeline.stages(), model.dense_layers, model.expert_layers, model.prediction_layers,
                         {.expert_layer_s = attention_s + compute_s(phases.expert_layer.mlp),
                          .dense_layer_s = attention_s + compute_s(phases.dense_mlp),
                          .head_s = compute_s(phases.head),
                          .projection_s = compute_s(phases.projection)});
}

// An embedding lies where tokens enter and where a prediction layer takes it up again, a head where there is
// one; two on the same rank are one.
HeldParameters held_parameters(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout,
                               int rank) {
  HeldParameters held;
  bool embedding = false, head = false;
  for (int stage : stages_of(plan.pipeline, rank)) {
    const StageContents& contents = layout[stage];
    held.expert += contents.expert_layers * model.expert_parameters * model.experts / plan.expert_ranks;
    held.other += contents.layers() * model.attention_parameters +
                  contents.expert_layers * (model.expert_parameters + model.gate_parameters) +
                  contents.dense_layers * model.dense_mlp_parameters +
                  contents.projections * model.projection_parameters;
    embedding |= stage == 0 || contents.projections > 0;
    head |= contents.heads > 0;
  }
  held.other = (held.other + (embedding + head) * model.head_parameters) / plan.tensor_ranks;
  return held;
}

double memory_bytes(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout,
                    const Pipeline& pipeline) {
  const Copies copies = copies_of(plan);
  double fullest = 0.0;
  for (int rank = 0; rank < plan.pipeline.ranks; ++rank) {
    const HeldParameters held = held_parameters(model, plan, layout, rank);
    int layers = 0;
    for (int stage : stages_of(plan.pipeline, rank)) layers = std::max(layers, layout[stage].layers());
    const double activations = pipeline.counts()[rank].held * layers * model.tokens_per_micro_batch *
                               model.activation_bytes_per_token_layer / plan.tensor_ranks;
    fullest =
        std::max(fullest, held.total() * (kWeightBytes + kGradientBytes) +
                              kOptimizerBytes * (held.expert / copies.expert + held.other / copies.other) +
                              activations);
  }
  return fullest;
}

double exchanged_bytes(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout) {
  const Copies copies = copies_of(plan);
  double sum = 0.0;
  for (int rank = 0; rank < plan.pipeline.ranks; ++rank) {
    const HeldParameters held = held_parameters(model, plan, layout, rank);
    sum += held.expert * (1.0 - 1.0 / copies.expert) + held.other * (1.0 - 1.0 / copies.other);
  }
  return kExchangedBytes * sum / plan.pipeline.ranks;
}

}  // namespace chokepoint
