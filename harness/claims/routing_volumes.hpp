// How many nodes and GPUs do a token's experts lie on, and how many rows and bytes cross each wire?
//
// Experts lie in order: with E experts on N nodes of G GPUs, expert e lies on GPU e / (E / (N G)), and a
// routing group is a range of experts. Libraries' "RDMA bandwidth" counts what stays on the sender's own node
// too; such figures are logical here, what crosses the wire is physical, and the types do not mix.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/model/model_architecture.hpp"

namespace chokepoint {

struct RoutingRule {
  std::int64_t experts = 0, top_k = 0;
  std::int64_t groups = 1, group_limit = 1;  // group_limit = groups: no limit
};

RoutingRule routing_rule(const ExpertArchitecture& experts);

struct RankPlacement {
  std::int64_t nodes = 1, gpus_per_node = 8;

  std::int64_t gpus() const { return nodes * gpus_per_node; }
};

// Expected number of distinct bins among `bins` equal ones when `chosen` of `items` are drawn without
// replacement: bins (1 - C(items - items/bins, chosen) / C(items, chosen)). u(k) of 32 experts on 8 GPUs is
// distinct_bins(32, 8, k).
double distinct_bins(std::int64_t items, std::int64_t bins, std::int64_t chosen);

// Averages over tokens, the own node and GPU included.
struct TokenReach {
  double nodes_per_token = 0.0, gpus_per_token = 0.0;
};

// A token takes any top_k experts of any group_limit groups with equal chance. Groups have to span whole
// nodes. Throws Error{config} where experts, groups, nodes and GPUs do not divide each other.
TokenReach uniform_reach(const RoutingRule& rule, const RankPlacement& placement);

// Independent scores per expert; a group's score is the sum of its two best, the best group_limit groups
// stay, and of their experts the best top_k (DeepSeek-V3 technical report, section 2.1.2). Seeded; the same
// everywhere.
TokenReach sampled_reach(const RoutingRule& rule, const RankPlacement& placement, std::int64_t tokens,
                         std::uint64_t seed);

// Leave the sender's node (network) or GPU (link).
struct PhysicalRows {
  double rows = 0.0;
};
// With copies to the sender's own node.
struct LogicalRows {
  double rows = 0.0;
};
struct PhysicalRate {
  double bytes_per_s = 0.0;
};
struct LogicalRate {
  double bytes_per_s = 0.0;
};

// Of `nodes`, all equally likely, one is the sender's own: physical = logical x (nodes - 1) / nodes.
PhysicalRows physical(LogicalRows rows, std::int64_t nodes);
PhysicalRate physical(LogicalRate rate, std::int64_t nodes);
LogicalRate logical(PhysicalRate rate, std::int64_t nodes);

// What one GPU sends per expert layer and direction of the data (dispatch; combine sends as much back). A
// token's row crosses the network once per node, to the GPU of the sender's own number, and the link from
// there once per GPU.
struct TransferRows {
  LogicalRows network_logical;
  PhysicalRows network, link;
};
TransferRows transfer_rows(double tokens, double nodes_per_token, double gpus_per_visited_node,
                           const RankPlacement& placement);

// One hidden state: bf16 as it is; fp8 with an f32 scale per 128 numbers (DeepEP README). Throws
// Error{config} for others.
double row_bytes(std::int64_t hidden, Dtype dtype);

// Time of the slowest over the average, and how that is known.
struct Imbalance {
  double factor = 1.0;
  std::string basis;  // "prior", or which trace it was counted in
};

// Rows of each GPU: `ids` [tokens, top_k] of `experts` experts on `gpus` GPUs. Throws Error{config} where they do not
// divide or an id is no expert.
std::vector<double> rows_of_gpus(std::span<const std::int32_t> ids, std::int64_t experts, std::int64_t gpus);

// Rows of the busiest GPU over the average: `ids` [tokens, top_k] of `experts` experts on `gpus` GPUs.
Imbalance imbalance_of(std::span<const std::int32_t> ids, std::int64_t experts, std::int64_t gpus,
                       std::string basis);

}  // namespace chokepoint
