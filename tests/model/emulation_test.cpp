// Emulation: the dilation rule of design.md section 5 on hand-computed machines.
#include "harness/model/emulation.hpp"

#include <gtest/gtest.h>

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
