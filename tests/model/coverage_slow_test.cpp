// Do intervals that claim 95 % hold the truth that often, on noise of every kind that timings show?
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/model/coverage.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kReplicates = 400;
constexpr double kLeastCoverage = 0.94;  // at nominal 0.95
constexpr std::uint64_t kSeed = 20260901;

const SamplingPlan kPlan{.half_width = 0.005, .budget_s = 1e9, .most_samples = 20000};

std::string described(const CoverageReport& report) {
  return fmt::format("{}: coverage {:.4f} [{:.4f}, {:.4f}], median n {:.0f}, {:.0f} % stopped by precision",
                     report.model, report.coverage, report.coverage_interval.low,
                     report.coverage_interval.high, report.median_n, 100 * report.precise_share);
}

class EachNoise : public testing::TestWithParam<NoiseModel> {};

std::string name_of(const testing::TestParamInfo<NoiseModel>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(noise, EachNoise, testing::ValuesIn(noise_models()), name_of);

// The truth comes from formulas; here it is counted. 400 runs of 5000 samples, so that slow processes mix:
// the share below the median is 1/2 within 3 standard errors of the shares between runs (plus the ties of a
// coarse timer).
TEST_P(EachNoise, has_half_of_its_samples_on_either_side_of_the_stated_median) {
  constexpr std::size_t kRuns = 400, kSamples = 5000;
  std::vector<double> below(kRuns), above(kRuns);
  for (std::size_t run = 0; run < kRuns; ++run) {
    const std::function<double()> next = GetParam().stream(random_bits(kSeed, 9, run));
    for (std::size_t i = 0; i < kSamples; ++i) {
      const double sample = next();
      ASSERT_GT(sample, 0.0);
      below[run] += sample < GetParam().true_median ? 1.0 / kSamples : 0.0;
      above[run] += sample > GetParam().true_median ? 1.0 / kSamples : 0.0;
    }
  }
  // 0.001 more is what is left of the warm-up drift of `warmed_up`: its mean over a run is 0.0013 % of 2 %
  // noise.
  EXPECT_LT(*mean(below), 0.5 + 3 * *standard_deviation(below) / std::sqrt(kRuns) + 0.001);
  EXPECT_LT(*mean(above), 0.5 + 3 * *standard_deviation(above) / std::sqrt(kRuns) + 0.001);
}

TEST_P(EachNoise, is_covered_by_the_stopping_rule) {
  const CoverageReport report = measure_coverage(GetParam(), kReplicates, kPlan, kSeed);
  fmt::print("{}\n", described(report));
  EXPECT_GE(report.coverage, kLeastCoverage);
  EXPECT_EQ(report.replicates, kReplicates);
  // And it ends: only the throttle may need more samples than it gets.
  EXPECT_GE(report.precise_share, GetParam().name == "throttle" ? 0.1 : 0.95);
}

TEST_P(EachNoise, is_covered_by_the_ratio_of_interleaved_targets_under_a_common_drift) {
  for (std::size_t blocks : {8UL, 50UL, 200UL}) {
    const CoverageReport report = measure_ratio_coverage(GetParam(), 1.3, blocks, kReplicates, 0.95, kSeed);
    EXPECT_GE(report.coverage, kLeastCoverage) << described(report) << ", " << blocks << " blocks";
  }
}

// Looks at a normal interval of the mean after every sample from the tenth on, and stops at the first narrow
// one.
Trial naive_rule(const std::function<double()>& next) {
  double sum = 0.0, squares = 0.0;
  for (std::size_t n = 1;; ++n) {
    const double sample = next() - 1.0;  // around 0, for accurate squares
    sum += sample, squares += sample * sample;
    if (n < 10) continue;
    const double count = static_cast<double>(n), centre = sum / count;
    const double reach = 1.96 * std::sqrt((squares / count - centre * centre) / (count - 1));
    if (reach <= kPlan.half_width * (1.0 + centre) || n == kPlan.most_samples)
      return {Interval{1.0 + centre - reach, 1.0 + centre + reach}, n, true};
  }
}

TEST(negative_control, a_naive_rule_fails_the_same_test_on_dependent_noise) {
  const NoiseModel& model = find_noise_model("autoregressive");
  const CoverageReport report =
      measure_coverage_of("naive", model.true_median, kReplicates, kSeed,
                          [&](std::uint64_t seed) { return naive_rule(model.stream(seed)); });
  fmt::print("{}\n", described(report));
  EXPECT_LT(report.coverage, 0.5);
}

TEST(negative_control,
     the_naive_rule_is_nearly_right_where_samples_are_independent) {  // so it is not just broken
  const NoiseModel& model = find_noise_model("white");
  const CoverageReport report =
      measure_coverage_of("naive", model.true_median, kReplicates, kSeed,
                          [&](std::uint64_t seed) { return naive_rule(model.stream(seed)); });
  EXPECT_GT(report.coverage, 0.85);
}

// 3000 samples of time 39 are worth some 80. Shuffled they look like 3000: the interval is 6 times too
// narrow.
TEST(negative_control, the_interval_fails_where_the_order_of_dependent_samples_is_lost) {
  const NoiseModel& model = find_noise_model("autoregressive");
  const auto coverage = [&](bool shuffled) {
    return measure_coverage_of("order", model.true_median, kReplicates, kSeed, [&](std::uint64_t seed) {
      const std::function<double()> next = model.stream(seed);
      std::vector<double> samples(3000);
      for (double& sample : samples) sample = next();
      for (std::size_t i = samples.size() - 1; shuffled && i > 0; --i)
        std::swap(samples[i], samples[random_below(seed, 1, i, i + 1)]);
      return Trial{estimate_median(samples, 0.95).interval, samples.size(), true};
    });
  };
  EXPECT_GE(coverage(false).coverage, kLeastCoverage) << described(coverage(false));
  EXPECT_LT(coverage(true).coverage, 0.5) << described(coverage(true));
}

TEST(negative_control, a_ratio_of_targets_run_one_after_the_other_is_not_covered) {
  const NoiseModel& model = find_noise_model("white");
  const CoverageReport report =
      measure_coverage_of("not interleaved", 1.3, kReplicates, kSeed, [&](std::uint64_t seed) {
        const std::function<double()> noise = model.stream(seed);
        std::vector<double> a, b;
        double drift = 0.0;
        for (std::size_t slot = 0; slot < 400; ++slot) {
          drift += 0.001 * (random_unit(seed, 1, slot) < 0.5 ? -1.0 : 1.0);
          (slot < 200 ? a : b).push_back(std::exp(drift) * (slot < 200 ? 1.3 : 1.0) * noise());
        }
        return Trial{estimate_ratio(a, b, 0.95).interval, 400, true};
      });
  EXPECT_LT(report.coverage, 0.7) << described(report);
}

TEST(coverage, the_same_seed_gives_the_same_report_and_another_seed_another) {
  const NoiseModel& model = find_noise_model("bursts");
  const CoverageReport one = measure_coverage(model, 50, kPlan, 1),
                       same = measure_coverage(model, 50, kPlan, 1);
  EXPECT_EQ(one.coverage, same.coverage);
  EXPECT_EQ(one.median_n, same.median_n);
  const std::function<double()> a = model.stream(1), b = model.stream(2);
  EXPECT_NE(a(), b());
}

TEST(coverage, it_counts_hits_misses_and_absent_intervals) {
  std::atomic<int> turn{0};
  const CoverageReport report = measure_coverage_of("counted", 1.0, 8, 1, [&](std::uint64_t) {
    const int i = turn++;
    if (i < 2) return Trial{std::nullopt, 10, false};
    if (i < 4) return Trial{Interval{2, 3}, 20, true};
    return Trial{Interval{1, 1}, 30, true};
  });
  EXPECT_EQ(report.coverage, 0.5);        // 4 of 8: no interval holds nothing
  EXPECT_EQ(report.precise_share, 0.75);  // 6 of 8
  EXPECT_EQ(report.median_n, 25);         // 10 10 20 20 30 30 30 30
  EXPECT_TRUE(report.coverage_interval.contains(0.5));
  EXPECT_THROW(measure_coverage_of("none", 1.0, 0, 1, [](std::uint64_t) { return Trial{}; }), Error);
}

TEST(coverage, an_unknown_noise_model_names_the_nearest) {
  try {
    find_noise_model("throtle");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"throttle\""), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace chokepoint
