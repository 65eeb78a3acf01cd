// One group on a device whose times are scripted: order of the samples, what stops them, and what becomes a
// record.
#include "harness/run/case_runner.hpp"

#include <gtest/gtest.h>

#include "harness/run/verify.hpp"
#include "tests/run/fake_device.hpp"

namespace chokepoint {
namespace {

CaseGroup copy_group(std::vector<std::string> targets) {
  CaseGroup group;
  group.operation = "stream";
  group.kernel = "cpu_native";
  group.shape = complete_shape(find_operation("stream"),
                               {{"elements", std::int64_t{1000}}, {"pattern", std::string("copy")}});
  group.targets = std::move(targets);
  group.warm_up_s = 0.0;
  group.sampling.budget_s = 1e9;
  return group;
}

struct World {
  std::vector<Profile> profiles = load_profiles(CHOKEPOINT_SOURCE_DIR "/configs");
  Ceilings ceilings;
};

TEST(case_runner, the_host_is_measured_and_its_median_is_that_of_the_script) {
  const World world;
  FakeDevice device([](std::size_t call) { return 1.0 + 0.01 * static_cast<double>(call * 7919 % 5); });
  const Record record = run_group(copy_group({"host"}), device, {world.profiles, world.ceilings}).at(0);
  EXPECT_EQ(record.status, Status::ok) << record.reason;
  EXPECT_EQ(record.basis, Basis::measured);
  EXPECT_DOUBLE_EQ(*record.time.median, 1.02);  // 1.00 .. 1.04 in equal shares
  EXPECT_TRUE(record.time.stopped_by == "precision" || record.time.stopped_by == "ess_low");
  EXPECT_TRUE(record.verification->passed);
  EXPECT_EQ(record.verification->error, 0.0);
  EXPECT_EQ(record.energy.basis == "measured", record.energy.host_joule_per_launch.has_value());
}

TEST(case_runner, a_budget_that_ends_says_so) {
  const World world;
  FakeDevice device([](std::size_t call) { return call % 2 == 0 ? 1.0 : 3.0; });
  CaseGroup group = copy_group({"host"});
  group.sampling.budget_s = 40.0;
  const Record record = run_group(group, device, {world.profiles, world.ceilings}).at(0);
  EXPECT_EQ(record.time.stopped_by, "budget");
  EXPECT_LE(record.time.n, 24);
}

TEST(case_runner, the_same_case_on_both_sides_of_a_drift_keeps_its_order_of_blocks) {
  const World world;
  std::size_t last = 0;
  FakeDevice device([&](std::size_t call) { return last = call, 1.0 + 1e-6 * static_cast<double>(call); });
  const Record record = run_group(copy_group({"host"}), device, {world.profiles, world.ceilings}).at(0);
  ASSERT_GE(record.time.samples.size(), 4U);
  EXPECT_EQ(record.time.samples.size() % 2, 0U);  // whole blocks
  for (std::size_t i = 1; i < record.time.samples.size(); ++i)
    EXPECT_GT(record.time.samples[i], record.time.samples[i - 1]);  // in the order taken
}

TEST(case_runner, a_resource_without_a_ceiling_makes_the_case_unsupported) {
  const World world;
  FakeDevice device([](std::size_t) { return 1.0; });
  const Record record = run_group(copy_group({"h100-sxm"}), device, {world.profiles, world.ceilings}).at(0);
  EXPECT_EQ(record.status, Status::unsupported);
  EXPECT_NE(record.reason.find("memory"), std::string::npos) << record.reason;
  EXPECT_FALSE(record.basis.has_value());
  EXPECT_EQ(device.calls(), 0U);
}

TEST(case_runner, a_device_that_is_faster_than_its_cap_is_caught_by_the_stopwatch) {
  World world;
  world.ceilings.rate[Resource::memory] = 1e9;
  FakeDevice device([](std::size_t) { return 1e-9; });  // 8 kB in a nanosecond, whatever the clocks say
  const Record record = run_group(copy_group({"h100-sxm"}), device, {world.profiles, world.ceilings}).at(0);
  EXPECT_EQ(record.status, Status::invalid);
  EXPECT_NE(record.reason.find("implausible"), std::string::npos) << record.reason;
}

TEST(verify, one_wrong_element_or_an_unwritten_one_does_not_pass) {
  const Operation& operation = find_operation("stream");
  const std::unique_ptr<Problem> problem = operation.make(copy_group({}).shape, Dtype::f32, {});
  const Answer answer = answer_of(*problem);
  Tensor output("output", problem->output_dims(), problem->output_dtype());
  for (std::int64_t i = 0; i < output.count(); ++i) output.set(i, problem->inputs().front()->at(i));
  EXPECT_TRUE(compare(*problem, answer, output).passed);
  const double right = output.at(500);
  output.set(500, right + 0.001);
  EXPECT_FALSE(compare(*problem, answer, output).passed);
  output.set(500, NAN);
  EXPECT_FALSE(compare(*problem, answer, output).error.has_value());
}

TEST(verify, rows_of_a_costly_answer_are_spread_over_all_of_it) {
  const Operation& operation = find_operation("matmul");
  const Shape shape =
      complete_shape(operation, {{"m", std::int64_t{1000}}, {"n", std::int64_t{8}}, {"k", std::int64_t{8}}});
  const std::unique_ptr<Problem> problem = operation.make(shape, Dtype::f32, {});
  const Answer answer = answer_of(*problem, problem->work().flop / 50);  // a fiftieth: 20 rows
  EXPECT_GE(answer.rows.size(), 20U);
  EXPECT_LE(answer.rows.size(), 22U);
  EXPECT_EQ(answer.rows.front(), 0);
  EXPECT_EQ(answer.rows.back(), 999);
  for (std::size_t i = 1; i < answer.rows.size(); ++i) EXPECT_LE(answer.rows[i] - answer.rows[i - 1], 100);
}

}  // namespace
}  // namespace chokepoint
