// Dependence between neighbouring samples: times and effective counts by hand and for processes whose time is
// known.
#include "harness/model/dependence.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/model/descriptive.hpp"
#include "tests/model/processes.hpp"

namespace chokepoint {
namespace {

TEST(dependence, the_autocorrelation_time_follows_its_definition) {
  // Mean 0, products at lag 1: 1+1-1+1-1+1+1 = 3 of a sum of squares of 8: 1 + 2*3/8 = 1.75, and 1 < 5
  // * 1.75. Lag 2: 1-1-1-1-1+1 = -2: 1.75 - 4/8 = 1.25. Lag 3: -1-1+1-1-1 = -3: 1.25 - 6/8 = 0.5; 3 >= 2.5
  // ends the window.
  EXPECT_EQ(autocorrelation_time(Samples{1, 1, 1, -1, -1, 1, -1, -1}), 1.0);
  // The same with three lags more to go: 1, 1, 1, 1, -1, -1, -1, -1. Lag 1: 5, lag 2: 2, lag 3: -1, lag 4 =
  // n/2: -4. 1 + 2 * (5 + 2 - 1 - 4)/8 = 1.5.
  EXPECT_DOUBLE_EQ(autocorrelation_time(Samples{1, 1, 1, 1, -1, -1, -1, -1}), 1.5);
}

TEST(dependence, times_are_near_the_truth_of_known_processes) {
  EXPECT_NEAR(autocorrelation_time(independent(20000)), 1, 0.1);
  EXPECT_NEAR(autocorrelation_time(autoregressive(20000, 0.5)), 3, 0.3);  // 1.5/0.5
  EXPECT_NEAR(autocorrelation_time(autoregressive(20000, 0.9)), 19, 3);   // 1.9/0.1
  EXPECT_NEAR(batch_means_time(autoregressive(20000, 0.9), 200), 19, 5);  // 1/sqrt(2 * 200) = 5 % each way
  EXPECT_LT(batch_means_time(independent(20000), 200), 1.3);
}

TEST(dependence, the_window_reaches_five_times_as_far_as_the_time) {
  // x = e + e four samples earlier: correlation 1/2 at lag 4 and 0 elsewhere, so the time is 2. It is 1 up to
  // lag 3, and a window of less than 4 times that would miss it.
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Samples e = independent(20004, seed);
    Samples echo(20000);
    for (std::size_t i = 0; i < echo.size(); ++i) echo[i] = e[i] + e[i + 4];
    EXPECT_NEAR(autocorrelation_time(echo), 2, 0.25) << seed;
  }
}

TEST(dependence, batch_means_are_compared_with_single_samples) {
  // Two batches of 4: means 1 and 3, variance of the means 2; all samples: mean 2, squares 8 * 1, variance
  // 8/7.
  EXPECT_DOUBLE_EQ(batch_means_time(Samples{1, 1, 1, 1, 3, 3, 3, 3}, 2), 4 * 2 / (8.0 / 7));
  // Five samples, two batches: the latest four count. Means 1 and 3, variance 2; samples 4 * 1/3: 2 * 2 *
  // 3/4.
  EXPECT_DOUBLE_EQ(batch_means_time(Samples{100, 1, 1, 3, 3}, 2), 3);
  EXPECT_EQ(batch_means_time(Samples{1, 2, 3}, 2), 1);     // batches of 1 say nothing
  EXPECT_EQ(batch_means_time(Samples{1, 2, 1, 2}, 2), 1);  // equal means: 0, read as 1
  EXPECT_THROW(batch_means_time(Samples{1, 2, 1, 2}, 1), Error);
}

TEST(dependence, batch_means_see_a_drift_that_the_window_cuts_off) {
  Samples drift = independent(1600);
  for (std::size_t i = 0; i < drift.size(); ++i) drift[i] += 0.3 * static_cast<double>(i) / 1600;
  EXPECT_GT(batch_means_time(drift), 5);
  EXPECT_LT(effective_sample_size(drift), 1600 / 5.0);
}

TEST(dependence, effective_samples_lie_between_one_and_n) {
  EXPECT_EQ(effective_sample_size(Samples{}), 0);
  EXPECT_EQ(effective_sample_size(Samples{3}), 1);
  EXPECT_EQ(effective_sample_size(Samples(50, 2.0)), 50);
  EXPECT_EQ(effective_sample_size(Samples{1, 2, 1, 2, 1, 2, 1, 2, 1, 2}),
            10);  // anti-correlated: never above n
  EXPECT_EQ(effective_sample_size(scattered(97)), 97);
  Samples step(1000, 1.0);
  std::fill(step.begin() + 500, step.end(), 2.0);
  EXPECT_LT(effective_sample_size(step), 10);
  EXPECT_GE(effective_sample_size(step), 1);
  const double ess = effective_sample_size(autoregressive(20000, 0.9));
  EXPECT_LT(ess, 20000 / 10.0);
  EXPECT_GT(ess, 20000 / 40.0);
}

TEST(dependence, indicators_have_the_autocorrelation_time_of_the_same_numbers) {
  // Zeros and ones are their own indicator x > 0 at the levels 0.25 and 0.5, so both ways have to agree.
  for (std::size_t n : {65UL, 640UL, 1001UL}) {
    Samples bits = autoregressive(n, 0.8);
    for (double& x : bits) x = x > 0.3 ? 1.0 : 0.0;
    const double time = std::max(autocorrelation_time(bits), batch_means_time(bits));
    EXPECT_NEAR(effective_sample_size(bits), static_cast<double>(n) / time, 1e-9) << n;
  }
}

TEST(dependence, samples_piled_up_on_the_median_do_not_hide_that_they_come_in_runs) {
  // The median is the largest value, so nothing lies above it: only the lower levels see the runs of 25.
  Samples coarse;
  for (int run = 0; run < 40; ++run) coarse.insert(coarse.end(), 25, run % 5 < 2 ? 1.0 : 2.0);
  EXPECT_EQ(median(coarse), 2);
  EXPECT_LT(effective_sample_size(coarse), 200);
}

TEST(dependence, a_rare_second_speed_counts_although_the_median_hardly_sees_it) {
  Samples samples = independent(2000);  // in [0, 1)
  for (std::size_t i = 0; i < samples.size(); ++i)
    if (i % 500 < 75) samples[i] += 5;  // 15 % of the time, 75 in a row
  EXPECT_LT(effective_sample_size(samples), 60);
}

}  // namespace
}  // namespace chokepoint
