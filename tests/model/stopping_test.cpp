// The stopping rule: when it looks, what each look costs, why it ends, and which interval it reports.
#include "harness/model/stopping.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

constexpr double kForever_s = 1e9;

// Independent, uniform within `spread` around 1, times `scale`.
double noise(std::size_t i, double spread, double scale = 1e-3, std::uint64_t seed = 1) {
  return scale * (1.0 + spread * (2 * random_unit(seed, 0, i) - 1));
}

// Feeds samples until the rule is done, or `most` of them; time is their sum.
template <class Sample>
void feed(StoppingRule& rule, const Sample& sample, std::size_t most = 1000000) {
  double elapsed_s = 0.0;
  for (std::size_t i = rule.samples().size(); i < most && !rule.done(); ++i) {
    elapsed_s += sample(i);
    rule.add(sample(i), elapsed_s);
  }
}

TEST(stopping, looks_grow_by_half_and_fall_on_even_counts) {
  StoppingRule rule({.half_width = 1e-9, .budget_s = kForever_s});
  std::vector<std::size_t> looks = {rule.next_look()};
  for (std::size_t i = 0; i < 2500; ++i) {
    rule.add(noise(i, 0.5), 0);
    if (rule.next_look() != looks.back()) looks.push_back(rule.next_look());
  }
  // 128, 192, 288, 432, 648, 972, 1458, 2187 -> 2188, 3282
  EXPECT_EQ(looks, (std::vector<std::size_t>{128, 192, 288, 432, 648, 972, 1458, 2188, 3282}));
}

TEST(stopping, steady_samples_stop_at_the_first_look_that_can) {
  StoppingRule rule({.budget_s = kForever_s});
  feed(rule, [](std::size_t) { return 1e-3; });
  const Outcome outcome = rule.outcome();
  EXPECT_EQ(outcome.stopped_by, "precision");
  EXPECT_EQ(outcome.estimate.n, 288U);  // 128 and 192 cannot hold 200 effective samples, so they cost nothing
  EXPECT_EQ(outcome.looks, 1U);
  EXPECT_DOUBLE_EQ(outcome.interval_confidence, 1 - 0.05 / 2);
  EXPECT_EQ(outcome.half_width, 0);
}

TEST(stopping, the_interval_reported_is_the_one_it_stopped_on) {
  const SamplingPlan plan{.half_width = 0.01, .budget_s = kForever_s};
  StoppingRule rule(plan);
  feed(rule, [](std::size_t i) { return noise(i, 0.25); });
  const Outcome outcome = rule.outcome();
  ASSERT_EQ(outcome.stopped_by, "precision");
  EXPECT_GT(outcome.looks, 1U);
  // Look k has alpha/(k(k+1)) of the error to spend.
  const double k = static_cast<double>(outcome.looks);
  EXPECT_DOUBLE_EQ(outcome.interval_confidence, 1 - 0.05 / (k * (k + 1)));
  const MedianEstimate again = estimate_median(rule.samples(), outcome.interval_confidence);
  EXPECT_EQ(outcome.estimate.interval->low, again.interval->low);
  EXPECT_EQ(outcome.estimate.interval->high, again.interval->high);
  EXPECT_LE(*outcome.half_width, plan.half_width);
  EXPECT_DOUBLE_EQ(*outcome.half_width, again.interval->half_width() / again.median);
  // One look earlier it was too wide.
  const std::vector<double> earlier(
      rule.samples().begin(),
      rule.samples().begin() + static_cast<long>(std::lround(static_cast<double>(outcome.estimate.n) / 1.5)));
  const MedianEstimate before = estimate_median(earlier, 1 - 0.05 / (k * (k - 1)));
  EXPECT_GT(before.interval->half_width() / before.median, plan.half_width);
}

TEST(stopping, the_shares_of_all_looks_add_up_to_the_error_allowed) {
  StoppingRule rule({.half_width = 1e-9, .confidence = 0.9, .budget_s = kForever_s, .most_samples = 2000});
  feed(rule, [](std::size_t i) { return noise(i, 0.5); });
  const Outcome outcome = rule.outcome();
  EXPECT_EQ(outcome.looks, 5U);  // 288, 432, 648, 972, 1458
  double spent = 0.1 / 2 + 0.1 / 6 + 0.1 / 12 + 0.1 / 20 + 0.1 / 30;
  EXPECT_NEAR(spent, 0.1 * 5 / 6, 1e-15);  // 1/(k(k+1)) telescopes to k/(k+1): below the whole, for ever
  EXPECT_DOUBLE_EQ(outcome.interval_confidence, 1 - 0.1 / (6 * 7));  // ended between looks: that of the next
}

TEST(stopping, a_narrow_interval_of_dependent_samples_does_not_stop) {
  // Two levels 0.2 % apart in runs of 50: far narrower than 1 %, but 288 samples are worth only a few.
  StoppingRule rule({.budget_s = kForever_s});
  feed(
      rule, [](std::size_t i) { return i / 50 % 2 == 0 ? 1e-3 : 1.002e-3; }, 2000);
  EXPECT_FALSE(rule.done());
  EXPECT_LT(*rule.latest_half_width(), 0.01);
  EXPECT_THROW(rule.outcome(), Error);
}

TEST(stopping, the_budget_ends_it_with_a_wider_interval) {
  StoppingRule rule({.half_width = 1e-4, .budget_s = 0.5});
  feed(rule, [](std::size_t i) { return noise(i, 0.5); });
  const Outcome outcome = rule.outcome();
  EXPECT_EQ(outcome.stopped_by, "budget");
  EXPECT_NEAR(static_cast<double>(outcome.estimate.n), 500, 25);
  EXPECT_EQ(outcome.looks, 2U);  // 288, 432
  EXPECT_DOUBLE_EQ(outcome.interval_confidence, 1 - 0.05 / 12);
  EXPECT_EQ(outcome.estimate.n, rule.samples().size());
  EXPECT_GT(*outcome.half_width, 1e-4);
}

TEST(stopping, a_budget_that_ends_at_once_gives_one_sample_and_no_interval) {
  StoppingRule rule({.budget_s = 1e-6});
  EXPECT_TRUE(rule.add(1e-3, 1e-3));
  const Outcome outcome = rule.outcome();
  EXPECT_EQ(outcome.stopped_by, "budget");
  EXPECT_EQ(outcome.estimate.median, 1e-3);
  EXPECT_FALSE(outcome.estimate.interval);
  EXPECT_FALSE(outcome.half_width);
  EXPECT_EQ(outcome.looks, 0U);
}

TEST(stopping, the_budget_counts_elapsed_time_and_not_samples) {
  StoppingRule rule({.budget_s = 1.0});
  EXPECT_FALSE(rule.add(1e-6, 0.999));
  EXPECT_TRUE(rule.add(1e-6, 1.0));
}

TEST(stopping, long_samples_are_looked_at_early_and_flagged) {
  StoppingRule rule({.budget_s = kForever_s});
  feed(rule, [](std::size_t) { return 0.06; });
  EXPECT_EQ(rule.outcome().stopped_by, "ess_low");
  EXPECT_EQ(rule.outcome().estimate.n, 32U);
  while (rule.samples().size() < 400) rule.add(0.06, 100.0);
  EXPECT_EQ(rule.outcome().stopped_by, "ess_low");  // the first reason stays
  StoppingRule quick({.budget_s = kForever_s});
  feed(quick, [](std::size_t) { return 0.04; });
  EXPECT_EQ(quick.outcome().stopped_by, "precision");
  EXPECT_EQ(quick.outcome().estimate.n, 288U);
}

TEST(stopping, long_samples_with_many_effective_ones_are_not_flagged) {
  // Wide at first, so that it has to go on past 200 effective samples.
  StoppingRule rule({.half_width = 0.01, .budget_s = kForever_s});
  feed(rule, [](std::size_t i) { return noise(i, 0.25, 0.1); });
  EXPECT_EQ(rule.outcome().stopped_by, "precision");
  EXPECT_GE(rule.outcome().estimate.ess, 200);
}

TEST(stopping, the_largest_count_ends_it) {
  StoppingRule rule({.half_width = 1e-9, .budget_s = kForever_s, .most_samples = 301});
  feed(rule, [](std::size_t i) { return noise(i, 0.5); });
  EXPECT_EQ(rule.outcome().stopped_by, "samples");
  EXPECT_EQ(rule.outcome().estimate.n, 301U);
}

TEST(stopping, samples_after_the_end_are_part_of_the_estimate_at_the_price_of_the_next_look) {
  StoppingRule rule({.budget_s = kForever_s});
  feed(rule, [](std::size_t i) { return noise(i, 0.01); });
  ASSERT_EQ(rule.outcome().estimate.n, 288U);
  rule.add(1e-3, kForever_s * 2);
  EXPECT_EQ(rule.outcome().stopped_by, "precision");  // the first reason stays
  EXPECT_EQ(rule.outcome().estimate.n, 289U);
  EXPECT_DOUBLE_EQ(rule.outcome().interval_confidence, 1 - 0.05 / 6);
  while (rule.samples().size() < 432) rule.add(noise(rule.samples().size(), 0.01), 1.0);
  EXPECT_EQ(rule.outcome().looks, 2U);
  EXPECT_DOUBLE_EQ(rule.outcome().interval_confidence, 1 - 0.05 / 6);
}

TEST(stopping, a_sample_that_is_no_time_is_an_error) {
  StoppingRule rule({.budget_s = 1.0});
  for (double bad : {0.0, -1e-3, std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(rule.add(bad, 0.1), Error) << bad;
  EXPECT_THROW(rule.add(1e-3, std::nan("")), Error);
  EXPECT_TRUE(rule.samples().empty());
}

TEST(stopping, a_plan_that_cannot_work_is_refused) {
  EXPECT_THROW(StoppingRule({.half_width = 0}), Error);
  EXPECT_THROW(StoppingRule({.confidence = 1}), Error);
  EXPECT_THROW(StoppingRule({.budget_s = -1}), Error);
  EXPECT_THROW(StoppingRule({.least_ess = std::nan("")}), Error);
  EXPECT_THROW(StoppingRule({.long_first_look = 500}), Error);
  EXPECT_THROW(StoppingRule({.growth = 1.0}), Error);
  EXPECT_THROW(StoppingRule({.most_samples = 0}), Error);
}

}  // namespace
}  // namespace chokepoint
