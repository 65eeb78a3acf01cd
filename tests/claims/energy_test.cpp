// Energy of GPU-hours: the published rule, its golden sums, and measured phases instead of rated power.
#include "harness/claims/energy.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "harness/claims/money.hpp"
#include "tests/claims/claims_help.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<CostBook>& books() {
  static const std::vector<CostBook> all = load_cost_books(shipped_configs());
  return all;
}

PowerModel h100(const std::string& facility) {
  return power_model(load_profile(shipped_configs() + "/profiles/h100-sxm.json"), find_cost_book(books(), ""),
                     facility);
}

// (700 + 575) W * 0.75 * 1.25 = 1195.3 W; * 1.1 instead: 1051.9 W
TEST(energy, a_gpu_draws_what_the_published_rule_says) {
  EXPECT_NEAR(facility_w(h100("colocation")).mid, 1195.3, 0.05);
  EXPECT_NEAR(facility_w(h100("hyperscale")).mid, 1051.9, 0.05);
}

// 180K h * 1.1953 kW = 215 MWh; 2.788M h = 3.33 GWh; Llama 3.1 405B, 30.84M h * 1.0519 kW = 32.4 GWh
TEST(energy, published_trainings_take_what_was_worked_out_by_hand) {
  EXPECT_NEAR(kwh_of_gpu_hours(exactly(180e3), h100("colocation")).mid, 215.16e3, 0.05e3);
  EXPECT_NEAR(kwh_of_gpu_hours(exactly(2.788e6), h100("colocation")).mid, 3.3326e6, 0.001e6);
  EXPECT_NEAR(kwh_of_gpu_hours(exactly(30.84e6), h100("hyperscale")).mid, 32.44e6, 0.01e6);
}

// Below: sqrt(ln(0.75/0.66)^2 + ln(1.25/1.1)^2) = sqrt(0.1278^2 + 0.1278^2) = 0.1808, a factor of 0.8346.
// Above: sqrt(ln(0.97/0.75)^2 + ln(1.56/1.25)^2) = sqrt(0.2572^2 + 0.2215^2) = 0.3395, a factor of 1.4042.
TEST(energy, the_range_is_that_of_load_and_overhead) {
  const Estimate watts = facility_w(h100("colocation"));
  EXPECT_NEAR(watts.low / watts.mid, 0.8346, 0.0005);
  EXPECT_NEAR(watts.high / watts.mid, 1.4042, 0.0005);
}

TEST(energy, twice_the_hours_is_twice_the_energy) {
  const Estimate once = kwh_of_gpu_hours(exactly(1e6), h100("colocation"));
  const Estimate twice = kwh_of_gpu_hours(exactly(2e6), h100("colocation"));
  EXPECT_DOUBLE_EQ(twice.mid, 2 * once.mid);
  EXPECT_NEAR(twice.high, 2 * once.high, 1e-6 * twice.high);
}

// 2 s at 600 W and 1 s at 300 W of board, 3 s at 575 * 0.75 W of host: (1500 + 1293.75) J * 1.25 = 3492.2 J
TEST(energy, measured_phases_replace_rated_board_power) {
  const std::vector<PhaseEnergy> phases = {{"forward", 2, exactly(600)}, {"transfer", 1, exactly(300)}};
  EXPECT_NEAR(facility_j(phases, h100("colocation")).mid, 3492.19, 0.01);
}

// At the rated power times the load share both ways of counting are the same.
TEST(energy, phases_at_the_average_power_give_the_average) {
  const PowerModel model = h100("colocation");
  const std::vector<PhaseEnergy> phases = {{"all", 3600, exactly(700 * 0.75)}};
  EXPECT_NEAR(facility_j(phases, model).mid, 3.6e6 * kwh_of_gpu_hours(exactly(1), model).mid, 1);
}

TEST(energy, the_error_of_a_meter_does_not_average_out_over_phases) {
  PowerModel model = h100("colocation");
  model.host_w = exactly(0);
  model.pue = exactly(1);
  const Estimate board{500, 475, 525, "5 % gain error", true};
  EXPECT_NEAR(facility_j({{"a", 1, board}, {"b", 1, board}}, model).low, 950, 1e-9);
}

TEST(energy, the_basis_names_every_factor_and_marks_weak_ones) {
  EXPECT_EQ(basis_text(h100("colocation")),
            "(700 W board + 575 W host) x 0.75 load [0.66, 0.97] x 1.25 PUE [1.1, 1.56]");
  const Profile h800 = load_profile(shipped_configs() + "/profiles/h800-sxm.json");
  EXPECT_TRUE(contains(basis_text(power_model(h800, find_cost_book(books(), ""), "colocation")),
                       "W board (unverified)"));
}

TEST(energy, a_machine_that_the_book_does_not_have_is_an_error_with_a_remedy) {
  const Profile b200 = load_profile(shipped_configs() + "/profiles/b200-sxm.json");
  EXPECT_TRUE(contains(error_of([&] { power_model(b200, find_cost_book(books(), ""), "colocation"); }),
                       "cost book 2026-11_estimates has no host power for b200-sxm"));
}

// A million hours of an H100: 1195.3 MWh.
Json energy_claim(const std::string& name = "energy", const std::string& unit = "MWh", double value = 1195.3) {
  Json claim = valid_claim();
  claim["tier"] = "T5";
  claim["quantity"] = {{"name", name}, {"unit", unit}, {"value", value}, {"better", "lower"}};
  claim["hardware"] = "h100-sxm";
  claim["workload"] = {{"tokens", 1e12}};
  claim["model"] = {{"kind", "energy"}, {"gpu_hours", 1e6}};
  return claim;
}

double energy_point(const Json& claim, const ClaimOptions& options = test_options()) {
  return outcome_of(decoded(claim), options).rows.at(0).spread.point;
}

// (700 + 575) W * 0.75 * 1.25 for 1e6 h; without 1.25: 956.25 MWh; the board's 700 W * 0.75: 525 MWh;
// 1195.3 MWh = 4.3031e12 J; at $0.0865 per kWh $103,395
TEST(energy_claims, every_number_is_what_the_rule_gives_by_hand) {
  EXPECT_NEAR(energy_point(energy_claim()), 1195.31, 0.01);
  EXPECT_NEAR(energy_point(energy_claim("kilowatt_hours", "kWh")), 1195312.5, 0.1);  // its unit says what it is
  EXPECT_NEAR(energy_point(energy_claim("it_energy")), 956.25, 1e-6);
  EXPECT_NEAR(energy_point(energy_claim("board_energy")), 525.0, 1e-6);
  EXPECT_NEAR(energy_point(energy_claim("average_power", "kW/GPU")), 1.1953125, 1e-9);
  EXPECT_NEAR(energy_point(energy_claim("energy_per_token", "J/token")), 4.303125, 1e-9);
  EXPECT_NEAR(energy_point(energy_claim("electricity_usd", "USD")), 103394.53, 0.01);
  EXPECT_NEAR(energy_point(energy_claim("rent_usd", "USD")), 2.95e6, 1);
  EXPECT_NEAR(energy_point(energy_claim("electricity_share", "%")), 100 * 0.10339453 / 2.95, 1e-6);
}

TEST(energy_claims, a_better_building_and_dearer_electricity_change_the_number_in_their_direction) {
  ClaimOptions options = test_options();
  options.numbers["pue"] = 1.0;
  EXPECT_NEAR(energy_point(energy_claim(), options), 956.25, 1e-6);
  EXPECT_NEAR(outcome_of(decoded(energy_claim()), options).change_by_settings.value(), -0.2, 1e-9);
  options.numbers["electricity"] = 0.173;
  EXPECT_NEAR(energy_point(energy_claim("electricity_usd", "USD"), options), 956250 * 0.173, 1e-3);
}

TEST(energy_claims, a_claim_that_counts_boards_alone_is_optimistic_and_the_output_says_what_boards_alone_give) {
  const ClaimOutcome outcome = outcome_of(decoded(energy_claim("energy", "MWh", 700.0)), test_options());
  EXPECT_EQ(outcome.verdict, Verdict::optimistic);
  const auto boards = std::find_if(outcome.what_if.begin(), outcome.what_if.end(),
                                   [](const WhatIf& entry) { return entry.text.rfind("boards at their", 0) == 0; });
  EXPECT_NEAR(boards->change, 700.0 / 1195.3125 - 1.0, 1e-9);
  EXPECT_EQ(outcome_of(decoded(energy_claim("energy", "MWh", 2500.0)), test_options()).verdict, Verdict::pessimistic);
}

TEST(energy_claims, what_is_missing_or_impossible_is_named) {
  Json claim = energy_claim();
  claim.erase("hardware");
  EXPECT_EQ(outcome_of(decoded(claim), test_options()).missing.at(0), "hardware, whose power counts");
  claim = energy_claim();
  claim["hardware"] = "b200-sxm";
  EXPECT_TRUE(contains(outcome_of(decoded(claim), test_options()).reason, "has no host power for b200-sxm"));
  const auto refused = [](const Json& changed) {
    return error_of([&] { outcome_of(decoded(changed), test_options()); });
  };
  EXPECT_TRUE(contains(refused(energy_claim("dollars", "USD")), "electricity_usd"));
  EXPECT_TRUE(contains(refused(energy_claim("energy", "GB/s")), "quantity.unit"));
  claim = energy_claim();
  claim["assumptions"] = {{{"key", "pue"}, {"value", 1.0}, {"lo", 0.9}, {"hi", 1.1}, {"basis", "prior"}}};
  EXPECT_TRUE(contains(refused(claim), "assumptions[0].lo (test.apples) is 0.9: a building uses no less"));
  claim["assumptions"][0] = {{"key", "load_share"}, {"value", 1.0}, {"lo", 0.9}, {"hi", 1.1}, {"basis", "prior"}};
  EXPECT_TRUE(contains(refused(claim), "above the rated power"));
}

TEST(energy_claims, hours_that_nobody_published_are_those_of_the_step) {
  Json claim = energy_claim();
  claim["hardware"] = "h800-sxm";
  claim["workload"] = {{"model", "deepseek-v3"}};
  claim["model"] = {{"kind", "energy"}};
  Claim hours = shipped_claim("dsv3.train.gpuh_per_T");
  hours.assumptions.clear();
  const double step_h = outcome_of(hours, test_options()).rows[0].spread.point;
  EXPECT_NEAR(energy_point(claim) / step_h, 1.1953125e-3, 1e-9);
}

// 1.1953 kW * $0.0865 of $2 an hour: 5.17 %
TEST(energy_claims, a_claim_about_training_says_what_its_hours_take_and_cost) {
  const ClaimOutcome outcome = outcome_of_shipped("dsv3.train.gpuh_per_T");
  const Consumption& all = outcome.consumption.value();
  EXPECT_EQ(all.of, "1T tokens");
  EXPECT_NEAR(all.gpu_hours.mid, outcome.rows[0].spread.p50, 1e-6 * all.gpu_hours.mid);
  EXPECT_NEAR(all.facility_kwh.mid / all.gpu_hours.mid, 1.1953125, 1e-9);
  EXPECT_NEAR(all.it_kwh.mid / all.gpu_hours.mid, 0.95625, 1e-9);
  EXPECT_NEAR(all.electricity_share.value(), 1.1953125 * 0.0865 / 2.0, 1e-9);
  EXPECT_EQ(grade_of_basis(all.figures.back().basis), Grade::d) << "the claimant's own price is an assumption";
  EXPECT_EQ(outcome_of_shipped("llama405.train.hours").consumption->of, "the run");
  EXPECT_FALSE(outcome_of_shipped("dsv3.train.total_usd").consumption);
}

TEST(energy_claims, what_is_set_reaches_the_energy_of_a_training_and_leaves_its_hours) {
  ClaimOptions options = test_options();
  options.numbers = {{"pue", 1.1}, {"electricity", 0.05}, {"usd_per_gpu_h", 1.0}};
  const ClaimOutcome before = outcome_of_shipped("dsv3.train.gpuh_per_T");
  const ClaimOutcome after = outcome_of_shipped("dsv3.train.gpuh_per_T", options);
  EXPECT_DOUBLE_EQ(after.rows[0].spread.p50, before.rows[0].spread.p50);
  EXPECT_NEAR(after.consumption->facility_kwh.mid / before.consumption->facility_kwh.mid, 1.1 / 1.25, 1e-9);
  EXPECT_NEAR(after.consumption->electricity_share.value(), 0.95625 * 1.1 * 0.05, 1e-9);
  options.numbers["pue"] = 0.9;
  EXPECT_TRUE(contains(error_of([&] { outcome_of_shipped("dsv3.train.gpuh_per_T", options); }), "pue is 0.9"));
}

TEST(energy_claims, a_machine_without_a_host_power_has_hours_and_the_reason_why_no_more) {
  ClaimOptions options = test_options();
  options.profile = "b200-sxm";
  const ClaimOutcome outcome = outcome_of_shipped("llama405.train.hours", options);
  EXPECT_FALSE(outcome.consumption);
  EXPECT_TRUE(contains(outcome.consumption_gap, "no host power for b200-sxm")) << outcome.reason;
}

// Table 1 of the DeepSeek-V3 report: 2.788M h at $2 = $5.576M
TEST(money, the_claimants_price_gives_the_claimants_sum) {
  const std::vector<PriceBook> prices = load_price_books(shipped_configs());
  const auto claimed = quote(prices, "h800-sxm", "2025-02_deepseek");
  EXPECT_NEAR(rental_cost(exactly(2.788e6), *claimed).usd.mid, 5.576e6, 1);
  EXPECT_TRUE(rental_cost(exactly(2.788e6), *claimed).usd.is_exact());
}

// 30.84M h at 2.95, from 1.99 to 5.00: $91.0M [61.4M, 154M]
TEST(money, a_market_price_gives_a_range) {
  const std::vector<PriceBook> prices = load_price_books(shipped_configs());
  const RentalCost cost = rental_cost(exactly(30.84e6), *quote(prices, "h100-sxm"));
  EXPECT_NEAR(cost.usd.low, 61.37e6, 0.01e6);
  EXPECT_NEAR(cost.usd.high, 154.2e6, 0.01e6);
  EXPECT_EQ(usd_text(cost.usd), "$91.0M [61.4M, 154M]");
}

TEST(money, every_book_gets_its_say_the_newest_first) {
  const std::vector<PriceBook> prices = load_price_books(shipped_configs());
  const std::vector<RentalCost> costs = rental_costs(exactly(1e6), prices, "h100-sxm");
  ASSERT_EQ(costs.size(), 4U);
  EXPECT_EQ(costs[0].quote.book, "2026-05_market");
  EXPECT_EQ(costs[1].quote.item.term, "owned_hyperscaler");
  EXPECT_TRUE(rental_costs(exactly(1e6), prices, "h20").empty());
}

}  // namespace
}  // namespace chokepoint
