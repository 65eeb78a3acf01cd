// Does the gate choose as its definition says, and are the counts of nodes, GPUs and rows those of the
// literature?
#include "kernels/moe_layer/routing.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness/base/random.hpp"

namespace chokepoint::moe {
namespace {

using Ids = std::vector<std::int32_t>;

Ids chosen(const GateRule& rule, const std::vector<double>& selection) {
  Ids ids(static_cast<std::size_t>(rule.top_k));
  choose<double>(rule, selection, ids);
  return ids;
}

// C(n, k) / C(m, k)
double choices_ratio(int n, int m, int k) {
  double ratio = 1.0;
  for (int i = 0; i < k; ++i) ratio *= static_cast<double>(n - i) / (m - i);
  return ratio;
}

TEST(routing, softmax_weights_of_the_chosen_are_renormalised) {
  GateRule rule{.experts = 3, .top_k = 2};
  const std::vector<double> logits = {std::log(1.0), std::log(3.0), std::log(2.0)};
  std::vector<double> scores(3), weights(2);
  gate_scores<double>(rule, logits, scores);
  EXPECT_NEAR(scores[0], 1.0 / 6, 1e-12);
  EXPECT_NEAR(scores[1], 3.0 / 6, 1e-12);
  const Ids ids = chosen(rule, scores);
  EXPECT_EQ(ids, (Ids{1, 2}));
  gate_weights<double>(rule, scores, ids, weights);
  EXPECT_NEAR(weights[0], 0.6, 1e-12);  // 3 / (3 + 2)
  EXPECT_NEAR(weights[1], 0.4, 1e-12);
  rule.renormalise = false;
  rule.routed_scaling = 2.0;
  gate_weights<double>(rule, scores, ids, weights);
  EXPECT_NEAR(weights[0], 1.0, 1e-12);  // 3 / 6 * 2
}

TEST(routing, softmax_of_large_logits_is_finite) {
  const std::vector<float> logits = {1000.0F, 999.0F, -1000.0F};
  std::vector<float> scores(3);
  gate_scores<float>({.experts = 3}, logits, scores);
  EXPECT_NEAR(scores[0], 1 / (1 + std::exp(-1.0F)), 1e-6F);
  EXPECT_EQ(scores[2], 0.0F);
}

TEST(routing, sigmoid_selects_with_bias_and_weighs_without) {
  const GateRule rule{.scoring = Scoring::sigmoid, .experts = 3, .top_k = 2, .routed_scaling = 2.5};
  const std::vector<double> logits = {0.0, std::log(3.0), -std::log(3.0)};  // scores 0.5, 0.75, 0.25
  std::vector<double> scores(3), weights(2);
  gate_scores<double>(rule, logits, scores);
  EXPECT_NEAR(scores[1], 0.75, 1e-12);
  const std::vector<double> selection = {scores[0], scores[1],
                                         scores[2] + 0.3};  // the bias lifts expert 2 over 0
  const Ids ids = chosen(rule, selection);
  EXPECT_EQ(ids, (Ids{1, 2}));
  gate_weights<double>(rule, scores, ids, weights);
  EXPECT_NEAR(weights[0], 0.75 / (0.75 + 0.25) * 2.5, 1e-12);
  EXPECT_NEAR(weights[1], 0.25 / (0.75 + 0.25) * 2.5, 1e-12);
}

TEST(routing, scores_that_underflow_share_alike) {
  const GateRule rule{.scoring = Scoring::sigmoid, .experts = 4, .top_k = 2};
  const std::vector<float> scores(4, 0.0F);
  std::vector<float> weights(2);
  gate_weights<float>(rule, scores, Ids{0, 1}, weights);
  EXPECT_EQ(weights, (std::vector<float>{0.5F, 0.5F}));
}

TEST(routing, only_the_best_groups_are_searched) {
  // Groups {0,1} {2,3} {4,5} have sums 1.0, 1.1, 0.9: expert 4 has the highest score but its group is the
  // worst.
  const GateRule rule{.experts = 6, .top_k = 2, .groups = 3, .group_limit = 2};
  EXPECT_EQ(chosen(rule, {0.7, 0.3, 0.55, 0.55, 0.85, 0.05}), (Ids{0, 2}));
  GateRule all = rule;
  all.group_limit = 3;
  EXPECT_EQ(chosen(all, {0.7, 0.3, 0.55, 0.55, 0.85, 0.05}), (Ids{4, 0}));
}

TEST(routing, a_group_counts_its_two_best_only) {
  // Sums of two: 0.9 and 1.0; sums of all three: 1.3 and 1.0; best alone: 0.5 and 0.9.
  const GateRule rule{.experts = 6, .top_k = 1, .groups = 2, .group_limit = 1};
  EXPECT_EQ(chosen(rule, {0.5, 0.4, 0.4, 0.9, 0.1, 0.0}), (Ids{3}));
  EXPECT_EQ(chosen(rule, {0.6, 0.5, 0.0, 0.9, 0.1, 0.0}), (Ids{0}));
}

TEST(routing, groups_of_one_expert_count_that_expert) {
  const GateRule rule{.experts = 3, .top_k = 2, .groups = 3, .group_limit = 2};
  EXPECT_EQ(chosen(rule, {-0.5, 0.1, -0.2}), (Ids{1, 2}));
}

TEST(routing, ties_go_to_the_smaller_index) {
  EXPECT_EQ(chosen({.experts = 4, .top_k = 3}, {0.5, 0.7, 0.5, 0.7}), (Ids{1, 3, 0}));
  EXPECT_EQ(chosen({.experts = 4, .top_k = 1, .groups = 2, .group_limit = 1}, {0.2, 0.8, 0.4, 0.6}),
            (Ids{1}));
  EXPECT_EQ(chosen({.experts = 5, .top_k = 5}, {0, 0, 0, 0, 0}), (Ids{0, 1, 2, 3, 4}));
}

TEST(routing, the_margin_is_the_smallest_relative_gap) {
  const auto margin = [](const GateRule& rule, const std::vector<double>& selection) {
    return choice_margin<double>(rule, selection);
  };
  EXPECT_NEAR(margin({.experts = 3, .top_k = 1}, {1.0, 0.8, 0.1}), 0.25, 1e-12);
  EXPECT_NEAR(margin({.experts = 3, .top_k = 2}, {1.0, 0.8, 0.1}), 7.0, 1e-12);
  // Groups sum to 1.0 and 0.9; within the first, 0.8 against 0.2.
  EXPECT_NEAR(margin({.experts = 4, .top_k = 1, .groups = 2, .group_limit = 1}, {0.8, 0.2, 0.5, 0.4}),
              1.0 / 9, 1e-12);
  EXPECT_EQ(margin({.experts = 2, .top_k = 2}, {0.3, 0.3}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(margin({.experts = 2, .top_k = 1}, {0.0, 0.0}), 0.0);
}

TEST(routing, rows_are_counted_once_per_node_and_rank) {
  // 32 experts on 16 ranks of 2, two nodes of 8. Ranks: 0 (own), 1 and 1 (own node), 8 (landing of node 1), 9
  // and 15.
  const Placement placement{.experts = 32, .ep = 16, .node_size = 8};
  const Reach reach = reach_of(placement, Ids{0, 2, 3, 16, 18, 31});
  EXPECT_EQ(reach.nodes, 2);
  EXPECT_EQ(reach.gpus, 5);
  EXPECT_EQ(reach.network_rows, 1);
  EXPECT_EQ(reach.link_rows, 3);  // ranks 1, 9, 15
}

TEST(routing, without_remote_ranks_nothing_travels) {
  const Reach alone = reach_of({.experts = 8, .ep = 1}, Ids{0, 3, 7});
  EXPECT_EQ(alone.gpus, 1);
  EXPECT_EQ(alone.network_rows + alone.link_rows, 0);
  const Reach single = reach_of({.experts = 8, .ep = 8, .node_size = 1}, Ids{0, 3, 7});
  EXPECT_EQ(single.link_rows, 0);  // every rank is its node's landing rank
  EXPECT_EQ(single.network_rows, 2);
}

// u(k) = 8 * (1 - C(28, k) / C(32, k)): ranks hit by k of the 32 experts of a node of 8 ranks. u(2) = 1.903.
TEST(routing, ranks_per_node_follow_the_closed_form) {
  const Placement placement{.experts = 32, .ep = 8};
  double pairs = 0, gpus = 0;
  for (std::int32_t a = 0; a < 32; ++a)
    for (std::int32_t b = a + 1; b < 32; ++b)
      pairs += 1, gpus += static_cast<double>(reach_of(placement, Ids{a, b}).gpus);
  EXPECT_NEAR(gpus / pairs, 8 * (1 - choices_ratio(28, 32, 2)), 1e-12);
  EXPECT_NEAR(gpus / pairs, 1.903, 5e-4);
}

struct Mean {
  double nodes, gpus, network_rows, link_rows;
};

// DeepSeek-V3: 256 experts, 8 groups, top-8, on 64 ranks in nodes of 8, with independent normal logits.
Mean v3_reach(std::int64_t group_limit) {
  const GateRule rule{
      .scoring = Scoring::sigmoid, .experts = 256, .top_k = 8, .groups = 8, .group_limit = group_limit};
  const Placement placement{.experts = 256, .ep = 64, .node_size = 8};
  constexpr std::uint64_t kTokens = 8000;
  Reach total;
  std::vector<double> logits(256), scores(256);
  for (std::uint64_t token = 0; token < kTokens; ++token) {
    for (std::uint64_t e = 0; e < 256; ++e) {  // Box and Muller
      const double u = random_unit(11, 2 * e, token) + 0x1p-54, v = random_unit(11, 2 * e + 1, token);
      logits[e] = std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
    }
    gate_scores<double>(rule, logits, scores);
    total += reach_of(placement, chosen(rule, scores));
  }
  const auto mean = [](std::int64_t count) { return static_cast<double>(count) / kTokens; };
  return {mean(total.nodes), mean(total.gpus), mean(total.network_rows), mean(total.link_rows)};
}

TEST(routing, deepseek_v3_reaches_four_nodes_and_seven_and_a_half_gpus) {
  const Mean limited = v3_reach(4);
  EXPECT_NEAR(limited.nodes, 3.97, 0.01);
  EXPECT_NEAR(limited.gpus, 7.50, 0.03);
  EXPECT_NEAR(limited.network_rows, 3.97 * 7 / 8, 0.03);  // one node in eight is the own one
  EXPECT_NEAR(limited.link_rows, 7.50 * 7 / 8, 0.04);     // one rank in eight is a landing rank
}

TEST(routing, without_a_limit_more_nodes_are_reached) {
  const Mean free = v3_reach(8);
  EXPECT_NEAR(free.nodes, 8 * (1 - choices_ratio(224, 256, 8)), 0.04);  // 5.295
  EXPECT_NEAR(free.gpus, 64 * (1 - choices_ratio(252, 256, 8)), 0.02);  // 7.68
  const Mean tight = v3_reach(2);
  EXPECT_NEAR(tight.nodes, 2.0, 0.01);
  EXPECT_NEAR(tight.gpus, 6.8, 0.04);
}

}  // namespace
}  // namespace chokepoint::moe
