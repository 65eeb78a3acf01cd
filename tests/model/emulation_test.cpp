// Emulation: the dilation rule of design.md section 5 on hand-computed machines.
#include "harness/model/emulation.hpp"

#include <gtest/gtest.h>

#include <utility>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

using Ceilings = PerResource<std::optional<double>>;

Demand demand(Resource resource, double rate) { return {.resource = resource, .target_rate = rate}; }

Ceilings ceilings(double compute, double memory, double link) {
  Ceilings all;
  all[Resource::compute] = compute;
  all[Resource::memory] = memory;
  all[Resource::link] = link;
  return all;
}

TEST(emulation, an_h800_on_an_h100_is_not_dilated_and_only_its_link_is_paced) {
  const TargetDemands h800{"h800", {demand(Resource::compute, 790e12), demand(Resource::memory, 3.0e12),
                                    demand(Resource::link, 160e9)}};
  const EmulationPlan plan = plan_emulation({&h800, 1}, ceilings(794e12, 3.0e12, 370e9));
  EXPECT_EQ(plan.dilation, 1.0);
  EXPECT_TRUE(plan.caps[0][0].native);
  EXPECT_TRUE(plan.caps[0][1].native);
  EXPECT_FALSE(plan.caps[0][2].native);
  EXPECT_DOUBLE_EQ(plan.caps[0][2].requested, 160e9);
}

TEST(emulation, an_h20_on_an_h100_is_dilated_until_its_memory_is_native) {
  // 4.0 TB/s wanted, 3.0 there: native when 4.0/d <= 3.0 * 1.05, so d = 4.0 / 3.15 = 1.27; compute 148/1.27 is paced.
  const TargetDemands h20{"h20", {demand(Resource::compute, 148e12), demand(Resource::memory, 4.0e12)}};
  const EmulationPlan plan = plan_emulation({&h20, 1}, ceilings(794e12, 3.0e12, 370e9));
  EXPECT_NEAR(plan.dilation, 4.0 / 3.15, 1e-12);
  EXPECT_FALSE(plan.caps[0][0].native);
  EXPECT_TRUE(plan.caps[0][1].native);
}

TEST(emulation, on_a_small_machine_one_dilation_serves_all_targets_and_keeps_proportions) {
  const TargetDemands h100{"h100", {demand(Resource::compute, 800e12), demand(Resource::link, 370e9)}, false};
  const TargetDemands h800{"h800", {demand(Resource::compute, 800e12), demand(Resource::link, 160e9)}, false};
  const std::vector<TargetDemands> both = {h100, h800};
  // compute 800e12 / 100e9 = 8000; other silicon, so paced: d = 8000 * 1.4. Link is paced there with room.
  const EmulationPlan plan = plan_emulation(both, ceilings(100e9, 15e9, 5e9));
  EXPECT_NEAR(plan.dilation, 8000 * 1.4, 1e-6);
  EXPECT_FALSE(plan.caps[0][0].native);
  EXPECT_NEAR(plan.caps[0][1].requested / plan.caps[1][1].requested, 370.0 / 160.0, 1e-12);
}

TEST(emulation, the_gap_between_paced_and_native_is_skipped) {
  // H/1.2 is neither native nor paced at d = 1; the smallest d that works is 1.4/1.2.
  const TargetDemands target{"t", {demand(Resource::memory, 1e9)}};
  const EmulationPlan plan = plan_emulation({&target, 1}, ceilings(1, 1.2e9, 1));
  EXPECT_NEAR(plan.dilation, 1.4 / 1.2, 1e-12);
  EXPECT_FALSE(plan.caps[0][0].native);
}

// What a part of the multiprocessors, or interference, is to hold.
Demand without_headroom(Resource resource, double rate) {
  return {.resource = resource, .target_rate = rate, .least_headroom = 1.0};
}

TEST(emulation, what_needs_no_headroom_holds_any_rate_below_the_ceiling_without_dilation) {
  for (const double share : {0.72, 0.8, 0.94}) {
    const TargetDemands target{"t", {without_headroom(Resource::compute, share * 1e12)}};
    const EmulationPlan plan = plan_emulation({&target, 1}, ceilings(1e12, 1, 1));
    EXPECT_EQ(plan.dilation, 1.0) << share;
    EXPECT_FALSE(plan.caps[0][0].native) << share;
    EXPECT_DOUBLE_EQ(plan.caps[0][0].requested, share * 1e12);
    const TargetDemands paced{"t", {demand(Resource::compute, share * 1e12)}};
    EXPECT_NEAR(plan_emulation({&paced, 1}, ceilings(1e12, 1, 1)).dilation, 1.4 * share, 1e-12);
  }
}

TEST(emulation, time_is_dilated_no_further_than_the_mechanism_needs) {
  const TargetDemands target{"t", {{.resource = Resource::compute, .target_rate = 0.9e12, .least_headroom = 1.2}}};
  EXPECT_NEAR(plan_emulation({&target, 1}, ceilings(1e12, 1, 1)).dilation, 0.9 * 1.2, 1e-12);
}

TEST(emulation, the_silicon_itself_is_the_cap_where_it_can_be_though_something_else_could_hold_the_rate) {
  for (const double share : {0.96, 1.0, 1.04}) {
    const TargetDemands target{"t", {without_headroom(Resource::compute, share * 1e12)}};
    const EmulationPlan plan = plan_emulation({&target, 1}, ceilings(1e12, 1, 1));
    EXPECT_EQ(plan.dilation, 1.0) << share;
    EXPECT_TRUE(plan.caps[0][0].native) << share;
  }
}

TEST(emulation, the_most_demanding_mechanism_decides_the_dilation_of_all) {
  // A link at 0.9 of its ceiling takes d = 0.9 * 1.4 = 1.26; compute at 0.8 needs none, and is 0.8/1.26 then.
  const TargetDemands a{"a", {without_headroom(Resource::compute, 0.8e12), demand(Resource::link, 0.9e9)}};
  const TargetDemands b{"b", {without_headroom(Resource::compute, 0.8e12), demand(Resource::link, 0.5e9)}};
  const std::vector<TargetDemands> both = {b, a};
  const EmulationPlan plan = plan_emulation(both, ceilings(1e12, 1, 1e9));
  EXPECT_NEAR(plan.dilation, 1.26, 1e-12);
  for (const auto& caps : plan.caps) EXPECT_NEAR(caps[0].requested, 0.8e12 / 1.26, 1.0);
  EXPECT_EQ(plan_emulation({&b, 1}, ceilings(1e12, 1, 1e9)).dilation, 1.0);
}

TEST(emulation, on_other_silicon_whatever_holds_a_rate_leaves_the_headroom_of_a_clock) {
  const TargetDemands target{"t", {without_headroom(Resource::compute, 0.8e12)}, false};
  const EmulationPlan plan = plan_emulation({&target, 1}, ceilings(1e12, 1, 1));
  EXPECT_NEAR(plan.dilation, 1.12, 1e-12);
  EXPECT_FALSE(plan.caps[0][0].native);
}

TEST(emulation, a_pinned_dilation_is_refused_with_the_headroom_of_what_is_to_hold_the_rate) {
  const TargetDemands part{"t", {without_headroom(Resource::compute, 1.2e12)}};
  const TargetDemands clock{"t", {demand(Resource::compute, 0.8e12)}};
  for (const auto& [target, numbers] : {std::pair{&part, "(0.83x, 1x needed)"}, {&clock, "(1.25x, 1.4x needed)"}}) try {
      plan_emulation({target, 1}, ceilings(1e12, 1, 1), 1.0);
      ADD_FAILURE() << numbers;
    } catch (const Error& error) {
      EXPECT_NE(error.message().find(numbers), std::string::npos) << error.message();
    }
}

TEST(emulation, latency_stretches_with_the_dilation) {
  TargetDemands target{"t", {demand(Resource::link, 10e9)}};
  target.demands[0].latency_s = 3e-6;
  const EmulationPlan plan = plan_emulation({&target, 1}, ceilings(1, 1, 1e9), 100.0);
  EXPECT_DOUBLE_EQ(plan.caps[0][0].latency_s, 3e-4);
}

TEST(emulation, what_cannot_be_reached_is_refused_with_the_numbers) {
  const TargetDemands target{"t", {demand(Resource::link, 10e9)}};
  try {
    plan_emulation({&target, 1}, ceilings(1, 1, 11e9 / 1.2), 1.0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::unsupported);
    EXPECT_NE(error.message().find("link of t would need 10.0 GB/s at dilation 1"), std::string::npos) << error.message();
  }
  EXPECT_THROW(plan_emulation({&target, 1}, ceilings(1, 1, 1e9), 0.5), Error);
  const TargetDemands network{"t", {demand(Resource::network, 1e9)}};
  EXPECT_THROW(plan_emulation({&network, 1}, ceilings(1, 1, 1)), Error);
}

}  // namespace
}  // namespace chokepoint
