// Estimates from samples: values worked out by hand, and what happens with few, equal or broken samples.
#include "harness/model/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/model/distributions.hpp"
#include "tests/model/processes.hpp"

namespace chokepoint {
namespace {

TEST(descriptive, median_is_right_for_odd_even_single_and_no_samples) {
  EXPECT_EQ(median(Samples{3, 1, 2}), 2);
  EXPECT_EQ(median(Samples{4, 1, 3, 2}), 2.5);  // (2 + 3)/2
  EXPECT_EQ(median(Samples{7}), 7);
  EXPECT_EQ(median(Samples{}), std::nullopt);
  EXPECT_EQ(median(Samples{5, 5, 5, 5}), 5);
}

TEST(descriptive, quantiles_interpolate_between_order_statistics) {
  const Samples samples = {40, 10, 30, 20};
  EXPECT_EQ(quantile(samples, 0.0), 10);
  EXPECT_EQ(quantile(samples, 1.0), 40);
  EXPECT_DOUBLE_EQ(*quantile(samples, 0.25), 17.5);  // position 0.75: 10 + 0.75 * 10
  EXPECT_DOUBLE_EQ(*quantile(samples, 0.9), 37);     // position 2.7: 30 + 0.7 * 10
  EXPECT_EQ(quantile(Samples{8}, 0.3), 8);
  EXPECT_EQ(quantile(Samples{}, 0.3), std::nullopt);
  EXPECT_THROW(quantile(samples, 1.01), Error);
  EXPECT_THROW(quantile(samples, std::nan("")), Error);
  const Samples levels = {0.25, 0.9};
  EXPECT_EQ(quantiles(samples, levels), (Samples{*quantile(samples, 0.25), *quantile(samples, 0.9)}));
}

TEST(descriptive, mean_and_spread_are_those_of_a_sample) {
  const Samples samples = {2, 4, 4, 4, 5, 5, 7, 9};
  EXPECT_DOUBLE_EQ(*mean(samples), 5);                                  // 40/8
  EXPECT_DOUBLE_EQ(*standard_deviation(samples), std::sqrt(32.0 / 7));  // squares 9+1+1+1+0+0+4+16
  EXPECT_DOUBLE_EQ(*coefficient_of_variation(samples), std::sqrt(32.0 / 7) / 5);
  EXPECT_EQ(mean(Samples{}), std::nullopt);
  EXPECT_EQ(mean(Samples{3}), 3);
  EXPECT_EQ(standard_deviation(Samples{3}), std::nullopt);
  EXPECT_EQ(standard_deviation(Samples{0.1, 0.1, 0.1}), 0);  // although 0.1 + 0.1 + 0.1 is not 3 * 0.1
  EXPECT_EQ(coefficient_of_variation(Samples{-1, 1}), std::nullopt);
  EXPECT_DOUBLE_EQ(*coefficient_of_variation(Samples{-1, -3}), std::sqrt(2.0) / 2);
}

TEST(distributions, normal_quantiles_are_those_of_the_tables) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.995), 2.575829303548901, 1e-12);
  EXPECT_NEAR(normal_quantile(1e-6), -4.753424308822899, 1e-10);
  EXPECT_EQ(normal_quantile(0.5), 0);
  EXPECT_THROW(normal_quantile(0), Error);
  EXPECT_THROW(normal_quantile(1), Error);
}

TEST(distributions, t_distribution_is_the_inverse_of_its_quantiles) {
  for (const double df : {1.0, 2.5, 7.0, 40.0, 1e4})
    for (const double probability : {0.001, 0.2, 0.5, 0.9, 0.99999})
      EXPECT_NEAR(student_t_cdf(student_t_quantile(probability, df), df), probability, 1e-9) << df;
  EXPECT_NEAR(student_t_cdf(1.0, 1), 0.75, 1e-12);  // Cauchy: 1/2 + atan(1)/pi
  const double many = std::numeric_limits<double>::infinity();
  EXPECT_EQ(student_t_cdf(1.5, many), normal_cdf(1.5));
  EXPECT_EQ(student_t_quantile(0.975, many), normal_quantile(0.975));
  EXPECT_THROW(student_t_cdf(1.0, 0), Error);
}

TEST(distributions, t_quantiles_are_those_of_the_tables) {
  // 1 and 2 degrees of freedom have closed forms: tan(pi (p - 1/2)) and (2p - 1) sqrt(2/(4p(1 - p))).
  EXPECT_NEAR(student_t_quantile(0.975, 1), std::tan(std::acos(-1.0) * 0.475), 1e-8);
  EXPECT_NEAR(student_t_quantile(0.975, 2), 0.95 * std::sqrt(2 / (4 * 0.975 * 0.025)), 1e-9);
  // The usual table, two-sided 95 %, 99 % and 99.9 %.
  EXPECT_NEAR(student_t_quantile(0.975, 5), 2.570582, 1e-6);
  EXPECT_NEAR(student_t_quantile(0.975, 29), 2.045230, 1e-6);
  EXPECT_NEAR(student_t_quantile(0.995, 10), 3.169273, 1e-6);
  EXPECT_NEAR(student_t_quantile(0.9995, 30), 3.645959, 1e-6);
  EXPECT_NEAR(student_t_quantile(0.975, 1000), 1.962339, 1e-6);
  EXPECT_NEAR(student_t_quantile(0.025, 5), -2.570582, 1e-6);
  EXPECT_EQ(student_t_quantile(0.5, 3), 0);
  EXPECT_THROW(student_t_quantile(0.975, 0), Error);
}

TEST(distributions, the_t_quantile_is_smooth_where_its_method_changes) {
  const double below = student_t_quantile(0.999, 99999), above = student_t_quantile(0.999, 100001);
  EXPECT_NEAR(below, above, 2e-9);
  EXPECT_GT(below, above);
  EXPECT_GT(above, normal_quantile(0.999));
}

TEST(median_estimate, the_interval_is_made_of_order_statistics) {
  // n = ess = 97, 95 %: t(96) = 1.984984, reach 1.984984 * 0.5/sqrt(97) = 0.100774. Ranks floor(97 *
  // 0.399226) = 38 and ceil(97 * 0.600774) + 1 = 60. Samples are 1..97.
  const MedianEstimate estimate = estimate_median(scattered(97), 0.95);
  EXPECT_EQ(estimate.median, 49);
  EXPECT_EQ(estimate.n, 97U);
  EXPECT_EQ(estimate.ess, 97);
  ASSERT_TRUE(estimate.interval);
  EXPECT_EQ(estimate.interval->low, 38);
  EXPECT_EQ(estimate.interval->high, 60);
}

TEST(median_estimate, the_interval_reaches_as_far_as_the_effective_samples_demand) {
  // 1..1500 in 30 scattered runs of 50 rising values: worth about 30 samples, and each value is its rank.
  // From the ESS found: ranks floor(1500 * (0.5 - reach)) and ceil(1500 * (0.5 + reach)) + 1.
  Samples samples;
  for (double run : scattered(30))
    for (int i = 1; i <= 50; ++i) samples.push_back((run - 1) * 50 + i);
  const MedianEstimate estimate = estimate_median(samples, 0.999);
  EXPECT_GT(estimate.ess, 12);
  EXPECT_LT(estimate.ess, 45);
  const double reach = student_t_quantile(0.9995, estimate.ess - 1) * 0.5 / std::sqrt(estimate.ess);
  EXPECT_EQ(estimate.interval->low, std::floor(1500 * (0.5 - reach)));
  EXPECT_EQ(estimate.interval->high, std::ceil(1500 * (0.5 + reach)) + 1);
}

// P(B <= k), B binomial (n, 1/2): how many of n independent samples lie below the median.
double binomial_cdf(int k, int n) {
  double sum = 0.0;
  for (int i = 0; i <= k; ++i)
    sum +=
        std::exp(std::lgamma(n + 1.0) - std::lgamma(i + 1.0) - std::lgamma(n - i + 1.0) - n * std::log(2.0));
  return sum;
}

TEST(median_estimate, the_interval_covers_exactly_computed_at_every_small_n) {
  for (double confidence : {0.8, 0.95, 0.99})
    for (int n = 1; n <= 150; ++n) {
      const MedianEstimate estimate = estimate_median(scattered(static_cast<std::size_t>(n)), confidence);
      ASSERT_EQ(estimate.ess, n);
      const double widest = 1 - std::exp2(1 - n);
      ASSERT_EQ(estimate.interval.has_value(), widest >= confidence) << n;
      if (!estimate.interval) continue;
      // [x_low, x_high] holds the median unless fewer than `low` or at least `high` samples lie below it.
      const int low = static_cast<int>(estimate.interval->low),
                high = static_cast<int>(estimate.interval->high);
      const double coverage = binomial_cdf(high - 1, n) - binomial_cdf(low - 1, n);
      EXPECT_GE(coverage, confidence) << n << " samples at " << confidence;
    }
}

TEST(median_estimate, fewer_than_six_samples_have_no_interval_at_95_percent) {
  EXPECT_FALSE(estimate_median(scattered(5), 0.95).interval);
  const MedianEstimate six = estimate_median(scattered(6), 0.95);
  ASSERT_TRUE(six.interval);
  EXPECT_EQ(six.interval->low, 1);
  EXPECT_EQ(six.interval->high, 6);
  EXPECT_EQ(estimate_median(Samples{4}, 0.95).median, 4);
  EXPECT_FALSE(estimate_median(Samples{4}, 0.95).interval);
  EXPECT_THROW(estimate_median(Samples{}, 0.95), Error);
  EXPECT_THROW(estimate_median(scattered(6), 1.0), Error);
}

TEST(median_estimate, many_samples_of_one_slow_step_have_no_interval) {
  Samples step(1000, 1.0);
  std::fill(step.begin() + 500, step.end(), 2.0);
  EXPECT_FALSE(estimate_median(step, 0.95).interval);
}

TEST(median_estimate, equal_samples_have_an_interval_of_no_width) {
  const MedianEstimate estimate = estimate_median(Samples(20, 0.1), 0.95);
  EXPECT_EQ(estimate.median, 0.1);
  ASSERT_TRUE(estimate.interval);
  EXPECT_EQ(estimate.interval->low, 0.1);
  EXPECT_EQ(estimate.interval->high, 0.1);
}

TEST(median_estimate, dependent_samples_give_a_wider_interval) {
  const Samples slow = autoregressive(4000, 0.95);
  const MedianEstimate dependent = estimate_median(slow, 0.95);
  EXPECT_LT(dependent.ess, 400);
  // Same values, independent order: sqrt(4000/ess) times narrower.
  Samples shuffled = slow;
  for (std::size_t i = shuffled.size() - 1; i > 0; --i)
    std::swap(shuffled[i], shuffled[random_below(5, 0, i, i + 1)]);
  const MedianEstimate mixed = estimate_median(shuffled, 0.95);
  EXPECT_EQ(mixed.median, dependent.median);
  EXPECT_GT(dependent.interval->half_width(), 2 * mixed.interval->half_width());
}

TEST(mean_estimate, the_interval_is_the_t_interval_for_independent_samples) {
  // 1..8 scattered: mean 4.5, deviation sqrt(42/7) = 2.449490, t(7) = 2.364624: 2.364624 * 2.449490/sqrt(8)
  // = 2.047817.
  const MeanEstimate estimate = estimate_mean(scattered(8), 0.95);
  EXPECT_EQ(estimate.mean, 4.5);
  EXPECT_EQ(estimate.n, 8U);
  ASSERT_TRUE(estimate.interval);
  EXPECT_NEAR(estimate.interval->low, 4.5 - 2.047817, 1e-5);
  EXPECT_NEAR(estimate.interval->high, 4.5 + 2.047817, 1e-5);
  EXPECT_FALSE(estimate_mean(scattered(5), 0.95).interval);
  EXPECT_THROW(estimate_mean(Samples{}, 0.95), Error);
}

TEST(mean_estimate, dependence_inflates_the_variance) {
  const Samples slow = autoregressive(4000, 0.9);
  const MeanEstimate estimate = estimate_mean(slow, 0.95);
  EXPECT_LT(estimate.ess, 4000 / 10.0);  // the time is 19
  EXPECT_GT(estimate.interval->half_width(), 3 * 1.96 * *standard_deviation(slow) / std::sqrt(4000.0));
}

TEST(ratio_estimate, a_linear_drift_cancels_in_blocks) {
  // A B B A with a = 3 and b = 2 and a drift of +1 % of `b` per slot: a block is 3+0, 2+.02, 2+.04, 3+.06 and
  // so on, so a and b gain the same sum: (6 + d)/(4 + d) with d = 0.06 + 0.16 i for block i.
  Samples a, b;
  for (int slot = 0; slot < 40; ++slot)
    (slot % 4 == 0 || slot % 4 == 3 ? a : b)
        .push_back((slot % 4 == 0 || slot % 4 == 3 ? 3 : 2) + 0.02 * slot);
  const RatioEstimate estimate = estimate_ratio(a, b, 0.95);
  EXPECT_EQ(estimate.blocks, 10U);
  const double fifth = (6 + 0.06 + 0.16 * 4) / (4 + 0.06 + 0.16 * 4),
               sixth = (6 + 0.06 + 0.16 * 5) / (4 + 0.06 + 0.16 * 5);
  EXPECT_NEAR(estimate.ratio, (fifth + sixth) / 2, 1e-12);
}

TEST(ratio_estimate, shared_noise_cancels) {
  Samples a, b;
  double level = 1.0;
  for (int block = 0; block < 50; ++block) {
    level *= block % 2 == 0 ? 2 : 0.4;
    for (int i = 0; i < 2; ++i) a.push_back(1.5 * level), b.push_back(level);
  }
  const RatioEstimate estimate = estimate_ratio(a, b, 0.95);
  EXPECT_NEAR(estimate.ratio, 1.5, 1e-12);
  ASSERT_TRUE(estimate.interval);
  EXPECT_NEAR(estimate.interval->half_width(), 0, 1e-12);
}

TEST(ratio_estimate, only_common_whole_blocks_count) {
  const Samples a = {2, 4, 9, 9, 100}, b = {1, 2, 1000};
  const RatioEstimate estimate = estimate_ratio(a, b, 0.95);
  EXPECT_EQ(estimate.blocks, 1U);
  EXPECT_EQ(estimate.ratio, 2);  // (2 + 4)/(1 + 2)
  EXPECT_FALSE(estimate.interval);
}

TEST(ratio_estimate, a_single_pair_gives_a_ratio_without_interval) {
  const RatioEstimate estimate = estimate_ratio(Samples{3}, Samples{2, 5}, 0.95);
  EXPECT_EQ(estimate.ratio, 1.5);
  EXPECT_EQ(estimate.blocks, 0U);
  EXPECT_FALSE(estimate.interval);
  EXPECT_THROW(estimate_ratio(Samples{}, Samples{1}, 0.95), Error);
  EXPECT_THROW(estimate_ratio(Samples{1}, Samples{}, 0.95), Error);
  EXPECT_THROW(estimate_ratio(Samples{1, 1}, Samples{1, 0}, 0.95), Error);
}

TEST(ratio_estimate, swapping_the_targets_inverts_it) {
  Samples a = independent(200, 3), b = independent(200, 4);
  for (double& x : a) x += 3;
  for (double& x : b) x += 2;
  const RatioEstimate forth = estimate_ratio(a, b, 0.95), back = estimate_ratio(b, a, 0.95);
  EXPECT_NEAR(forth.ratio * back.ratio, 1, 1e-3);
  EXPECT_NEAR(forth.interval->low * back.interval->high, 1, 1e-12);
}

TEST(estimates, a_sample_that_is_no_number_is_an_error_that_says_which) {
  for (double bad :
       {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    const Samples samples = {1, 2, bad, 4, 5, 6, 7, 8}, fine(8, 1.0);
    EXPECT_THROW(median(samples), Error);
    EXPECT_THROW(mean(samples), Error);
    EXPECT_THROW(standard_deviation(samples), Error);
    EXPECT_THROW(autocorrelation_time(samples), Error);
    EXPECT_THROW(batch_means_time(samples, 2), Error);
    EXPECT_THROW(effective_sample_size(samples), Error);
    EXPECT_THROW(estimate_mean(samples, 0.95), Error);
    EXPECT_THROW(estimate_ratio(samples, fine, 0.95), Error);
    EXPECT_THROW(estimate_ratio(fine, samples, 0.95), Error);
    try {
      estimate_median(samples, 0.95);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::device);
      EXPECT_NE(error.message().find("sample 3 of 8"), std::string::npos) << error.message();
    }
  }
}

TEST(wilson, the_interval_is_that_of_the_formula) {
  // 380 of 400 at 95 %: z2 = 3.841459, centre (0.95 + 0.00480182)/(1.00960365) = 0.945720,
  // reach 1.959964/1.00960365 * sqrt(0.95*0.05/400 + 3.841459/640000) = 0.021679.
  const Interval interval = wilson_interval(380, 400, 0.95);
  EXPECT_NEAR(interval.low, 0.924041, 1e-5);
  EXPECT_NEAR(interval.high, 0.967399, 1e-5);
  EXPECT_EQ(wilson_interval(5, 5, 0.95).high, 1);
  EXPECT_LT(wilson_interval(5, 5, 0.95).low, 0.6);
  EXPECT_EQ(wilson_interval(0, 5, 0.95).low, 0);
  EXPECT_THROW(wilson_interval(0, 0, 0.95), Error);
}

}  // namespace
}  // namespace chokepoint
