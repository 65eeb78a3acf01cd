// Routing: closed forms, the seeded sample, rows and bytes per wire, imbalance.
#include "harness/claims/routing_volumes.hpp"

#include <gtest/gtest.h>

#include <type_traits>

#include "harness/base/error.hpp"
#include "harness/base/routing_trace.hpp"
#include "harness/claims/transfer_time.hpp"
#include "tests/claims/models.hpp"

namespace chokepoint {
namespace {

constexpr RankPlacement kEp64{.nodes = 8, .gpus_per_node = 8};

RoutingRule v3_rule() {
  return routing_rule(shipped_model("deepseek-v3").architecture.value().experts.value());
}

RoutingRule limited_to(std::int64_t groups) {
  RoutingRule rule = v3_rule();
  rule.group_limit = groups;
  return rule;
}

TEST(routing, two_experts_of_a_node_lie_on_1_903_gpus) {
  EXPECT_NEAR(distinct_bins(32, 8, 2), 1.90323, 0.000005);  // 8 (1 - C(28, 2) / C(32, 2)) = 8 x 118 / 496
  EXPECT_EQ(distinct_bins(32, 8, 0), 0);
  EXPECT_NEAR(distinct_bins(32, 8, 1), 1, 1e-12);
  EXPECT_NEAR(distinct_bins(32, 8, 32), 8, 1e-12);
}

// 4 (1 - C(6, 4) / C(8, 4)) = 4 x 55 / 70: two groups on each of 4 nodes.
TEST(routing, four_groups_of_eight_lie_on_3_14_of_4_nodes) {
  EXPECT_NEAR(distinct_bins(8, 4, 4), 22.0 / 7, 1e-12);
}

TEST(routing, a_token_reaches_as_many_nodes_and_gpus_as_published_rules_say) {
  const auto reach = [](std::int64_t groups) { return sampled_reach(limited_to(groups), kEp64, 20'000, 1); };
  EXPECT_NEAR(reach(4).nodes_per_token, 3.97, 0.02);
  EXPECT_NEAR(reach(4).gpus_per_token, 7.50, 0.02);
  EXPECT_NEAR(reach(8).nodes_per_token, 5.30, 0.02);
  EXPECT_NEAR(reach(8).gpus_per_token, 7.68, 0.02);
  EXPECT_NEAR(reach(2).nodes_per_token, 2.0, 0.005);
  EXPECT_NEAR(reach(2).gpus_per_token, 6.8, 0.02);
}

TEST(routing, without_a_limit_the_sample_meets_the_closed_form) {
  const TokenReach exact = uniform_reach(limited_to(8), kEp64),
                   sampled = sampled_reach(limited_to(8), kEp64, 20'000, 7);
  EXPECT_NEAR(exact.nodes_per_token, sampled.nodes_per_token, 0.02);
  EXPECT_NEAR(exact.gpus_per_token, sampled.gpus_per_token, 0.01);
}

TEST(routing, choosing_groups_by_their_best_experts_reaches_more_nodes_than_choosing_them_blindly) {
  EXPECT_NEAR(uniform_reach(v3_rule(), kEp64).nodes_per_token, 3.63, 0.01);
}

TEST(routing, a_seed_decides_the_sample) {
  const TokenReach first = sampled_reach(v3_rule(), kEp64, 500, 1);
  EXPECT_EQ(first.gpus_per_token, sampled_reach(v3_rule(), kEp64, 500, 1).gpus_per_token);
  EXPECT_NE(first.gpus_per_token, sampled_reach(v3_rule(), kEp64, 500, 2).gpus_per_token);
}

// 4096 tokens to 4 nodes, 2 experts on each.
TransferRows v3_rows() { return transfer_rows(4096, 4, distinct_bins(32, 8, 2), kEp64); }

TEST(routing, deepseek_v3_sends_14336_rows_over_the_network_and_27285_over_the_link) {
  EXPECT_EQ(v3_rows().network.rows, 14'336);
  EXPECT_NEAR(v3_rows().link.rows, 27'285, 0.5);
  EXPECT_EQ(v3_rows().network_logical.rows, 16'384);
  EXPECT_NEAR(link_to_network_bytes(v3_rows()), 1.90, 0.005);
}

TEST(routing, rows_of_deepseek_v3_take_7392_bytes_out_and_14336_back) {
  EXPECT_EQ(row_bytes(7168, Dtype::fp8_e4m3), 7392);
  EXPECT_EQ(row_bytes(7168, Dtype::bf16), 14'336);
  EXPECT_NEAR(v3_rows().network.rows * 7392 / 1e6, 106.0, 0.05);
  EXPECT_NEAR(v3_rows().network.rows * 14336 / 1e6, 205.5, 0.05);
  EXPECT_NEAR(v3_rows().link.rows * 7392 / 1e6, 201.7, 0.05);
  EXPECT_NEAR(v3_rows().link.rows * 14336 / 1e6, 391.2, 0.08);
}

// 8192 tokens to 3.14 or 4 nodes; of 4 nodes a quarter stays at home. And 64 tokens to 8 experts each, no two
// rows merged.
TEST(routing, rows_of_serving_take_their_published_bytes) {
  const RankPlacement prefill{.nodes = 4, .gpus_per_node = 8};
  const auto megabytes = [&](double nodes, Dtype dtype) {
    return transfer_rows(8192, nodes, 1, prefill).network_logical.rows * row_bytes(7168, dtype) / 1e6;
  };
  EXPECT_NEAR(megabytes(22.0 / 7, Dtype::fp8_e4m3), 190, 0.5);
  EXPECT_NEAR(megabytes(4, Dtype::fp8_e4m3), 242, 0.5);
  EXPECT_NEAR(megabytes(22.0 / 7, Dtype::bf16), 369, 0.5);
  EXPECT_NEAR(megabytes(4, Dtype::bf16), 470, 0.5);
  const TransferRows rows = transfer_rows(8192, 4, 1, prefill);
  EXPECT_EQ(rows.network.rows / rows.network_logical.rows, 0.75);
  EXPECT_NEAR(64 * 8 * (row_bytes(7168, Dtype::fp8_e4m3) + 16) / 1e6, 3.8, 0.05);
  EXPECT_NEAR(64 * 8 * row_bytes(7168, Dtype::bf16) / 1e6, 7.3, 0.05);
}

TEST(routing, transfers_take_their_bytes_over_the_slower_wire) {
  const WireRates line{.network_bytes_per_s = 50e9, .link_bytes_per_s = 200e9, .network_efficiency = 1.0};
  const WireRates capped{.network_bytes_per_s = 50e9, .link_bytes_per_s = 200e9};
  EXPECT_NEAR(transfer_time(v3_rows(), 7392, line).time_s * 1e3, 2.12, 0.005);
  EXPECT_NEAR(transfer_time(v3_rows(), 14336, line).time_s * 1e3, 4.11, 0.005);
  EXPECT_NEAR(transfer_time(v3_rows(), 7392, capped).time_s * 1e3, 2.65, 0.005);
  EXPECT_NEAR(transfer_time(v3_rows(), 14336, capped).time_s * 1e3, 5.14, 0.005);
  EXPECT_EQ(transfer_time(v3_rows(), 7392, capped).bound, Resource::network);
  const WireRates wide{.network_bytes_per_s = 400e9, .link_bytes_per_s = 200e9};
  EXPECT_NEAR(transfer_time(v3_rows(), 7392, wide).time_s * 1e3, 1.26, 0.005);  // 201.7 MB at 160 GB/s
  EXPECT_NEAR(transfer_time(v3_rows(), 14336, wide).time_s * 1e3, 2.44, 0.01);
  EXPECT_EQ(transfer_time(v3_rows(), 7392, wide).bound, Resource::link);
}

TEST(routing, a_link_binds_only_below_1_9_times_the_network) {
  const auto bound = [](double link) {
    return transfer_time(v3_rows(), 7392, {.network_bytes_per_s = 50e9, .link_bytes_per_s = link}).bound;
  };
  EXPECT_EQ(bound(96e9), Resource::network);
  EXPECT_EQ(bound(94e9), Resource::link);
}

// The trap: figures of libraries count the own node, by 8/7 at 8 nodes, 4/3 at 4 and 2 at 2.
TEST(routing, logical_and_physical_do_not_mix) {
  static_assert(!std::is_convertible_v<LogicalRate, PhysicalRate> &&
                !std::is_convertible_v<PhysicalRate, LogicalRate>);
  static_assert(!std::is_convertible_v<LogicalRows, PhysicalRows> &&
                !std::is_convertible_v<PhysicalRows, LogicalRows>);
  EXPECT_NEAR(logical(PhysicalRate{7e9}, 8).bytes_per_s, 8e9, 1);
  EXPECT_NEAR(logical(PhysicalRate{3e9}, 4).bytes_per_s, 4e9, 1);
  EXPECT_NEAR(physical(LogicalRate{58e9}, 2).bytes_per_s, 29e9, 1);
  EXPECT_THROW(logical(PhysicalRate{1e9}, 1), Error);
}

TEST(routing, imbalance_is_the_busiest_gpu_over_the_average) {
  const std::vector<std::int32_t> ids = {0, 1, 2,
                                         3, 0, 1};  // GPU 0 has experts 0 and 1: 4 rows of 6, average 3
  EXPECT_NEAR(imbalance_of(ids, 4, 2, "here").factor, 4.0 / 3, 1e-12);
  EXPECT_EQ(imbalance_of(ids, 4, 2, "here").basis, "here");
  EXPECT_THROW(imbalance_of(ids, 3, 3, "here"), Error);
  EXPECT_THROW(imbalance_of({}, 4, 2, "here"), Error);
}

TEST(routing, the_shipped_trace_is_skewed) {
  const RoutingTrace trace = load_routing_trace(configs_folder() + "/traces/default.json");
  EXPECT_EQ(std::ssize(trace.ids), trace.tokens * trace.top_k);
  EXPECT_GT(imbalance_of(trace.ids, trace.experts, 64, "trace").factor, 1.1);
  EXPECT_NEAR(imbalance_of(trace.ids, trace.experts, 1, "trace").factor, 1.0, 1e-12);
}

TEST(routing, rules_that_do_not_fit_say_what_is_wrong) {
  EXPECT_THROW(sampled_reach(v3_rule(), {.nodes = 7, .gpus_per_node = 8}, 10, 1), Error);
  RoutingRule rule = v3_rule();
  rule.top_k = 200;  // 4 groups hold 128
  EXPECT_THROW(sampled_reach(rule, kEp64, 10, 1), Error);
  EXPECT_THROW(row_bytes(7168, Dtype::i32), Error);
  EXPECT_THROW(transfer_time(v3_rows(), 7392, {.network_bytes_per_s = 0, .link_bytes_per_s = 1}), Error);
  EXPECT_THROW(
      transfer_time(v3_rows(), 7392, {.network_bytes_per_s = 1, .link_bytes_per_s = 1, .in_place = 1.5}),
      Error);
}

}  // namespace
}  // namespace chokepoint
