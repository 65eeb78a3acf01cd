// How often does a comparison cry wolf, and how often does it see the wolf? On synthetic runs whose truth is known.
#include <gtest/gtest.h>

#include "harness/model/statistics.hpp"
#include "harness/track/calibration.hpp"
#include "harness/track/compare.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

using test::Scenario;
using test::synthetic_side;

struct Trial {
  std::string name;
  Scenario scenario;
  std::size_t runs = 1;              // a side
  std::size_t calibration_runs = 0;  // beforehand
  double margin = CompareOptions{}.margin;
};

ComparisonReport outcome(const Trial& trial, const Scenario& scenario, std::uint64_t seed) {
  CompareOptions options{.margin = trial.margin};
  if (trial.calibration_runs > 0)
    options.calibration =
        calibrate_noise(synthetic_side(trial.scenario, false, trial.calibration_runs, seed + 1000000), {}).noise;
  return compare_runs(synthetic_side(scenario, false, trial.runs, seed),
                      synthetic_side(scenario, true, trial.runs, seed), options);
}

// Share of suites with any verdict but same or ambiguous although nothing changed.
std::size_t false_alarms(const Trial& trial, std::size_t suites) {
  std::size_t alarms = 0;
  for (std::uint64_t seed = 0; seed < suites; ++seed) {
    const ComparisonReport report = outcome(trial, trial.scenario, seed);
    EXPECT_EQ(report.count(CaseVerdict::not_comparable), 0U);
    alarms += report.count(CaseVerdict::slower) + report.count(CaseVerdict::faster) > 0 ? 1 : 0;
  }
  return alarms;
}

// 3 % in the middle case.
std::size_t found(const Trial& trial, std::size_t suites) {
  Scenario scenario = trial.scenario;
  const std::size_t which = scenario.cases / 2;
  scenario.slow_cases = {which};
  scenario.slow_down = 1.03;
  std::size_t count = 0;
  for (std::uint64_t seed = 0; seed < suites; ++seed)
    count += outcome(trial, scenario, seed).cases[which].verdict == CaseVerdict::slower ? 1 : 0;
  return count;
}

constexpr std::size_t kSuites = 200;

// 10 of 200 are 5 %.
TEST(compare_slow, equal_code_raises_no_alarm_in_the_whole_suite) {
  const std::vector<Trial> trials = {
      {"1 % samples alone", {.cases = 20}, 1, 0},
      {"dependent samples", {.cases = 20, .correlation = 0.9}, 1, 0},
      {"runs differ ten times as much as samples show", {.cases = 20, .own_noise = 0.01}, 1, 0},
      {"the same, three runs", {.cases = 20, .own_noise = 0.01}, 3, 0},
      {"the same, two runs", {.cases = 20, .own_noise = 0.01}, 2, 0},
      {"the same, three cases", {.cases = 3, .own_noise = 0.01}, 1, 0},
      {"a run moves all of its cases", {.cases = 20, .common_noise = 0.01}, 1, 0},
      {"the same, three runs", {.cases = 20, .common_noise = 0.01, .own_noise = 0.002}, 3, 0},
      {"both, cases differ fourfold in noise",
       {.cases = 20, .common_noise = 0.01, .own_noise = 0.01, .own_noise_ratio = 4},
       3,
       0},
      {"both, calibrated", {.cases = 20, .common_noise = 0.01, .own_noise = 0.01, .own_noise_ratio = 4}, 1, 8},
      {"runs differ by 2 %, one case", {.cases = 1, .samples = 50, .own_noise = 0.02}, 1, 0},
      {"the same, four cases", {.cases = 4, .samples = 50, .own_noise = 0.02}, 1, 0},
      {"the same, five cases", {.cases = 5, .samples = 50, .own_noise = 0.02}, 1, 0},
      {"the same, twenty cases", {.cases = 20, .samples = 50, .own_noise = 0.02}, 1, 0},
      {"the same, cases differ fourfold in noise",
       {.cases = 20, .samples = 50, .own_noise = 0.02, .own_noise_ratio = 4},
       1,
       0},
      {"the same, two runs against two", {.cases = 20, .samples = 50, .own_noise = 0.02}, 2, 0},
      {"a run moves all of its cases by 2 %", {.cases = 20, .samples = 50, .common_noise = 0.02}, 1, 0},
      {"the same, three cases", {.cases = 3, .samples = 50, .common_noise = 0.02}, 1, 0},
      {"1.4 % of all and 1.4 % of each",
       {.cases = 20, .samples = 50, .common_noise = 0.014, .own_noise = 0.014},
       1,
       0}};
  for (const Trial& trial : trials) {
    const std::size_t alarms = false_alarms(trial, kSuites);
    EXPECT_LT(alarms, kSuites / 20) << trial.name;
    std::printf("%-50s %zu of %zu suites\n", trial.name.c_str(), alarms, kSuites);
  }
}

// 190 of 200 are 95 %.
TEST(compare_slow, three_percent_are_found) {
  const std::vector<Trial> trials = {{"1 % samples, 288 of them, one run a side", {.cases = 20, .samples = 288}, 1, 0},
                                     {"1 % samples, runs differ three times as much as they show, five runs",
                                      {.cases = 20, .own_noise = 0.0025},
                                      5,
                                      0},
                                     {"the same, all cases of a run alike, five runs",
                                      {.cases = 20, .common_noise = 0.0015, .own_noise = 0.0015},
                                      5,
                                      0},
                                     {"1 % samples, ten runs beforehand, three a side",
                                      {.cases = 20, .common_noise = 0.001, .own_noise = 0.0015},
                                      3,
                                      10},
                                     {"runs differ by 1 %, margin 0.5 %, ten runs",
                                      {.cases = 20, .samples = 30, .own_noise = 0.01},
                                      10,
                                      0,
                                      0.005},
                                     {"runs differ by 1 %, margin 2 %, eighty runs",
                                      {.cases = 20, .samples = 30, .own_noise = 0.01},
                                      80,
                                      0}};
  for (const Trial& trial : trials) {
    const std::size_t count = found(trial, kSuites);
    EXPECT_GT(count, kSuites * 95 / 100) << trial.name;
    std::printf("%-70s %zu of %zu\n", trial.name.c_str(), count, kSuites);
  }
}

// Eight of forty cases change by 6 %; of what is called a change at most 5 % are others.
TEST(compare_slow, false_discoveries_are_few_among_real_ones) {
  Scenario scenario{.cases = 40, .own_noise = 0.004, .slow_down = 1.06};
  for (std::size_t i = 0; i < 8; ++i) scenario.slow_cases.insert(5 * i);
  double share = 0.0;
  std::size_t real = 0;
  constexpr std::size_t kRounds = 100;
  for (std::uint64_t seed = 0; seed < kRounds; ++seed) {
    const ComparisonReport report = outcome({"", scenario, 4, 0}, scenario, seed);
    double wrong = 0, all = 0;
    for (std::size_t i = 0; i < report.cases.size(); ++i)
      if (const CaseVerdict verdict = report.cases[i].verdict;
          verdict == CaseVerdict::slower || verdict == CaseVerdict::faster) {
        ++all;
        if (scenario.slow_cases.contains(i))
          ++real;
        else
          ++wrong;
      }
    share += all > 0 ? wrong / all / kRounds : 0.0;
  }
  EXPECT_LT(share, 0.05);
  EXPECT_GT(real, 8 * kRounds * 9 / 10);
}

// The interval of an unchanged case's ratio holds 1 as often as it says.
TEST(compare_slow, intervals_hold_the_truth) {
  for (const std::size_t runs : {2U, 3U, 5U}) {
    Scenario scenario{.cases = 20, .common_noise = 0.005, .own_noise = 0.005};
    std::size_t hits = 0, all = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed)
      for (const CaseComparison& one : outcome({"", scenario, runs, 0}, scenario, 5000 + seed).cases) {
        hits += one.interval->contains(1.0) ? 1 : 0;
        ++all;
      }
    const double coverage = static_cast<double>(hits) / static_cast<double>(all);
    EXPECT_GT(coverage, 0.93) << runs;
    std::printf("%zu runs a side: %.3f of the intervals hold the truth\n", runs, coverage);
  }
}

}  // namespace
}  // namespace chokepoint
