// Which experts does a token choose, with what weights, and on which machines do they live? Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chokepoint::moe {

enum class Scoring {
  softmax,  // score = softmax of the logits over all experts
  sigmoid,  // score = 1 / (1 + exp(-logit)), selected by score + bias (DeepSeek-V3 report, equations 12-16)
};

// How a gate turns logits into experts and weights.
struct GateRule {
  Scoring scoring = Scoring::softmax;
  std::int64_t experts = 1;
  std::int64_t top_k = 1;
  std::int64_t groups = 1;       // neighbouring experts form a group of experts / groups
  std::int64_t group_limit = 1;  // experts are taken from this many groups at most
  bool renormalise = true;      // weights are divided by the sum over the chosen (Mixtral and DeepSeek-V3 do)
  double routed_scaling = 1.0;  // and multiplied by this

  std::int64_t group_size() const { return experts / groups; }
};

// The functions exist for float and double. `scores`, `selection` and `logits` have one value per expert.

// Scores of logits: what weights are made of.
template <class Real>
void gate_scores(const GateRule& rule, std::span<const Real> logits, std::span<Real> scores);

// The top_k experts with the highest selection scores within the group_limit best groups, best first. A group
// counts the sum of its two highest (of its only one). Ties go to the smaller index, of groups and experts.
template <class Real>
void choose(const GateRule& rule, std::span<const Real> selection, std::span<std::int32_t> ids);

// How clear that choice was: the gap between the worst chosen and the best not chosen, relative to the size
// of the latter; the smaller of that of groups and that of experts within them. Infinite without choice.
template <class Real>
Real choice_margin(const GateRule& rule, std::span<const Real> selection);

// Weights of chosen experts, in the order of `ids`.
template <class Real>
void gate_weights(const GateRule& rule, std::span<const Real> scores, std::span<const std::int32_t> ids,
                  std::span<Real> weights);

// Who owns which expert: rank r has experts from r * experts_per_rank, node n has ranks from n * node_size.
struct Placement {
  std::int64_t experts = 1;
  std::int64_t ep = 1;         // ranks
  std::int64_t node_size = 8;  // ranks that share a scale-up link

  std::int64_t experts_per_rank() const { return experts / ep; }
  std::int64_t rank_of(std::int64_t expert) const { return expert / experts_per_rank(); }
  std::int64_t node_of(std::int64_t rank) const { return rank / node_size; }
  // Rank 0 sends over the network to the rank of the same rail (rank 0 of its node); the others are reached
  // from there over the link. Within node 0 they are reached directly.
  bool over_link(std::int64_t rank) const { return rank % node_size != 0; }
  bool over_network(std::int64_t rank) const { return node_of(rank) != 0; }
};

// Where the experts of one token are, seen from rank 0.
struct Reach {
  std::int64_t nodes = 0;         // distinct nodes, the own one included
  std::int64_t gpus = 0;          // distinct ranks, the own one included
  std::int64_t network_rows = 0;  // distinct other nodes
  std::int64_t link_rows = 0;     // distinct ranks that are not the landing rank of their node

  Reach& operator+=(const Reach& other);
};

Reach reach_of(const Placement& placement, std::span<const std::int32_t> ids);

}  // namespace chokepoint::moe
