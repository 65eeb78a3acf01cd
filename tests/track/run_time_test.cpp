// The time of one run: the closed-form bootstrap against resampling, and what a record without samples says.
#include "harness/track/run_time.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "harness/model/descriptive.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

using test::timed_record;

// Resampling, as one would write it: the variance over draws of the logarithm of their median.
double resampled_variance(const std::vector<double>& samples, std::size_t draws_each, std::size_t rounds) {
  std::vector<double> medians;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<double> drawn;
    for (std::size_t i = 0; i < draws_each; ++i) drawn.push_back(samples[random_below(5, round, i, samples.size())]);
    medians.push_back(std::log(*median(drawn)));
  }
  const double deviation = *standard_deviation(medians);
  return deviation * deviation;
}

TEST(run_time, closed_form_agrees_with_resampling) {
  test::Draws draws(3);
  std::vector<double> samples;
  for (int i = 0; i < 101; ++i) samples.push_back(std::exp(0.05 * draws.normal()));
  const double exact = bootstrap_variance_of_log_median(samples, 101);
  EXPECT_NEAR(exact / resampled_variance(samples, 101, 20000), 1.0, 0.04);
  // Worth 25 draws: about four times the variance.
  const double worth_less = bootstrap_variance_of_log_median(samples, 25);
  EXPECT_NEAR(worth_less / resampled_variance(samples, 25, 20000), 1.0, 0.04);
  EXPECT_GT(worth_less, 2.5 * exact);
}

// Of n normal values with deviation s the median has s^2 pi/(2n).
TEST(run_time, variance_is_that_of_a_median) {
  double sum = 0.0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    test::Draws draws(seed);
    std::vector<double> samples;
    for (int i = 0; i < 201; ++i) samples.push_back(std::exp(0.01 * draws.normal()));
    sum += bootstrap_variance_of_log_median(samples, 201);
  }
  EXPECT_NEAR(sum / 200 / (1e-4 * std::acos(-1.0) / 2 / 201), 1.0, 0.15);
}

TEST(run_time, time_is_that_of_the_target) {
  Record record = timed_record("r", "c", {2.0, 2.0, 2.0});
  record.dilation = 4.0;
  const std::optional<RunTime> time = run_time_of(record);
  ASSERT_TRUE(time);
  EXPECT_DOUBLE_EQ(std::exp(time->log_s), 0.5);
  EXPECT_EQ(*time->variance, 0.0);
}

TEST(run_time, record_without_samples_has_its_interval) {
  Record record = timed_record("r", "c", {});
  EXPECT_FALSE(run_time_of(record));
  record.time.median = 1.0;
  EXPECT_FALSE(run_time_of(record)->variance);
  record.time.ci_low = std::exp(-0.0196);
  record.time.ci_high = std::exp(0.0196);
  EXPECT_NEAR(std::sqrt(*run_time_of(record)->variance), 0.01, 1e-5);
  EXPECT_FALSE(run_time_of(record)->from_samples);
}

TEST(run_time, what_is_no_time_is_absent) {
  Record record = timed_record("r", "c", {1.0, 0.0, 1.0});
  EXPECT_FALSE(run_time_of(record));
  record.time.samples = {1.0};
  EXPECT_FALSE(run_time_of(record)->variance) << "one sample shows no scatter";
  record.status = Status::invalid;
  EXPECT_FALSE(run_time_of(record));
}

}  // namespace
}  // namespace chokepoint
