// Changes of level: steps are found where they are, spikes, drifts and noise are not called steps.
#include "harness/track/change_points.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/track/series.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

using test::Draws;

std::vector<double> noisy(std::size_t n, double deviation, std::uint64_t seed) {
  Draws draws(seed);
  std::vector<double> series(n);
  for (double& value : series) value = deviation * draws.normal();
  return series;
}

void shift(std::vector<double>& series, std::size_t from, std::size_t to, double by) {
  for (std::size_t i = from; i < to; ++i) series[i] += by;
}

TEST(change_points, cost_by_hand) {
  // One level, 0.5: 4 * 0.25 = 1. Two levels: 0 + the penalty.
  const std::vector<double> series = {0, 0, 1, 1};
  EXPECT_NEAR(find_segments(series, 1.0, 2.0).cost, 1.0, 1e-12);
  const Segmentation cut = find_segments(series, 1.0, 0.5);
  EXPECT_NEAR(cut.cost, 0.5, 1e-12);
  ASSERT_EQ(cut.segments.size(), 2U);
  EXPECT_EQ(cut.segments[1].begin, 2U);
  EXPECT_NEAR(cut.segments[1].level, 1.0, 1e-12);
  // Smaller deviation, larger distances: (1/0.1)^2 each, but never above 9: the level is 0, two points cost 9.
  EXPECT_NEAR(find_segments(series, 0.1, 100.0).cost, 18.0, 1e-12);
}

TEST(change_points, constant_short_and_empty_series) {
  EXPECT_TRUE(find_segments({}, 1.0, 1.0).segments.empty());
  EXPECT_EQ(find_segments(std::vector<double>{3.0}, 1.0, 1.0).segments.at(0).level, 3.0);
  EXPECT_EQ(find_segments(std::vector<double>(50, 3.0), 1.0, 1.0).segments.size(), 1U);
  EXPECT_THROW(find_segments(std::vector<double>{1.0}, 0.0, 1.0), Error);
  EXPECT_THROW(find_segments(std::vector<double>{1.0}, 1.0, 0.0), Error);
}

TEST(change_points, steps_are_found_where_they_are) {
  std::vector<double> series = noisy(100, 0.01, 1);
  shift(series, 30, 100, 0.05);
  shift(series, 70, 100, -0.08);
  const std::vector<Segment> segments = find_segments(series, 0.01, default_penalty(100)).segments;
  ASSERT_EQ(segments.size(), 3U);
  EXPECT_NEAR(static_cast<double>(segments[1].begin), 30, 1);
  EXPECT_NEAR(static_cast<double>(segments[2].begin), 70, 1);
  EXPECT_NEAR(segments[1].level - segments[0].level, 0.05, 0.01);
}

TEST(change_points, noise_of_neighbours_ignores_steps_and_spikes) {
  std::vector<double> series = noisy(400, 0.01, 2);
  shift(series, 100, 400, 1.0);
  shift(series, 200, 201, 5.0);
  EXPECT_NEAR(neighbour_deviation(series), 0.01, 0.0015);
}

TEST(series, level_change_has_ratio_and_interval) {
  std::vector<double> series = noisy(60, 0.005, 3);
  shift(series, 40, 60, std::log(1.03));
  const std::optional<SeriesFindings> findings = analyse_series(series, {});
  ASSERT_TRUE(findings);
  ASSERT_EQ(findings->changes.size(), 1U);
  EXPECT_NEAR(static_cast<double>(findings->changes[0].at), 40, 1);
  EXPECT_TRUE(findings->changes[0].interval.contains(1.03));
  EXPECT_LT(findings->changes[0].interval.half_width(), 0.005);
  EXPECT_FALSE(findings->drift);
}

TEST(series, spikes_are_named_and_are_no_change) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<double> series = noisy(60, 0.005, 100 + seed);
    shift(series, 20, 21, 0.5);
    shift(series, 40, 42, 0.2);  // two in a row
    const std::optional<SeriesFindings> findings = analyse_series(series, {});
    EXPECT_TRUE(findings->changes.empty()) << seed;
    EXPECT_GE(findings->spikes.size(), 3U);
  }
}

TEST(series, three_runs_at_a_new_level_are_a_change) {
  std::vector<double> series = noisy(40, 0.005, 5);
  shift(series, 37, 40, 0.05);
  EXPECT_EQ(analyse_series(series, {})->changes.size(), 1U);
  series.resize(39);
  EXPECT_TRUE(analyse_series(series, {})->changes.empty()) << "two could be spikes";
}

TEST(series, a_drift_is_a_drift_and_no_staircase) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<double> series = noisy(100, 0.005, 200 + seed);
    for (std::size_t i = 0; i < 100; ++i) series[i] += 0.001 * static_cast<double>(i);  // 10 % in all
    const std::optional<SeriesFindings> findings = analyse_series(series, {});
    EXPECT_TRUE(findings->changes.empty()) << seed;
    ASSERT_TRUE(findings->drift);
    EXPECT_NEAR(*findings->drift, 0.001, 0.0001);
  }
}

TEST(series, a_step_in_a_drift_is_found) {
  std::vector<double> series = noisy(100, 0.005, 7);
  for (std::size_t i = 0; i < 100; ++i) series[i] += 0.001 * static_cast<double>(i);
  shift(series, 60, 100, 0.05);
  const std::optional<SeriesFindings> findings = analyse_series(series, {});
  ASSERT_TRUE(findings->drift);
  ASSERT_EQ(findings->changes.size(), 1U);
  EXPECT_NEAR(static_cast<double>(findings->changes[0].at), 60, 1);
  EXPECT_NEAR(findings->changes[0].time_ratio, std::exp(0.05), 0.01);
}

TEST(series, a_step_alone_is_no_drift) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<double> series = noisy(50, 0.005, 300 + seed);
    shift(series, 25, 50, 0.06);
    const std::optional<SeriesFindings> findings = analyse_series(series, {});
    EXPECT_FALSE(findings->drift) << seed;
    EXPECT_EQ(findings->changes.size(), 1U) << seed;
  }
}

TEST(series, wide_intervals_of_samples_are_the_least_noise) {
  std::vector<double> series = noisy(40, 0.0001, 8);
  shift(series, 20, 40, 0.005);
  EXPECT_EQ(analyse_series(series, {})->changes.size(), 1U);
  EXPECT_TRUE(analyse_series(series, std::vector<double>(40, 0.01))->changes.empty());
}

TEST(series, few_points_have_no_levels) { EXPECT_FALSE(analyse_series(std::vector<double>(5, 1.0), {})); }

// Half a percent would be 5 of 1000; the bound in the header is one in a hundred.
TEST(series, independent_noise_shows_no_change) {
  for (const std::size_t n : {20U, 100U}) {
    int alarms = 0;
    for (std::uint64_t seed = 0; seed < 1000; ++seed)
      alarms += analyse_series(noisy(n, 0.01, 1000 + seed), {})->changes.empty() ? 0 : 1;
    EXPECT_LE(alarms, 10) << n;
  }
}

}  // namespace
}  // namespace chokepoint
