// Plans for a fleet: what a GPU holds, what fails which limit, and that the cheapest plan found is the
// cheapest there is.
#include "harness/claims/fleet.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "harness/base/error.hpp"
#include "harness/claims/fleet_phases.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

FleetPlan published_plan() { return {2048, 1, 64, {Schedule::dualpipe, 16, 120}}; }

FleetVerdict verdict(const FleetPlan& plan, const FleetLimits& limits = {},
                     const Conditions& conditions = {}) {
  return cost_of_plan(plan, dsv3_fleet_basis(), limits, conditions);
}

// A limit's name, or "" where the plan is within all.
std::string failure(const FleetPlan& plan, const FleetLimits& limits = {}) {
  const FleetVerdict result = verdict(plan, limits);
  EXPECT_NE(result.fails.has_value(), result.cost.has_value());
  return result.fails ? std::string(to_string(*result.fails)) : "";
}

double hours(const FleetPlan& plan, const Conditions& conditions = {}) {
  return verdict(plan, {}, conditions).cost.value().gpu_hours_per_trillion_tokens;
}

StageLayout published_layout() { return fleet_layout({}, published_plan().pipeline, trace_phases()); }

TEST(fleet, the_most_even_layout_of_16_stages_is_that_of_the_published_run) {
  EXPECT_EQ(published_layout(), dsv3_rank0_shared_ends());
}

TEST(fleet, layouts_keep_all_layers_and_heads_whatever_the_stages) {
  for (int stages = 1; stages <= layout_pieces(3, 58, 1); ++stages) {
    StageContents sum;
    const StageLayout layout = balanced_layout(stages, 3, 58, 1, {31.0, 30.0, 37.0, 3.0});
    for (const StageContents& stage : layout) {
      sum.expert_layers += stage.expert_layers, sum.dense_layers += stage.dense_layers;
      sum.heads += stage.heads, sum.projections += stage.projections;
      EXPECT_NE(stage, StageContents{}) << stages;
    }
    EXPECT_EQ(sum, (StageContents{.expert_layers = 59, .dense_layers = 3, .heads = 2, .projections = 1}))
        << stages;
  }
  EXPECT_THROW(balanced_layout(65, 3, 58, 1, {31.0, 30.0, 37.0, 3.0}), Error);
}

TEST(fleet, no_other_cut_into_few_stages_is_more_even) {
  // Five pieces of 3, 3, 2, 2 and a head of 4 in three stages: 3+3 | 2+2 | 4 takes 6, and so does no other
  // cut less.
  const StageLayout layout =
      balanced_layout(3, 2, 2, 0, {.expert_layer_s = 2, .dense_layer_s = 3, .head_s = 4});
  EXPECT_EQ(layout, (StageLayout{{.dense_layers = 2}, {.expert_layers = 2}, {.heads = 1}}));
}

TEST(fleet, a_middle_rank_of_the_published_run_holds_what_was_derived_for_it) {
  const HeldParameters held = held_parameters({}, published_plan(), published_layout(), 7);
  EXPECT_NEAR(held.expert, 1.409e9, 0.001e9);
  EXPECT_NEAR(held.other, 1.864e9, 0.001e9);
}

TEST(fleet, memory_is_weights_gradients_optimizer_and_activations) {
  // Without the ends' embedding and heads every rank is like the middle ones: 6.5 + 13.1 + 2.9 GB, and 17
  // chunks of four layers with 95 KB per token and layer are 26.5 GB.
  FleetModel even;
  even.dense_layers = even.prediction_layers = 0;
  even.expert_layers = 64;
  even.head_parameters = 0;
  const StageLayout layout = uniform_layout(16, 4);
  const Pipeline pipeline(published_plan().pipeline);
  EXPECT_NEAR(memory_bytes(even, published_plan(), layout, pipeline), 22.5e9 + 26.5e9, 0.1e9);
}

TEST(fleet, the_published_run_fits_in_80_gb_with_its_ends_on_one_rank) {
  const double bytes = verdict(published_plan()).cost.value().memory_bytes;
  EXPECT_GT(bytes, 50e9);
  EXPECT_LT(bytes, 80e9);
}

TEST(fleet, exchanged_bytes_of_the_published_run) {
  // A middle rank's are 11.7 GB, 0.26 s at 45 GB/s; the mean's, ends included, 0.28. Published: 0.29 s.
  FleetModel even;
  even.dense_layers = even.prediction_layers = 0;
  even.head_parameters = 0;
  EXPECT_NEAR(exchanged_bytes(even, published_plan(), uniform_layout(16, 4)), 11.7e9, 0.05e9);
  EXPECT_NEAR(exchanged_bytes({}, published_plan(), published_layout()) / exchange_bytes_per_s({}), 0.28,
              0.005);
}

TEST(fleet, the_published_plan_costs_what_its_own_model_says) {
  EXPECT_NEAR(hours(published_plan()), 174.4e3, 0.002 * 174.4e3);
}

TEST(fleet, a_faster_link_does_nothing_for_expert_ranks_and_much_for_tensor_ranks) {
  Conditions fast;
  fast.link_bytes_per_s = 450e9;
  EXPECT_EQ(hours(published_plan(), fast), hours(published_plan()));
  const FleetPlan tensor{2048, 8, 64, {Schedule::dualpipe, 8, 240}};
  EXPECT_LT(hours(tensor, fast), 0.96 * hours(tensor));
}

TEST(fleet, experts_on_one_node_leave_the_network_alone) {
  const ExpertRows rows = expert_rows({}, 8, 8);
  EXPECT_EQ(rows.network, 0.0);
  EXPECT_NEAR(rows.link, 3.95 * 7 / 8,
              0.02);  // each GPU holds a group, and a token takes experts of four at most
  Conditions slow;
  slow.network_bytes_per_s = 25e9;
  const FleetPlan on_node{2048, 1, 8, {Schedule::dualpipev, 16, 120}};
  EXPECT_LT(hours(on_node, slow) / hours(on_node), 1.05);  // hops and optimizer
  EXPECT_GT(hours(published_plan(), slow) / hours(published_plan()), 1.4);
}

TEST(fleet, more_nodes_mean_more_copies_until_four_groups_are_reached) {
  double before = 0.0;
  for (int ranks : {8, 16, 32, 64, 128, 256}) {
    const double network = expert_rows({}, ranks, 8).network;
    EXPECT_GE(network, before) << ranks;
    before = network;
  }
  EXPECT_NEAR(expert_rows({}, 64, 8).network, 3.97 * 7 / 8, 0.025);  // published, from another sample
}

TEST(fleet, each_limit_is_named) {
  EXPECT_EQ(failure(published_plan()), "");
  EXPECT_EQ(failure({2050, 1, 64, {Schedule::dualpipe, 16, 120}}), "division");
  EXPECT_EQ(failure({2048, 16, 64, {Schedule::dualpipe, 16, 120}}), "node");
  EXPECT_EQ(failure({4096, 1, 64, {Schedule::interleaved, 32, 64, 4}}), "layers");
  EXPECT_EQ(failure({2048, 1, 64, {Schedule::dualpipe, 16, 30}}), "schedule");
  EXPECT_EQ(failure({2048, 1, 48, {Schedule::dualpipe, 16, 120}}), "experts");
  EXPECT_EQ(failure({2048, 1, 12, {Schedule::dualpipe, 16, 120}}), "experts");
  EXPECT_EQ(failure({2048, 1, 256, {Schedule::dualpipe, 16, 120}}), "experts");  // 128 GPUs of a stage
  EXPECT_EQ(failure({2048, 1, 64, {Schedule::dualpipe, 16, 122}}), "batch");
  EXPECT_EQ(failure({2048, 1, 64, {Schedule::one_f_one_b, 2, 8}}), "memory");
  EXPECT_EQ(failure(published_plan(), {.memory_bytes = 50e9}), "memory");
  EXPECT_EQ(failure(published_plan(), {.sequences_per_step = 10000}), "batch");
  EXPECT_EQ(failure({2048, 16, 64, {Schedule::dualpipe, 16, 32}}, {.gpus_per_node = 16}), "");
}

FleetSpace small_space() {
  return {.gpus = {1024, 2048},
          .tensor_ranks = {1, 2},
          .expert_ranks = {8, 48, 64},
          .pipeline_ranks = {4, 16},
          .micro_batches = {32, 120},
          .chunks_per_rank = {2}};
}

std::vector<Conditions> two_links() {
  std::vector<Conditions> conditions(2);
  conditions[1].link_bytes_per_s = 50e9;
  return conditions;
}

TEST(fleet, the_search_finds_what_trying_every_plan_alone_finds) {
  FleetSpace space = small_space();
  space.pipeline_ranks = {16};
  space.gpus = {2048};
  const std::vector<Conditions> conditions = two_links();
  for (const FleetPoint& point : search_fleet(space, dsv3_fleet_basis(), {}, conditions)) {
    double cheapest = 1e30;
    std::array<std::int64_t, kFleetLimits> rejected = {};
    for (const PipelinePlan& pipeline : space.pipelines())
      for (int tensor : space.tensor_ranks)
        for (int expert : space.expert_ranks) {
          const FleetVerdict alone =
              verdict({point.gpus, tensor, expert, pipeline}, {}, conditions[point.conditions]);
          if (alone.fails) ++rejected[static_cast<int>(*alone.fails)];
          if (alone.cost) cheapest = std::min(cheapest, alone.cost->gpu_hours_per_trillion_tokens);
        }
    ASSERT_TRUE(point.best);
    EXPECT_EQ(point.best->gpu_hours_per_trillion_tokens, cheapest);
    EXPECT_EQ(point.rejected, rejected);
    EXPECT_EQ(point.plans(), space.plans_per_point());
  }
}

TEST(fleet, a_search_gives_points_by_fleet_then_conditions_and_the_same_every_time) {
  const std::vector<FleetPoint> first = search_fleet(small_space(), dsv3_fleet_basis(), {}, two_links());
  const std::vector<FleetPoint> second = search_fleet(small_space(), dsv3_fleet_basis(), {}, two_links());
  ASSERT_EQ(first.size(), 4u);
  EXPECT_EQ(first[1].gpus, 1024);
  EXPECT_EQ(first[1].conditions, 1u);
  EXPECT_EQ(first[2].gpus, 2048);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].best->step_s, second[i].best->step_s);
    EXPECT_EQ(first[i].best->plan.expert_ranks, second[i].best->plan.expert_ranks);
  }
}

TEST(fleet, a_slower_link_never_makes_the_cheapest_plan_cheaper) {
  std::vector<Conditions> conditions(4);
  for (std::size_t i = 0; i < 4; ++i) conditions[i].link_bytes_per_s = 400e9 / (1 << i);
  const std::vector<FleetPoint> points = search_fleet(small_space(), dsv3_fleet_basis(), {}, conditions);
  for (std::size_t i = 1; i < 4; ++i)
    EXPECT_GE(points[i].best->gpu_hours_per_trillion_tokens,
              points[i - 1].best->gpu_hours_per_trillion_tokens);
}

TEST(fleet, the_best_of_each_number_of_tensor_ranks_is_kept_apart) {
  for (const FleetPoint& point : search_fleet(small_space(), dsv3_fleet_basis(), {}, two_links())) {
    ASSERT_EQ(point.best_by_tensor_ranks.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) {
      if (!point.best_by_tensor_ranks[i]) continue;
      EXPECT_EQ(point.best_by_tensor_ranks[i]->plan.tensor_ranks, small_space().tensor_ranks[i]);
      EXPECT_GE(point.best_by_tensor_ranks[i]->gpu_hours_per_trillion_tokens,
                point.best->gpu_hours_per_trillion_tokens);
    }
  }
}

TEST(fleet, where_no_plan_fits_there_is_no_best_and_the_counts_say_why) {
  FleetSpace space = small_space();
  const std::vector<FleetPoint> points =
      search_fleet(space, dsv3_fleet_basis(), {.memory_bytes = 1e9}, {Conditions{}});
  for (const FleetPoint& point : points) {
    EXPECT_FALSE(point.best);
    EXPECT_EQ(point.within_limits, 0);
    EXPECT_GT(point.rejected[static_cast<int>(FleetLimit::memory)], 0);
  }
  space.gpus.clear();
  EXPECT_THROW(search_fleet(space, dsv3_fleet_basis(), {}, {Conditions{}}), Error);
  EXPECT_THROW(search_fleet(small_space(), dsv3_fleet_basis(), {}, {}), Error);
}

TEST(fleet, the_default_space_has_over_100_thousand_plans_for_two_links) {
  const FleetSpace space;
  EXPECT_GT(space.plans_per_point() * static_cast<std::int64_t>(space.gpus.size()) * 2, 100000);
}

}  // namespace
}  // namespace chokepoint
