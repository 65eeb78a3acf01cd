// Verdicts: what is compared with what, what is refused and why, what the gate says.
#include "harness/track/compare.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/track/calibration.hpp"
#include "tests/track/synthetic.hpp"

namespace chokepoint {
namespace {

using test::Scenario;
using test::synthetic_side;

Scenario quiet() { return {.cases = 8, .samples = 120, .sample_noise = 0.002}; }

ComparisonReport compared(const Scenario& scenario, std::size_t runs = 1, const CompareOptions& options = {}) {
  return compare_runs(synthetic_side(scenario, false, runs, 1), synthetic_side(scenario, true, runs, 1), options);
}

TEST(compare, a_slow_down_a_speed_up_and_the_rest) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 3, 1), now = synthetic_side(quiet(), true, 3, 1);
  for (RunRecords& run : now) {
    for (double& sample : run.records[2].time.samples) sample *= 1.10;
    for (double& sample : run.records[5].time.samples) sample *= 0.90;
  }
  const ComparisonReport report = compare_runs(base, now, {});
  ASSERT_EQ(report.cases.size(), 8U);
  EXPECT_EQ(report.cases[2].verdict, CaseVerdict::slower);
  EXPECT_NEAR(*report.cases[2].time_ratio, 1.10, 0.002);
  EXPECT_TRUE(report.cases[2].interval->contains(*report.cases[2].time_ratio));
  EXPECT_GT(report.cases[2].interval->low, 1.09);
  EXPECT_EQ(report.cases[5].verdict, CaseVerdict::faster);
  EXPECT_EQ(report.count(CaseVerdict::same), 6U);
  EXPECT_EQ(report.cases[0].noise, NoiseSource::runs);
  EXPECT_EQ(judge(report, false), GateOutcome::regression);
}

TEST(compare, a_change_below_the_margin_is_none) {
  Scenario scenario = quiet();
  scenario.slow_cases = {3};
  scenario.slow_down = 1.01;
  EXPECT_EQ(compared(scenario, 3).cases[3].verdict, CaseVerdict::same);
  EXPECT_EQ(compared(scenario, 3, {.margin = 0.005}).cases[3].verdict, CaseVerdict::slower);
}

TEST(compare, times_are_those_of_the_target) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = base;
  for (Record& record : now[0].records) {
    record.dilation = 2.0;
    for (double& sample : record.time.samples) sample *= 2.0;
  }
  const ComparisonReport report = compare_runs(base, now, {});
  EXPECT_EQ(report.count(CaseVerdict::same), 8U);
  EXPECT_NEAR(*report.cases[0].time_ratio, 1.0, 1e-9);
  EXPECT_EQ(report.cases[0].remarks.at(0), "dilation: 1:1, now 1:2");
}

TEST(compare, noise_that_samples_do_not_show_makes_ambiguous_not_slower) {
  Scenario scenario = quiet();
  scenario.own_noise = 0.03;  // samples show 0.02 %
  for (const std::size_t runs : {1U, 2U, 3U}) {
    const ComparisonReport report = compared(scenario, runs);
    EXPECT_EQ(report.count(CaseVerdict::slower) + report.count(CaseVerdict::faster), 0U) << runs;
    EXPECT_GT(report.count(CaseVerdict::ambiguous), 0U) << runs;
  }
}

TEST(compare, ambiguous_says_why_and_how_many_runs_would_tell) {
  Scenario scenario = quiet();
  scenario.own_noise = 0.01;
  const ComparisonReport report = compared(scenario, 2);
  for (const CaseComparison& one : report.cases)
    if (one.verdict == CaseVerdict::ambiguous) {
      EXPECT_NE(one.reason.find("crosses the margin of 2 %"), std::string::npos) << one.reason;
      EXPECT_GT(one.runs_needed.value_or(100), 2U);
      return;
    }
  FAIL() << "no case is ambiguous";
}

TEST(compare, few_cases_with_one_run_a_side_rest_on_an_assumption_that_is_told) {
  Scenario scenario = quiet();
  scenario.cases = 2;
  scenario.slow_cases = {1};
  scenario.slow_down = 1.03;
  const ComparisonReport assumed = compared(scenario);
  EXPECT_EQ(assumed.cases[1].noise, NoiseSource::assumed);
  EXPECT_EQ(assumed.cases[1].verdict, CaseVerdict::ambiguous) << "runs may differ by 2 %";
  EXPECT_NE(assumed.warnings.at(0).find("2 % is assumed; give several runs a side"), std::string::npos);
  const ComparisonReport stated = compared(scenario, 1, {.run_deviation = 0.001});
  EXPECT_EQ(stated.cases[1].noise, NoiseSource::stated);
  EXPECT_EQ(stated.cases[1].verdict, CaseVerdict::slower);
  scenario.slow_down = 1.5;
  EXPECT_EQ(compared(scenario).cases[1].verdict, CaseVerdict::slower) << "50 % is no noise";
}

TEST(compare, a_shift_of_everything_by_a_little_is_not_blamed_on_the_code) {
  Scenario scenario = quiet();
  for (std::size_t i = 0; i < 8; ++i) scenario.slow_cases.insert(i);
  scenario.slow_down = 1.03;
  const ComparisonReport report = compared(scenario);
  EXPECT_EQ(report.count(CaseVerdict::slower), 0U);
  EXPECT_NE(report.warnings.back().find("moved together"), std::string::npos);
  scenario.slow_down = 1.3;
  EXPECT_EQ(compared(scenario).count(CaseVerdict::slower), 8U) << "no machine does that by itself";
}

TEST(compare, a_case_that_broke_fails_the_gate) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  now[0].records[1].status = Status::failed;
  now[0].records[1].basis = std::nullopt;
  now[0].records[1].reason = "the child process died";
  const ComparisonReport report = compare_runs(base, now, {});
  EXPECT_EQ(report.cases[1].verdict, CaseVerdict::not_comparable);
  EXPECT_TRUE(report.cases[1].is_broken);
  EXPECT_NE(report.cases[1].reason.find("the child process died"), std::string::npos);
  EXPECT_EQ(judge(report, false), GateOutcome::regression);
  const ComparisonReport mended = compare_runs(now, base, {});
  EXPECT_FALSE(mended.cases[1].is_broken) << "it was broken before";
  EXPECT_EQ(judge(mended, false), GateOutcome::passed);
  EXPECT_EQ(judge(mended, true), GateOutcome::undecided);
}

TEST(compare, what_fails_on_another_machine_is_not_broken) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  for (Record& record : now[0].records) {
    record.status = Status::failed;
    record.basis = std::nullopt;
    record.device["name"] = "other machine";
  }
  EXPECT_EQ(compare_runs(base, now, {}).broken(), 0U);
  EXPECT_EQ(compare_runs(base, now, {.allowed = {"device"}}).broken(), 8U);
}

TEST(compare, cases_of_one_side_are_named) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  base[0].records.erase(base[0].records.begin());
  now[0].records.pop_back();
  const ComparisonReport report = compare_runs(base, now, {});
  ASSERT_EQ(report.cases.size(), 8U);
  EXPECT_EQ(report.cases[6].reason, "absent in new");
  EXPECT_EQ(report.cases[7].reason, "absent in base");
  EXPECT_EQ(report.cases[7].case_id, test::case_name(0));
}

TEST(compare, other_conditions_are_refused_by_name_unless_allowed) {
  const auto with = [](auto change) {
    std::vector<RunRecords> now = synthetic_side(quiet(), true, 1, 1);
    for (Record& record : now[0].records) change(now[0], record);
    return now;
  };
  const std::vector<std::pair<std::string, std::vector<RunRecords>>> differing = {
      {"driver", with([](RunRecords& run, Record&) {
         run.environment = {{"device", {{"more", {{"cuda_driver", "13.0"}}}}}};
       })},
      {"power_limit", with([](RunRecords&, Record& r) { r.provenance["power_limit_w"] = 500; })},
      {"clocks", with([](RunRecords&, Record& r) {
         r.provenance["privileged"] = {{"sm_clock_hz", 1.4e9}};
       })},
      {"device", with([](RunRecords&, Record& r) { r.device["name"] = "other machine"; })},
      {"profile", with([](RunRecords&, Record& r) { r.provenance["profile_hash"] = "beef"; })},
      {"seed", with([](RunRecords&, Record& r) { r.provenance["seed"] = 8; })},
      {"input_distribution", with([](RunRecords&, Record& r) { r.provenance["input_distribution"] = "zeros"; })},
      {"basis", with([](RunRecords&, Record& r) { r.basis = Basis::scaled; })},
      {"wire_multiprocessors", with([](RunRecords&, Record& r) { r.provenance["wire_multiprocessors"] = 24; })},
      {"caps", with([](RunRecords&, Record& r) { r.caps = {CapRecord{.mechanism = "resource clock"}}; })}};
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1);
  base[0].environment = {{"device", {{"more", {{"cuda_driver", "12.4"}}}}}};
  for (Record& record : base[0].records) {
    record.provenance["power_limit_w"] = 700;
    record.provenance["profile_hash"] = "cafe";
    record.provenance["wire_multiprocessors"] = 20;
  }
  for (const auto& [name, now] : differing) {
    const ComparisonReport report = compare_runs(base, now, {});
    EXPECT_EQ(report.count(CaseVerdict::not_comparable), 8U) << name;
    ASSERT_EQ(report.changes.size(), 1U) << name;
    EXPECT_EQ(report.changes[0].mismatch.name, name);
    EXPECT_EQ(report.changes[0].cases, 8U);
    EXPECT_NE(report.cases[0].reason.find(name + " differs ("), std::string::npos) << report.cases[0].reason;
    const ComparisonReport allowed = compare_runs(base, now, {.allowed = {name}});
    EXPECT_EQ(allowed.count(CaseVerdict::same), 8U) << name;
    EXPECT_TRUE(allowed.changes[0].is_allowed);
  }
}

TEST(compare, observed_clocks_may_wander_but_not_jump) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  const auto clock = [](std::vector<RunRecords>& side, double hertz) {
    for (Record& record : side[0].records) record.provenance["clocks"] = {{"sm_clock_hz", {{"median", hertz}}}};
  };
  clock(base, 1.98e9);
  clock(now, 1.95e9);
  EXPECT_EQ(compare_runs(base, now, {}).count(CaseVerdict::same), 8U);
  clock(now, 1.41e9);
  EXPECT_NE(compare_runs(base, now, {}).cases[0].reason.find("clocks differs (1980 MHz and 1410 MHz)"),
            std::string::npos);
}

TEST(compare, one_side_of_two_machines_is_no_side) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 2, 1), now = synthetic_side(quiet(), true, 1, 1);
  for (Record& record : base[1].records) record.device["name"] = "other machine";
  const ComparisonReport report = compare_runs(base, now, {});
  EXPECT_EQ(report.count(CaseVerdict::not_comparable), 8U);
  EXPECT_EQ(report.changes.at(0).mismatch.name, "device");
}

TEST(compare, a_digest_that_differs_is_traced_to_the_seed) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  for (Record& record : now[0].records) {
    record.case_id.replace(record.case_id.rfind('#'), 3, "#11");
    record.provenance["seed"] = 8;
  }
  const ComparisonReport report = compare_runs(base, now, {});
  ASSERT_EQ(report.cases.size(), 8U);
  EXPECT_NE(report.cases[0].reason.find("seed differs (7 and 8)"), std::string::npos);
  EXPECT_EQ(compare_runs(base, now, {.allowed = {"seed"}}).count(CaseVerdict::same), 8U);
}

TEST(compare, what_is_recorded_on_one_side_only_is_said) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  for (Record& record : now[0].records) record.provenance["driver"] = "550.54";
  const ComparisonReport report = compare_runs(base, now, {});
  EXPECT_EQ(report.count(CaseVerdict::same), 8U);
  EXPECT_EQ(report.warnings.back(), "driver is recorded on one side only; nobody can tell whether it changed");
}

TEST(compare, results_that_know_the_version_of_cuda_alone_compare_with_those_that_know_the_release_too) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  base[0].environment = {{"device", {{"more", {{"cuda_driver", "13.0"}}}}}};
  now[0].environment = {{"device", {{"more", {{"driver", "580.65.06"}, {"cuda_driver", "13.0"}}}}}};
  EXPECT_EQ(compare_runs(base, now, {}).count(CaseVerdict::same), 8U);
  base[0].environment["device"]["more"]["driver"] = "575.57.08";
  const ComparisonReport report = compare_runs(base, now, {});
  EXPECT_NE(report.cases[0].reason.find("driver differs (575.57.08 and 580.65.06)"), std::string::npos)
      << report.cases[0].reason;
}

TEST(compare, what_may_explain_a_change_stands_beside_it) {
  std::vector<RunRecords> base = synthetic_side(quiet(), false, 1, 1), now = synthetic_side(quiet(), true, 1, 1);
  base[0].records[0].provenance["cublaslt_algorithm_id"] = "66";
  now[0].records[0].provenance["cublaslt_algorithm_id"] = "70";
  now[0].records[0].provenance["git"] = "fff";  // that is what is compared
  base[0].records[0].provenance["cublaslt_up_default_over_best"] = "1.031";
  now[0].records[0].provenance["cublaslt_up_default_over_best"] = "1.034";
  EXPECT_EQ(compare_runs(base, now, {}).cases[0].remarks,
            std::vector<std::string>{"cublaslt_algorithm_id: 66, now 70"});
}

TEST(compare, options_that_cannot_work_are_refused) {
  EXPECT_THROW(compared(quiet(), 1, {.margin = 0.0}), Error);
  EXPECT_THROW(compared(quiet(), 1, {.margin = 1.0}), Error);
  EXPECT_THROW(compared(quiet(), 1, {.run_deviation = -0.1}), Error);
  try {
    compared(quiet(), 1, {.allowed = {"drivers"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"driver\""), std::string::npos) << error.what();
  }
}

TEST(compare, constant_samples_do_not_divide_by_zero) {
  Scenario scenario = quiet();
  scenario.sample_noise = 0.0;
  EXPECT_EQ(compared(scenario).count(CaseVerdict::same), 8U);
  EXPECT_EQ(compared(scenario, 3).count(CaseVerdict::same), 8U);
  scenario.slow_cases = {0};
  scenario.slow_down = 1.05;
  EXPECT_EQ(compared(scenario).cases[0].verdict, CaseVerdict::slower);
}

TEST(calibration, noise_is_found_kept_and_given_back) {
  Scenario scenario = quiet();
  scenario.cases = 20;
  scenario.common_noise = 0.01;
  scenario.own_noise = 0.005;
  const Calibration calibration = calibrate_noise(synthetic_side(scenario, false, 30, 1), {});
  EXPECT_NEAR(std::sqrt(calibration.noise.common.value), 0.01, 0.003);
  EXPECT_NEAR(std::sqrt(calibration.noise.prior.value), 0.005, 0.001);
  EXPECT_TRUE(calibration.warnings.empty());
  const CaseCalibration& one = calibration.cases[0];
  EXPECT_NEAR(*one.run_deviation, std::hypot(0.01, 0.005), 0.003);
  EXPECT_LT(*one.sample_deviation, 0.0005) << "samples know nothing of runs";
  EXPECT_GT(*one.detectable[0], *one.detectable[1]);
  EXPECT_GT(*one.detectable[1], *one.detectable[2]);
  EXPECT_GT(*one.detectable[2], 0.02) << "never below the margin";
  const std::string text = to_json(calibration).dump();
  const StoredNoise stored = noise_from_json(parse_json(text, "noise.json"));
  EXPECT_EQ(stored.device, calibration.device);
  EXPECT_NEAR(stored.noise.common.value, calibration.noise.common.value, 1e-12);
  EXPECT_EQ(stored.noise.own.size(), 20U);
}

TEST(calibration, single_runs_are_judged_by_the_noise_they_are_given) {
  Scenario scenario = quiet();
  scenario.own_noise = 0.02;
  const Calibration calibration = calibrate_noise(synthetic_side(scenario, false, 10, 1), {});
  const ComparisonReport report = compared(scenario, 1, {.calibration = calibration.noise});
  EXPECT_EQ(report.cases[0].noise, NoiseSource::calibration);
  EXPECT_EQ(report.count(CaseVerdict::slower) + report.count(CaseVerdict::faster), 0U);
}

TEST(calibration, what_cannot_be_calibrated_is_refused) {
  EXPECT_THROW(calibrate_noise(synthetic_side(quiet(), false, 1, 1), {}), Error);
  std::vector<RunRecords> runs = synthetic_side(quiet(), false, 2, 1);
  for (Record& record : runs[1].records) record.device["name"] = "other machine";
  EXPECT_THROW(calibrate_noise(runs, {}), Error);
  for (Record& record : runs[1].records) record.device["name"] = "test machine", record.provenance["git"] = "def5678";
  EXPECT_NE(calibrate_noise(runs, {}).warnings.at(0).find("different commits"), std::string::npos);
  EXPECT_THROW(noise_from_json(parse_json(R"({"schema": "chokepoint/noise/9"})", "noise.json")), Error);
  StoredNoise other;
  other.device = "gpu";
  EXPECT_THROW(require_same_device(other, runs, {}), Error);
  EXPECT_NO_THROW(require_same_device(other, runs, {.allowed = {"device"}}));
}

// By hand: 2 % and, with two normals of 1 % (1.41 % the difference), 1.96 and 1.645 deviations: 2 + 2.77 + 2.33.
TEST(calibration, detectable_slow_down_by_hand) {
  const TwoPartNoise one_run{.own_variance = 1e-4};
  EXPECT_NEAR(detectable_change(one_run, 1, 1, {}), std::exp(0.0198 + 0.01414 * (1.960 + 1.645)) - 1, 2e-4);
  EXPECT_NEAR(detectable_change(one_run, 4, 1, {}), std::exp(0.0198 + 0.00707 * (1.960 + 1.645)) - 1, 2e-4);
}

}  // namespace
}  // namespace chokepoint
