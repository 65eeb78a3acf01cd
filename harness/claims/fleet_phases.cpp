#include "harness/claims/fleet_phases.hpp"

#include <algorithm>

#include "harness/claims/routing_volumes.hpp"

namespace chokepoint {
namespace {

constexpr int kSampledTokens = 5000;  // rows within 0.2 percent of many more
constexpr std::uint64_t kSeed = 1;

// Sequence parallelism (Korthikanti et al. 2022): a gather before and a scatter after each block; on the way
// back the same, and the input gathered again for the weight gradients.
constexpr int kFleetForwardTransfers = 2, kFleetBackwardTransfers = 3;
constexpr double kFleetBytesPerValue = 2.0;  // BF16

void share(PassTimes& times, double ranks, double block_transfer_s) {
  times.forward_s = times.forward_s / ranks + kFleetForwardTransfers * block_transfer_s;
  times.backward_input_s = times.backward_input_s / ranks + kFleetBackwardTransfers * block_transfer_s;
  times.weight_s /= ranks;
}

}  // namespace

ExpertRows expert_rows(const FleetModel& model, int expert_ranks, int gpus_per_node) {
  const RoutingRule rule{model.experts, model.top_k, model.expert_groups, model.expert_group_limit};
  const int on_node = std::min(expert_ranks, gpus_per_node);
  const RankPlacement placement{.nodes = expert_ranks / on_node, .gpus_per_node = on_node};
  const TokenReach reach = sampled_reach(rule, placement, kSampledTokens, kSeed);
  const TransferRows rows =
      transfer_rows(1.0, reach.nodes_per_token, reach.gpus_per_token / reach.nodes_per_token, placement);
  return {rows.network.rows, rows.link.rows};
}

// Conditions count nodes and GPUs with the sender's own, of which 7/8 leave on 8 nodes of 8.
Conditions with_expert_rows(const Conditions& conditions, const ExpertRows& rows) {
  constexpr double kWithOwn = 8.0 / 7.0;
  Conditions changed = conditions;
  changed.nodes_per_token = kWithOwn * rows.network;
  changed.gpus_per_token = kWithOwn * rows.link;
  return changed;
}

TrainingPhases with_tensor_ranks(const FleetModel& model, TrainingPhases phases, const Conditions& conditions,
                                 int tensor_ranks) {
  const double ranks = tensor_ranks;
  const double transfer_s = model.tokens_per_micro_batch * model.hidden * kFleetBytesPerValue * (ranks - 1) /
                            ranks / (conditions.link_bytes_per_s * conditions.link_efficiency);
  ExpertLayerTimes& layer = phases.expert_layer;
  share(layer.attention, ranks, transfer_s);
  share(layer.mlp, ranks, 0.0);  // each rank sends its own part of the sequence to the experts
  share(phases.dense_mlp, ranks, transfer_s);
  share(phases.head, ranks, transfer_s);
  share(phases.projection, ranks, 0.0);
  for (double* transfer : {&layer.dispatch_forward_s, &layer.combine_forward_s, &layer.combine_backward_s,
                           &layer.dispatch_backward_s, &phases.hop_s})
    *transfer /= ranks;
  return phases;
}

double exchange_bytes_per_s(const Conditions& conditions) {
  constexpr double kEfficiency = 0.9;  // 45 of 50 GB/s
  return conditions.network_bytes_per_s * kEfficiency;
}

}  // namespace chokepoint
