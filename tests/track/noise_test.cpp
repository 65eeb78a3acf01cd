// Noise between runs: variances that lend each other strength, what runs have in common, tails and discoveries.
#include <gtest/gtest.h>

#include <cmath>

#include "harness/model/distributions.hpp"
#include "harness/track/false_discovery.hpp"
#include "harness/track/moderated.hpp"
#include "harness/track/run_noise.hpp"
#include "harness/track/spread.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

using test::Draws;

TEST(false_discovery, adjusted_values_are_those_of_the_definition) {
  // p * n / rank, made to rise: 0.01*4/1 = 0.04, 0.02*4/2 = 0.04, 0.04*4/3 = 0.0533, 0.5*4/4 = 0.5.
  const std::vector<double> adjusted = adjusted_p_values(std::vector<double>{0.5, 0.01, 0.04, 0.02});
  EXPECT_DOUBLE_EQ(adjusted[0], 0.5);
  EXPECT_DOUBLE_EQ(adjusted[1], 0.04);
  EXPECT_DOUBLE_EQ(adjusted[2], 0.04 * 4 / 3);
  EXPECT_DOUBLE_EQ(adjusted[3], 0.04);
  EXPECT_TRUE(adjusted_p_values({}).empty());
  EXPECT_DOUBLE_EQ(adjusted_p_values(std::vector<double>{0.03, 0.031})[0], 0.031) << "never above a larger one's";
}

TEST(spread, one_part_alone_is_the_usual_interval) {
  EXPECT_NEAR(half_width({.own_variance = 4.0, .own_df = 5}, 0.95), 2 * 2.570582, 1e-5);
  EXPECT_NEAR(half_width({.common_variance = 1.0, .common_df = 5}, 0.95), 2.570582, 1e-5);
  EXPECT_NEAR(half_width({.common_variance = 9.0, .own_variance = 16.0}, 0.95), 5 * 1.959964, 1e-5) << "two normals";
}

TEST(spread, tail_is_where_the_half_width_is_the_difference) {
  Tails tails;
  for (const TwoPartNoise& spread :
       {TwoPartNoise{.own_variance = 2.0, .own_df = 3},
        TwoPartNoise{.common_variance = 0.5, .common_df = 1, .own_variance = 2.0, .own_df = 20},
        TwoPartNoise{.common_variance = 0.5, .own_variance = 2.0, .own_df = 7}})
    for (const double confidence : {0.5, 0.95, 0.9999}) {
      const double tail = tails.tail(half_width(spread, confidence), spread);
      EXPECT_NEAR(tail / ((1 - confidence) / 2), 1.0, 0.01) << confidence;
      EXPECT_NEAR(tails.tail(-half_width(spread, confidence), spread), 1 - tail, 1e-12);
    }
  EXPECT_DOUBLE_EQ(tails.tail(0.0, {.own_variance = 1.0}), 0.5);
}

TEST(moderated, prior_is_found_again) {
  // s^2 = s0^2 * (chi2_4/4) / (chi2_10/10): variances from a prior with 10 degrees of freedom, each seen with 4.
  std::vector<Variance> seen;
  Draws draws(11);
  const auto chi2 = [&](int df) {
    double sum = 0.0;
    for (int i = 0; i < df; ++i) {
      const double z = draws.normal();
      sum += z * z;
    }
    return sum;
  };
  for (int i = 0; i < 4000; ++i) seen.push_back({9e-4 * (chi2(4) / 4) / (chi2(10) / 10), 4});
  const Variance prior = fit_prior(seen);
  EXPECT_NEAR(prior.df, 10, 2);
  EXPECT_NEAR(prior.value / 9e-4, 1.0, 0.05);
}

TEST(moderated, prior_knows_no_more_than_the_cases_show) {
  std::vector<Variance> alike(6, {1e-4, 3});
  EXPECT_EQ(fit_prior(alike).df, 5);
  alike.resize(4);
  EXPECT_EQ(fit_prior(alike).df, 0) << "too few cases";
  const Variance both = moderated({4.0, 6}, {1.0, 3});
  EXPECT_DOUBLE_EQ(both.value, 3.0);  // (4*6 + 1*3)/9
  EXPECT_DOUBLE_EQ(both.df, 9.0);
  EXPECT_EQ(moderated({}, {}).df, 0);
}

std::vector<RunTimes> runs_with(double common, double own, std::size_t runs, std::size_t cases, std::uint64_t seed) {
  Draws draws(seed);
  std::vector<RunTimes> all(runs);
  for (RunTimes& run : all) {
    const double shift = common * draws.normal();
    for (std::size_t i = 0; i < cases; ++i)
      run.log_s["case " + std::to_string(i)] = static_cast<double>(i) + shift + own * draws.normal();
  }
  return all;
}

TEST(run_noise, what_runs_share_is_told_from_what_cases_add) {
  double common = 0.0, own = 0.0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const RunNoise noise = estimate_run_noise({runs_with(0.02, 0.005, 6, 40, seed)});
    EXPECT_EQ(noise.common.df, 5);
    common += noise.common.value / 100;
    own += noise.prior.value / 100;
  }
  EXPECT_NEAR(common / 4e-4, 1.0, 0.15);
  EXPECT_NEAR(own / 2.5e-5, 1.0, 0.15);
}

TEST(run_noise, few_cases_keep_all_noise_to_themselves) {
  const RunNoise noise = estimate_run_noise({runs_with(0.02, 0.005, 6, 3, 1)});
  EXPECT_EQ(noise.common.df, 0);
  EXPECT_EQ(noise.prior.df, 0);
  const std::optional<TwoPartNoise> spread = spread_of(noise, "case 1");
  ASSERT_TRUE(spread);
  EXPECT_EQ(spread->own_df, 5);
  EXPECT_FALSE(spread_of(noise, "case 7")) << "nothing is known of it";
}

TEST(run_noise, single_runs_say_nothing) {
  EXPECT_FALSE(spread_of(estimate_run_noise({runs_with(0.02, 0.005, 1, 20, 1)}), "case 1"));
}

TEST(run_noise, groups_may_differ_in_level) {
  std::vector<RunTimes> slower = runs_with(0.0, 0.005, 4, 20, 2);
  for (RunTimes& run : slower)
    for (auto& [id, log_s] : run.log_s) log_s += 1.0;
  const RunNoise noise = estimate_run_noise({runs_with(0.0, 0.005, 4, 20, 1), slower});
  EXPECT_NEAR(std::sqrt(noise.prior.value), 0.005, 0.001);
  EXPECT_EQ(noise.own.at("case 0").df, 6);
}

TEST(run_noise, a_calibration_adds_its_degrees_of_freedom) {
  const RunNoise a = estimate_run_noise({runs_with(0.01, 0.005, 3, 20, 1)}),
                 b = estimate_run_noise({runs_with(0.01, 0.005, 6, 20, 2)});
  const RunNoise both = joined(a, b);
  EXPECT_EQ(both.common.df, 7);
  EXPECT_EQ(both.own.at("case 3").df, 7);
  EXPECT_NEAR(both.common.value, (a.common.value * 2 + b.common.value * 5) / 7, 1e-12);
  EXPECT_EQ(joined({}, b).common.df, 5) << "alone it is taken as it is";
}

TEST(run_noise, other_cases_stand_for_the_noise_of_one) {
  double without = 0.0, with_changes = 0.0;
  constexpr int kRounds = 50;
  for (std::uint64_t seed = 0; seed < kRounds; ++seed) {  // differences of 1 %, of which samples explain 0.1 %
    Draws draws(seed);
    std::vector<double> ratios(40), variances(40, 1e-6);
    for (double& ratio : ratios) ratio = 0.01 * draws.normal();
    without += spread_from_other_cases(ratios, variances, 0)->own_variance / kRounds;
    for (std::size_t i = 1; i < 14; ++i) ratios[i] = 0.5;  // a third of the cases really changed
    with_changes += spread_from_other_cases(ratios, variances, 0)->own_variance / kRounds;
    ratios.resize(4);
    EXPECT_FALSE(spread_from_other_cases(ratios, variances, 0));
  }
  EXPECT_NEAR(without / 1e-4, 1.0, 0.1);
  EXPECT_NEAR(with_changes / without, 1.0, 0.2);
}

TEST(run_noise, a_shift_of_all_cases_may_be_the_machine_up_to_what_runs_do) {
  const std::vector<double> variances(10, 1e-6);
  const std::optional<TwoPartNoise> small = spread_from_other_cases(std::vector<double>(10, 0.005), variances, 0);
  EXPECT_NEAR(small->common_variance, 0.005 * 0.005, 1e-12);
  const std::optional<TwoPartNoise> large = spread_from_other_cases(std::vector<double>(10, 0.3), variances, 0);
  EXPECT_NEAR(large->common_variance, 2 * 0.02 * 0.02, 1e-12) << "30 % is no noise";
}

}  // namespace
}  // namespace chokepoint
