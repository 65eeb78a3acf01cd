// What does a GPU of a training plan hold and exchange? Its memory, and the parameters that each step goes
// over the network.
#pragma once

#include "harness/claims/phases.hpp"
#include "harness/claims/pipeline.hpp"
#include "harness/claims/stage_layout.hpp"

namespace chokepoint {

// What is trained. Defaults: DeepSeek-V3 (its config.json, and DeepSeek-V3 report, sections 2 and 4.2).
struct FleetModel {
  int dense_layers = 3, expert_layers = 58, prediction_layers = 1;
  int experts = 256, top_k = 8, expert_groups = 8, expert_group_limit = 4;
  double hidden = 7168;
  double attention_parameters = 187.105e6;  // of a layer
  double expert_parameters = 44.040e6;      // of one expert; a layer has a shared one besides
  double gate_parameters = 1.835e6;
  double dense_mlp_parameters = 396.362e6;
  double head_parameters = 926.679e6;  // the embedding has as many
  double projection_parameters = 102.760e6;
  double tokens_per_micro_batch = 4096;
  double activation_bytes_per_token_layer = 95e3;  // derived for V3's recomputation policy
};

// How GPUs share it. Tensor ranks share a layer and lie on one node, expert ranks are ranks of one stage.
struct FleetPlan {
  int gpus = 0;
  int tensor_ranks = 1, expert_ranks = 1;
  PipelinePlan pipeline;

  int data_parallel() const { return gpus / (tensor_ranks * pipeline.ranks); }
  double sequences_per_step() const { return static_cast<double>(data_parallel()) * pipeline.micro_batches; }
};

// Parameters on one GPU. Expert ones are on as many GPUs as hold the same experts, the others on all that
// hold the same part of a layer.
struct HeldParameters {
  double expert = 0.0, other = 0.0;

  double total() const { return expert + other; }
};

StageLayout fleet_layout(const FleetModel& model, const PipelinePlan& pipeline, const TrainingPhases& phases);

HeldParameters held_parameters(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout,
                               int rank);

// Weights in BF16, gradients in FP32, optimizer state (FP32 weights, BF16 moments) shared by all copies
// (ZeRO-1), and the activations of as many micro-batches as the schedule holds. Of the fullest rank.
double memory_bytes(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout,
                    const Pipeline& pipeline);

// Bytes per step that the mean GPU sends: gradients scattered and parameters gathered, in BF16, between
// copies.
double exchanged_bytes(const FleetModel& model, const FleetPlan& plan, const StageLayout& layout);

}  // namespace chokepoint
