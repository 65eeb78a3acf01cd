// How long do the phases take when tensor ranks share a layer, and experts lie on another number of GPUs?
#pragma once

#include "harness/claims/fleet_model.hpp"
#include "harness/claims/what_if.hpp"

namespace chokepoint {

// Copies of a token that leave its node, and those that leave a GPU for another of the same node, per layer.
struct ExpertRows {
  double network = 0.0, link = 0.0;
};

// Of a model whose experts `expert_ranks` GPUs share, nodes full before the next begins; by sampling the
// gate. Throws Error{config} where the experts cannot be shared so.
ExpertRows expert_rows(const FleetModel& model, int expert_ranks, int gpus_per_node);

// Conditions with these rows in place of those of 64 GPUs on 8 nodes.
Conditions with_expert_rows(const Conditions& conditions, const ExpertRows& rows);

// Phases on each of `tensor_ranks` GPUs: an even share of every product, cast and transfer, and gathers and
// scatters over the link around attention, dense network and head, which nothing hides. That products of
// fewer rows are less efficient is left out: that flatters tensor ranks.
TrainingPhases with_tensor_ranks(const FleetModel& model, TrainingPhases phases, const Conditions& conditions,
                                 int tensor_ranks);

// What gradients, parameters and activations between stages get of the network, per s.
double exchange_bytes_per_s(const Conditions& conditions);

}  // namespace chokepoint
