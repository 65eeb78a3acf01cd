#include "kernels/moe_layer/routing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace chokepoint::moe {
namespace {

// Index of the highest value that is not taken yet; the smaller index wins ties.
template <class Real>
std::size_t best(std::span<const Real> values, const std::vector<bool>& taken) {
  std::size_t winner = values.size();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!taken[i] && (winner == values.size() || values[i] > values[winner])) winner = i;
  return winner;
}

template <class Real>
std::vector<Real> group_scores(const GateRule& rule, std::span<const Real> selection) {
  const auto groups = static_cast<std::size_t>(rule.groups),
             size = static_cast<std::size_t>(rule.group_size());
  std::vector<Real> scores(groups);
  for (std::size_t group = 0; group < groups; ++group) {
    const std::span<const Real> members = selection.subspan(group * size, size);
    Real first = members[0], second = -std::numeric_limits<Real>::infinity();
    for (std::size_t i = 1; i < size; ++i) {
      second = std::max(second, std::min(first, members[i]));
      first = std::max(first, members[i]);
    }
    scores[group] = size == 1 ? first : first + second;
  }
  return scores;
}

// The `count` best, in order, and how far the worst of them is ahead of the best of the rest.
template <class Real>
struct Ranking {
  std::vector<std::size_t> chosen;
  Real margin = std::numeric_limits<Real>::infinity();
};

template <class Real>
Ranking<Real> rank(std::span<const Real> values, std::size_t count, std::vector<bool> taken) {
  Ranking<Real> ranking;
  for (std::size_t i = 0; i < count; ++i) {
    ranking.chosen.push_back(best(values, taken));
    taken[ranking.chosen.back()] = true;
  }
  const std::size_t loser = best(values, taken);
  if (loser == values.size()) return ranking;
  const Real gap = values[ranking.chosen.back()] - values[loser], size = std::abs(values[loser]);
  ranking.margin = size > 0 ? gap / size : gap > 0 ? std::numeric_limits<Real>::infinity() : Real{0};
  return ranking;
}

template <class Real>
Ranking<Real> rank_experts(const GateRule& rule, std::span<const Real> selection) {
  std::vector<bool> barred(selection.size(), false);
  Real group_margin = std::numeric_limits<Real>::infinity();
  if (rule.group_limit < rule.groups) {
    const std::vector<Real> groups = group_scores(rule, selection);
    const Ranking<Real> allowed = rank<Real>(groups, static_cast<std::size_t>(rule.group_limit),
                                             std::vector<bool>(groups.size(), false));
    barred.assign(selection.size(), true);
    const auto size = static_cast<std::ptrdiff_t>(rule.group_size());
    for (std::size_t group : allowed.chosen)
      std::fill_n(barred.begin() + static_cast<std::ptrdiff_t>(group) * size, size, false);
    group_margin = allowed.margin;
  }
  Ranking<Real> experts = rank(selection, static_cast<std::size_t>(rule.top_k), std::move(barred));
  experts.margin = std::min(experts.margin, group_margin);
  return experts;
}

}  // namespace

template <class Real>
void gate_scores(const GateRule& rule, std::span<const Real> logits, std::span<Real> scores) {
  if (rule.scoring == Scoring::sigmoid) {
    std::transform(logits.begin(), logits.end(), scores.begin(),
                   [](Real logit) { return Real{1} / (Real{1} + std::exp(-logit)); });
    return;
  }
  const Real largest = *std::max_element(logits.begin(), logits.end());
  Real sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) sum += scores[i] = std::exp(logits[i] - largest);
  for (Real& score : scores) score /= sum;
}

template <class Real>
void choose(const GateRule& rule, std::span<const Real> selection, std::span<std::int32_t> ids) {
  const Ranking<Real> ranking = rank_experts(rule, selection);
  std::transform(ranking.chosen.begin(), ranking.chosen.end(), ids.begin(),
                 [](std::size_t expert) { return static_cast<std::int32_t>(expert); });
}

template <class Real>
Real choice_margin(const GateRule& rule, std::span<const Real> selection) {
  return rank_experts(rule, selection).margin;
}

template <class Real>
void gate_weights(const GateRule& rule, std::span<const Real> scores, std::span<const std::int32_t> ids,
                  std::span<Real> weights) {
  Real sum = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) sum += weights[i] = scores[static_cast<std::size_t>(ids[i])];
  for (Real& weight : weights) {
    // Scores that all underflow to 0 share alike.
    if (rule.renormalise) weight = sum > 0 ? weight / sum : Real{1} / static_cast<Real>(ids.size());
    weight *= static_cast<Real>(rule.routed_scaling);
  }
}

template void gate_scores<float>(const GateRule&, std::span<const float>, std::span<float>);
template void gate_scores<double>(const GateRule&, std::span<const double>, std::span<double>);
template void choose<float>(const GateRule&, std::span<const float>, std::span<std::int32_t>);
template void choose<double>(const GateRule&, std::span<const double>, std::span<std::int32_t>);
template float choice_margin<float>(const GateRule&, std::span<const float>);
template double choice_margin<double>(const GateRule&, std::span<const double>);
template void gate_weights<float>(const GateRule&, std::span<const float>, std::span<const std::int32_t>,
                                  std::span<float>);
template void gate_weights<double>(const GateRule&, std::span<const double>, std::span<const std::int32_t>,
                                   std::span<double>);

Reach& Reach::operator+=(const Reach& other) {
  nodes += other.nodes;
  gpus += other.gpus;
  network_rows += other.network_rows;
  link_rows += other.link_rows;
  return *this;
}

Reach reach_of(const Placement& placement, std::span<const std::int32_t> ids) {
  std::vector<std::int64_t> ranks, nodes;
  for (std::int32_t expert : ids) ranks.push_back(placement.rank_of(expert));
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  for (std::int64_t rank : ranks) nodes.push_back(placement.node_of(rank));
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  Reach reach{.nodes = std::ssize(nodes), .gpus = std::ssize(ranks)};
  for (std::int64_t node : nodes) reach.network_rows += node != 0 ? 1 : 0;
  for (std::int64_t rank : ranks) reach.link_rows += placement.over_link(rank) ? 1 : 0;
  return reach;
}

}  // namespace chokepoint::moe
