// Curves of slowdown against one cap, and their knees, on times that can be followed on paper.
#include "harness/report/sweeps.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

std::vector<Record> records_at(const std::vector<std::pair<double, double>>& rates_and_times) {
  std::vector<Record> records;
  for (const auto& [rate, time_s] : rates_and_times) {
    records.push_back(
        test::scaled_record(fmt::format("h100-sxm@link={}", rate), test::constant_samples(time_s), time_s));
    records.back().caps[0].target_rate = rate;
  }
  return records;
}

std::vector<Sweep> sweeps(std::vector<Record> records) {
  return sweeps_of(make_report(test::set_of(std::move(records)), {}));
}

TEST(sweeps, points_stand_from_the_loosest_cap_to_the_tightest_whatever_the_order_of_the_records) {
  const std::vector<Sweep> found = sweeps(records_at({{200e9, 1.02}, {400e9, 1.0}, {50e9, 1.3}, {100e9, 1.1}}));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].resource, Resource::link);
  std::vector<double> rates, slowdowns;
  for (const SweepPoint& point : found[0].points)
    rates.push_back(point.rate), slowdowns.push_back(point.slowdown.value);
  EXPECT_EQ(rates, (std::vector<double>{400e9, 200e9, 100e9, 50e9}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(slowdowns[i], (std::vector<double>{1.0, 1.02, 1.1, 1.3})[i], 1e-12);
}

TEST(sweeps, the_knee_lies_between_its_neighbours_in_the_logarithm) {
  // 1.02 at 200, 1.08 at 100: 1.05 is half way, at 200 * (1/2)^0.5 = 141.4 GB/s
  const std::vector<Sweep> found = sweeps(records_at({{400e9, 1.0}, {200e9, 1.02}, {100e9, 1.08}, {50e9, 1.3}}));
  ASSERT_TRUE(found.at(0).knee);
  EXPECT_NEAR(found[0].knee->rate, 200e9 / std::sqrt(2.0), 1e6);
  ASSERT_TRUE(found[0].knee->interval);  // constant samples: no width
  EXPECT_NEAR(found[0].knee->interval->low, found[0].knee->rate, 1e-3);
}

TEST(sweeps, a_curve_that_stays_flat_has_no_knee_and_few_caps_are_no_curve) {
  EXPECT_FALSE(sweeps(records_at({{400e9, 1.0}, {200e9, 1.0}, {100e9, 1.01}, {50e9, 1.04}})).at(0).knee);
  EXPECT_TRUE(sweeps(records_at({{400e9, 1.0}, {200e9, 1.1}, {100e9, 1.2}})).empty());
}

TEST(sweeps, records_with_other_caps_are_on_other_curves) {
  std::vector<Record> records = records_at({{400e9, 1.0}, {200e9, 1.1}, {100e9, 1.2}, {50e9, 1.3}});
  CapRecord memory = records[3].caps[0];
  memory.resource = Resource::memory;
  memory.target_rate = 1e12;
  records[3].caps.push_back(memory);
  EXPECT_TRUE(sweeps(std::move(records)).empty());
}

}  // namespace
}  // namespace chokepoint
