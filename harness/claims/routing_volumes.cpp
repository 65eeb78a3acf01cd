#include "harness/claims/routing_volumes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

constexpr std::uint64_t kScores = 0x726f757465;  // stream of the scores

void require_divides(const char* what, std::int64_t whole, std::int64_t parts) {
  if (parts > 0 && whole % parts == 0) return;
  throw Error(Fault::config, fmt::format("{}: {} does not divide {}", what, parts, whole),
              "correct one of the two");
}

void require_rule(const RoutingRule& rule, const RankPlacement& placement) {
  require_divides("experts by GPUs", rule.experts, placement.gpus());
  require_divides("experts by groups", rule.experts, rule.groups);
  const std::int64_t reachable = rule.group_limit * (rule.experts / rule.groups);
  if (rule.top_k < 1 || rule.group_limit < 1 || rule.group_limit > rule.groups || rule.top_k > reachable)
    throw Error(Fault::config,
                fmt::format("top_k is {} and group_limit {} of {} groups, which hold {} experts", rule.top_k,
                            rule.group_limit, rule.groups, reachable),
                "lower top_k, or raise group_limit");
}

// The experts of one token, from its scores.
class Choice {
 public:
  explicit Choice(const RoutingRule& rule)
      : rule_(rule), scores_(at(rule.experts)), order_(at(rule.experts)) {}

  std::span<const std::int64_t> draw(std::uint64_t seed, std::uint64_t token) {
    const auto experts = static_cast<std::uint64_t>(rule_.experts);
    for (std::uint64_t e = 0; e < experts; ++e) scores_[e] = random_unit(seed, kScores, token * experts + e);
    keep_best_groups();
    const auto by_score = [&](std::int64_t a, std::int64_t b) { return scores_[at(a)] > scores_[at(b)]; };
    std::partial_sort(order_.begin(), order_.begin() + rule_.top_k, order_.end(), by_score);
    return std::span(order_).first(at(rule_.top_k));
  }

 private:
  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

  double group_score(std::int64_t group) const {
    const std::int64_t size = rule_.experts / rule_.groups;
    double best = 0.0, second = 0.0;
    for (std::int64_t e = group * size; e < (group + 1) * size; ++e) {
      const double score = scores_[at(e)];
      if (score > best)
        second = std::exchange(best, score);
      else
        second = std::max(second, score);
    }
    return best + second;
  }

  // Leaves the experts of the best groups in order_.
  void keep_best_groups() {
    std::vector<std::pair<double, std::int64_t>> groups;
    for (std::int64_t group = 0; group < rule_.groups; ++group)
      groups.emplace_back(-group_score(group), group);
    std::partial_sort(groups.begin(), groups.begin() + rule_.group_limit, groups.end());
    order_.clear();
    const std::int64_t size = rule_.experts / rule_.groups;
    for (std::int64_t i = 0; i < rule_.group_limit; ++i)
      for (std::int64_t e = 0; e < size; ++e) order_.push_back(groups[at(i)].second * size + e);
  }

  RoutingRule rule_;
  std::vector<double> scores_;
  std::vector<std::int64_t> order_;
};

std::int64_t distinct(std::vector<std::int64_t>& values) {
  std::sort(values.begin(), values.end());
  return std::unique(values.begin(), values.end()) - values.begin();
}

double share_off_node(std::int64_t nodes) {
  if (nodes < 1) throw Error(Fault::config, fmt::format("there are {} nodes", nodes), "name at least one");
  return static_cast<double>(nodes - 1) / static_cast<double>(nodes);
}

}  // namespace

RoutingRule routing_rule(const ExpertArchitecture& experts) {
  return {experts.count, experts.top_k, experts.groups, experts.group_limit};
}

double distinct_bins(std::int64_t items, std::int64_t bins, std::int64_t chosen) {
  require_divides("items by bins", items, bins);
  if (chosen < 0 || chosen > items)
    throw Error(Fault::config, fmt::format("{} of {} items cannot be chosen", chosen, items), "choose fewer");
  const std::int64_t elsewhere = items - items / bins;
  double missed = 1.0;  // C(elsewhere, chosen) / C(items, chosen)
  for (std::int64_t i = 0; i < chosen; ++i)
    missed *= static_cast<double>(std::max<std::int64_t>(elsewhere - i, 0)) / static_cast<double>(items - i);
  return static_cast<double>(bins) * (1.0 - missed);
}

TokenReach uniform_reach(const RoutingRule& rule, const RankPlacement& placement) {
  require_rule(rule, placement);
  require_divides("nodes by groups", placement.nodes, rule.groups);
  const std::int64_t reachable = rule.experts / rule.groups * rule.group_limit;
  return {distinct_bins(reachable, placement.nodes / rule.groups * rule.group_limit, rule.top_k),
          distinct_bins(reachable, placement.gpus() / rule.groups * rule.group_limit, rule.top_k)};
}

TokenReach sampled_reach(const RoutingRule& rule, const RankPlacement& placement, std::int64_t tokens,
                         std::uint64_t seed) {
  require_rule(rule, placement);
  if (tokens < 1)
    throw Error(Fault::config, fmt::format("{} tokens cannot be sampled", tokens), "sample at least one");
  const std::int64_t per_gpu = rule.experts / placement.gpus();
  Choice choice(rule);
  std::int64_t nodes = 0, gpus = 0;
  std::vector<std::int64_t> where;
  for (std::int64_t token = 0; token < tokens; ++token) {
    where.clear();
    for (const std::int64_t expert : choice.draw(seed, static_cast<std::uint64_t>(token)))
      where.push_back(expert / per_gpu);
    gpus += distinct(where);
    for (std::int64_t& gpu : where) gpu /= placement.gpus_per_node;
    nodes += distinct(where);
  }
  return {static_cast<double>(nodes) / static_cast<double>(tokens),
          static_cast<double>(gpus) / static_cast<double>(tokens)};
}

PhysicalRows physical(LogicalRows rows, std::int64_t nodes) { return {rows.rows * share_off_node(nodes)}; }
PhysicalRate physical(LogicalRate rate, std::int64_t nodes) {
  return {rate.bytes_per_s * share_off_node(nodes)};
}
LogicalRate logical(PhysicalRate rate, std::int64_t nodes) {
  if (nodes < 2)
    throw Error(Fault::config, "one node has no network traffic to convert", "name at least 2 nodes");
  return {rate.bytes_per_s / share_off_node(nodes)};
}

TransferRows transfer_rows(double tokens, double nodes_per_token, double gpus_per_visited_node,
                           const RankPlacement& placement) {
  TransferRows transfer;
  transfer.network_logical = {tokens * nodes_per_token};
  transfer.network = physical(transfer.network_logical, placement.nodes);
  const double others =
      static_cast<double>(placement.gpus_per_node - 1) / static_cast<double>(placement.gpus_per_node);
  transfer.link = {tokens * nodes_per_token * gpus_per_visited_node * others};
  return transfer;
}

double row_bytes(std::int64_t hidden, Dtype dtype) {
  const double numbers = static_cast<double>(hidden);
  if (dtype == Dtype::bf16) return 2.0 * numbers;
  if (dtype == Dtype::fp8_e4m3) return numbers + numbers / 128.0 * 4.0;
  throw Error(Fault::config, fmt::format("rows are not sent in {}", to_string(dtype)),
              "name bf16 or fp8_e4m3");
}

std::vector<double> rows_of_gpus(std::span<const std::int32_t> ids, std::int64_t experts, std::int64_t gpus) {
  require_divides("experts by GPUs", experts, gpus);
  std::vector<double> rows(static_cast<std::size_t>(gpus), 0.0);
  for (const std::int32_t expert : ids) {
    if (expert < 0 || expert >= experts)
      throw Error(Fault::config, fmt::format("expert {} is none of {}", expert, experts),
                  "name the trace's own number");
    ++rows[static_cast<std::size_t>(expert / (experts / gpus))];
  }
  return rows;
}

Imbalance imbalance_of(std::span<const std::int32_t> ids, std::int64_t experts, std::int64_t gpus,
                       std::string basis) {
  const std::vector<double> rows = rows_of_gpus(ids, experts, gpus);
  if (ids.empty())
    throw Error(Fault::config, "a trace without tokens has no imbalance", "name another trace");
  const double mean = static_cast<double>(ids.size()) / static_cast<double>(gpus);
  return {*std::max_element(rows.begin(), rows.end()) / mean, std::move(basis)};
}

}  // namespace chokepoint
