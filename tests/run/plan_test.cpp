// The plan: what a suite expands to, that ids are stable and telling, and that a budget is kept.
#include "harness/run/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

const std::string kConfigs = CHOKEPOINT_SOURCE_DIR "/configs";

std::vector<CaseGroup> plan_of(const std::string& suite, PlanOptions options = {}) {
  options.configs = kConfigs;
  return plan_suite(load_suite(find_suite(kConfigs, suite)), options);
}

TEST(plan, every_shipped_suite_can_be_planned_and_most_of_it_can_run) {
  for (const char* suite : {"quick", "h800-vs-h100", "link-sweep", "kernels", "ci"}) {
    const std::vector<CaseGroup> groups = plan_of(suite);
    EXPECT_FALSE(groups.empty()) << suite;
    for (const CaseGroup& group : groups)
      EXPECT_FALSE(group.unsupported && group.kernel == "cpu_native") << suite << ": " << *group.unsupported;
  }
}

TEST(plan, quick_has_every_operation_and_both_targets) {
  std::set<std::string> operations;
  for (const CaseGroup& group : plan_of("quick")) {
    operations.insert(group.operation);
    EXPECT_EQ(group.targets, (std::vector<std::string>{"h100-sxm", "h800-sxm"}));
  }
  for (const Operation& operation : Registry<Operation>::instance().all())
    EXPECT_TRUE(operations.contains(operation.name)) << operation.name;
}

TEST(plan, ids_are_unique_within_a_suite_and_depend_on_all_that_is_computed) {
  std::set<std::string> ids;
  std::size_t cases = 0;
  for (const CaseGroup& group : plan_of("h800-vs-h100"))
    for (const std::string& target : group.targets) ids.insert(case_id(group, target)), ++cases;
  EXPECT_EQ(ids.size(), cases);
  CaseGroup group = plan_of("quick").front();
  const std::string before = case_id(group, "h100-sxm");
  EXPECT_NE(before, case_id(group, "h800-sxm"));
  group.inputs.seed += 1;
  EXPECT_NE(before, case_id(group, "h100-sxm"));
  EXPECT_EQ(case_name(group, "h100-sxm"), before.substr(0, before.rfind('#')));
}

TEST(plan, a_budget_shortens_sampling_and_is_kept) {
  const auto expected = [](const std::vector<CaseGroup>& groups) {
    double all_s = 0.0;
    for (const CaseGroup& group : groups) all_s += expected_s(group);
    return all_s;
  };
  const std::vector<CaseGroup> full = plan_of("quick");
  PlanOptions options;
  options.budget_s = 0.8 * expected(full);
  const std::vector<CaseGroup> shorter = plan_of("quick", options);
  EXPECT_NEAR(expected(shorter), *options.budget_s, 1e-6);
  for (std::size_t i = 0; i < full.size(); ++i) {
    EXPECT_LT(shorter[i].sampling.budget_s, full[i].sampling.budget_s);
    EXPECT_EQ(shorter[i].warm_up_s, full[i].warm_up_s);
  }
  options.budget_s = 1e6;
  EXPECT_EQ(expected(plan_of("quick", options)), expected(full));
  options.budget_s = 1.0;  // less than the probes take: some samples all the same
  for (const CaseGroup& group : plan_of("quick", options)) EXPECT_GT(group.sampling.budget_s, 0.0);
}

TEST(plan, flags_replace_what_the_suite_says) {
  PlanOptions options;
  options.targets = {"h20"};
  options.seed = 99;
  options.filter = "moe_layer*";
  const std::vector<CaseGroup> groups = plan_of("quick", options);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].targets, (std::vector<std::string>{"h20"}));
  EXPECT_EQ(groups[0].inputs.seed, 99U);
}

TEST(plan, an_unknown_target_is_an_error_before_anything_runs) {
  PlanOptions options;
  options.targets = {"h900-sxm"};
  EXPECT_THROW(plan_of("quick", options), Error);
}

TEST(plan, a_group_survives_the_way_to_its_process) {
  for (const CaseGroup& group : plan_of("ci")) {
    const JsonFile file = parse_json(to_json(group).dump(), "test");
    const CaseGroup back = group_from_json(file);
    EXPECT_EQ(back.name(), group.name());
    EXPECT_EQ(case_id(back, "host"), case_id(group, "host"));
    EXPECT_EQ(back.targets, group.targets);
    EXPECT_EQ(back.sampling.budget_s, group.sampling.budget_s);
  }
}

}  // namespace
}  // namespace chokepoint
