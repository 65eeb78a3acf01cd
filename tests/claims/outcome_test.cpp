// Outcomes: from a file to a verdict, with a derivation made here whose numbers can be worked out by hand.
#include "harness/claims/outcome.hpp"

#include <cmath>

#include "harness/claims/outcome_json.hpp"
#include "tests/claims/claims_help.hpp"

namespace chokepoint {
namespace {

// Seconds to send 10 GB over the link and 10 GB over the network, one after the other, times a waste.
Prepared prepare(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing = {"hardware"};
    return prepared;
  }
  const double link = scene.machine->achieved(Resource::link), network = scene.machine->achieved(Resource::network);
  const double bytes = scene.route == "half" ? 5e9 : 10e9;
  prepared.rows = {"link", "both"};
  prepared.base_unit = "s";
  prepared.assumptions = {{"waste", 1.1, 1.0, 1.21, "derived", "a test", 1.0},
                          {"load", 0.5, 0.4, 0.6, "prior", "a test", {}}};
  prepared.inputs = {{"machine.link", link, "B/s", Grade::c, "profile"}};
  prepared.uses = {Resource::link, Resource::network};
  if (scene.claim.model.flag("has_load", false)) prepared.load_factor = "load";
  const double load_power = prepared.load_factor.empty() ? 0.0 : 1.0;
  prepared.predict = [=](const Drawn& drawn) {
    const double factor = drawn["waste"] / std::pow(drawn["load"], load_power);
    return std::vector{bytes / link * factor, (bytes / link + bytes / network) * factor};
  };
  return prepared;
}

const Register<Derivation> derivation{{.name = "outcome_test",
                                       .summary = "for these tests",
                                       .settings = {{"has_load", SettingKind::flag}},
                                       .assumption_keys = {"waste", "load"},
                                       .routes = {"whole", "half"},
                                       .prepare = prepare}};

// Link 160 GB/s, network 40 GB/s: 62.5 ms and 312.5 ms, times 1.1.
Json transfer_claim() {
  Json claim = valid_claim();
  claim["quantity"] = {
      {"name", "seconds"}, {"unit", "ms"}, {"value", {68.75, 343.75}}, {"rows", {"link", "both"}}, {"better", "lower"}};
  claim["hardware"] = "h800-sxm";
  claim["model"] = {{"kind", "outcome_test"}};
  claim["tolerance"] = {{"rel", 0.1}};
  return claim;
}

ClaimOutcome outcome(const Json& claim, const ClaimOptions& options = test_options()) {
  return outcome_of(decoded(claim), options);
}

Verdict verdict_with_value(double value) {
  Json claim = transfer_claim();
  claim["quantity"]["value"][0] = value;
  return outcome(claim).verdict;
}

TEST(outcome, numbers_are_in_the_claims_unit) {
  const ClaimOutcome result = outcome(transfer_claim());
  ASSERT_EQ(result.rows.size(), 2U);
  EXPECT_NEAR(result.rows[0].spread.point, 68.75, 1e-9);
  EXPECT_NEAR(result.rows[1].spread.point, 343.75, 1e-9);
  EXPECT_NEAR(result.rows[0].spread.unfitted, 62.5, 1e-9);
  EXPECT_EQ(result.verdict, Verdict::reproduced);
}

TEST(outcome, rows_are_found_by_name_whatever_their_order) {
  Json claim = transfer_claim();
  claim["quantity"]["value"] = {343.75, 68.75};
  claim["quantity"]["rows"] = {"both", "link"};
  EXPECT_EQ(outcome(claim).verdict, Verdict::reproduced);
  claim["quantity"]["rows"] = {"both", "lnik"};
  try {
    outcome(claim);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean \"link\""), std::string::npos) << error.what();
    EXPECT_EQ(error.message().rfind("test.json:", 0), 0U) << error.what();
  }
}

TEST(outcome, a_number_moved_either_way_changes_the_verdict_in_that_direction) {
  EXPECT_EQ(verdict_with_value(68.75), Verdict::reproduced);
  EXPECT_EQ(verdict_with_value(60.0), Verdict::optimistic);   // faster than the link allows
  EXPECT_EQ(verdict_with_value(80.0), Verdict::pessimistic);  // slower than it should be
}

TEST(outcome, one_bad_row_is_the_verdict_and_the_reason_names_it) {
  Json claim = transfer_claim();
  claim["quantity"]["value"][1] = 100.0;
  const ClaimOutcome result = outcome(claim);
  EXPECT_EQ(result.verdict, Verdict::optimistic);
  EXPECT_EQ(result.reason.rfind("both: ", 0), 0U) << result.reason;
  EXPECT_EQ(result.rows[0].judgement.verdict, Verdict::reproduced);
}

TEST(outcome, a_row_has_its_own_tolerance) {
  Json claim = transfer_claim();
  claim["quantity"]["value"][1] = 370.0;  // 7.6 % off
  EXPECT_EQ(outcome(claim).verdict, Verdict::reproduced);
  claim["tolerance"]["per_row"] = {0.1, 0.07};
  EXPECT_EQ(outcome(claim).rows[1].judgement.verdict, Verdict::consistent_but_wide);
}

TEST(outcome, a_guess_that_makes_the_interval_caps_the_verdict_and_a_source_lifts_the_cap) {
  Json claim = transfer_claim();
  const auto with_basis = [&](const char* basis) {
    claim["assumptions"] =
        Json::array({{{"key", "waste"}, {"value", 1.1}, {"lo", 1.0}, {"hi", 1.21}, {"basis", basis}}});
    return outcome(claim).verdict;
  };
  EXPECT_EQ(with_basis("published"), Verdict::reproduced);
  EXPECT_EQ(with_basis("prior"), Verdict::consistent_but_wide);
}

TEST(outcome, a_wider_assumption_makes_a_failing_claim_consistent_and_a_narrower_one_the_other_way) {
  Json claim = transfer_claim();
  const auto with_range = [&](double lo, double hi) {
    claim["assumptions"] =
        Json::array({{{"key", "waste"}, {"value", 1.1}, {"lo", lo}, {"hi", hi}, {"basis", "derived"}}});
    claim["quantity"]["value"][0] = 72.0;
    return outcome(claim).rows[0].judgement.verdict;
  };
  EXPECT_EQ(with_range(1.0, 1.21), Verdict::reproduced);
  EXPECT_EQ(with_range(1.09, 1.11), Verdict::pessimistic);
}

TEST(outcome, a_load_factor_makes_a_slower_claim_bounded) {
  Json claim = transfer_claim();
  claim["model"]["params"] = {{"has_load", true}};
  const ClaimOutcome result = outcome(claim);  // the bound is what `load` 1 gives: 68.75 and 343.75 ms
  EXPECT_NEAR(result.rows[0].bound.value(), 68.75, 1e-9);
  claim["quantity"]["value"] = {137.0, 687.0};
  EXPECT_EQ(outcome(claim).verdict, Verdict::bounded);
  claim["quantity"]["value"] = {50.0, 687.0};
  EXPECT_EQ(outcome(claim).verdict, Verdict::optimistic);
}

TEST(outcome, a_unit_of_another_kind_is_refused) {
  Json claim = transfer_claim();
  claim["quantity"]["unit"] = "GB/s";
  EXPECT_THROW(outcome(claim), Error);
}

TEST(outcome, an_unknown_machine_is_refused_with_the_nearest) {
  Json claim = transfer_claim();
  claim["hardware"] = "h800-sxn";
  try {
    outcome(claim);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("h800-sxm"), std::string::npos) << error.what();
  }
}

TEST(outcome, what_is_missing_is_named) {
  Json claim = transfer_claim();
  claim.erase("hardware");
  EXPECT_EQ(outcome(claim).verdict, Verdict::not_testable);
  EXPECT_EQ(outcome(claim).missing, std::vector<std::string>{"hardware"});
  claim = transfer_claim();
  claim["inputs"] = {"machine.*", "gemm.fp8.*"};
  const ClaimOutcome result = outcome(claim);
  EXPECT_EQ(result.verdict, Verdict::not_testable);
  EXPECT_NE(result.reason.find("gemm.fp8.*"), std::string::npos) << result.reason;
  EXPECT_EQ(result.missing.size(), 1U);
}

TEST(outcome, a_setting_changes_the_number_and_says_by_how_much) {
  ClaimOptions options = test_options();
  options.rates[Resource::link] = 400e9;  // twice the datasheet's 200, of which 0.8 are achieved
  const ClaimOutcome result = outcome(transfer_claim(), options);
  EXPECT_NEAR(result.rows[0].spread.point, 68.75 / 2, 1e-9);
  EXPECT_NEAR(result.change_by_settings.value(), -0.5, 1e-9);
  EXPECT_EQ(result.machine, "h800-sxm@link=400 GB/s");
  EXPECT_FALSE(outcome(transfer_claim()).change_by_settings.has_value());
}

TEST(outcome, an_assumption_that_is_set_is_drawn_no_more) {
  ClaimOptions options = test_options();
  options.numbers["waste"] = 2.0;
  const ClaimOutcome result = outcome(transfer_claim(), options);
  EXPECT_NEAR(result.rows[0].spread.p5, 125.0, 1e-9);
  EXPECT_NEAR(result.rows[0].spread.p95, 125.0, 1e-9);
}

TEST(outcome, with_instead_asks_about_half_of_each_resource_and_about_other_machines) {
  const ClaimOutcome result = outcome(transfer_claim());
  std::map<std::string, double> changes;
  for (const WhatIf& entry : result.what_if) changes[entry.text] = entry.change;
  EXPECT_NEAR(changes.at("network 25.0 GB/s (half) instead of 50.0 GB/s"), 0.0, 1e-9);  // the first row has no network
  EXPECT_NEAR(changes.at("link 100 GB/s (half) instead of 200 GB/s"), 1.0, 1e-9);
  const bool has_wider = std::any_of(result.what_if.begin(), result.what_if.end(), [](const WhatIf& entry) {
    return entry.text.rfind("link 450 GB/s (", 0) == 0 && entry.text.find("h100-sxm") != std::string::npos &&
           std::abs(entry.change - (200.0 / 450.0 - 1.0)) < 1e-9;
  });
  EXPECT_TRUE(has_wider);
}

TEST(outcome, another_machine_changes_the_rates) {
  ClaimOptions options = test_options();
  options.profile = "h100-sxm";
  const ClaimOutcome result = outcome(transfer_claim(), options);
  EXPECT_LT(result.rows[0].spread.point, 68.75 * 0.6);
  EXPECT_EQ(result.machine, "h100-sxm");
}

TEST(outcome, a_curve_is_what_each_rate_alone_gives) {
  const std::vector<double> changes =
      changes_along(decoded(transfer_claim()), test_options(), Resource::link, {100e9, 200e9, 400e9});
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_NEAR(changes[0], 1.0, 1e-9);
  EXPECT_NEAR(changes[1], 0.0, 1e-9);
  EXPECT_NEAR(changes[2], -0.5, 1e-9);
}

TEST(outcome, another_route_is_shown_beside_the_judged_one_and_a_claim_may_choose_it) {
  Json claim = transfer_claim();
  const ClaimOutcome result = outcome(claim);
  EXPECT_EQ(result.route, "whole");
  ASSERT_EQ(result.other_routes.size(), 1U);
  EXPECT_NEAR(result.other_routes[0].rows[0].spread.point, 68.75 / 2, 1e-9);
  claim["model"]["params"] = {{"route", "half"}};
  EXPECT_NEAR(outcome(claim).rows[0].spread.point, 68.75 / 2, 1e-9);
  claim["model"]["params"] = {{"route", "third"}};
  EXPECT_NE(refusal(claim).find("half"), std::string::npos);
}

TEST(outcome, the_residual_is_taken_apart_from_the_unfitted_point) {
  const std::string text = outcome(transfer_claim()).residual;  // 68.75 over 62.5: +10 %, all of it waste
  EXPECT_NE(text.find("published is +10.0 %"), std::string::npos) << text;
  EXPECT_NE(text.find("waste +10.0 %"), std::string::npos) << text;
}

TEST(outcome, arithmetic_is_checked_against_its_own_numbers) {
  EXPECT_EQ(outcome(valid_claim()).verdict, Verdict::arith_ok);
  Json claim = valid_claim();
  claim["model"]["let"]["trees"] = 7;
  EXPECT_EQ(outcome(claim).verdict, Verdict::arith_fail);
  ClaimOptions options = test_options();
  options.numbers["each"] = 7.5;
  EXPECT_EQ(outcome(valid_claim(), options).verdict, Verdict::arith_fail);
}

TEST(outcome, json_has_every_input_with_grade_and_source_and_no_interval_for_arithmetic) {
  const Json json = to_json({outcome(transfer_claim()), outcome(valid_claim())}, {{"version", "test"}});
  const Json& transfer = json["claims"][0];
  EXPECT_EQ(transfer["inputs"][0]["grade"], "C");
  EXPECT_EQ(transfer["assumptions"][1]["grade"], "D");
  EXPECT_EQ(transfer["seed"], DrawPlan{}.seed);
  EXPECT_GT(transfer["rows"][0]["p95"].get<double>(), transfer["rows"][0]["p5"].get<double>());
  EXPECT_EQ(transfer["file_sha256"].get<std::string>().size(), 64U);
  const Json& apples = json["claims"][1];
  EXPECT_TRUE(apples["rows"][0]["p5"].is_null());
  EXPECT_TRUE(apples["seed"].is_null());
  EXPECT_EQ(apples["rows"][0]["verdict"], "ARITH_OK");
}

}  // namespace
}  // namespace chokepoint
