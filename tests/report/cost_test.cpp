// Cost reports: from records and books to questions, other prices without measuring again, and how they read.
#include "harness/report/cost.hpp"

#include <gtest/gtest.h>

#include "harness/report/cost_text.hpp"
#include "tests/model/config_help.hpp"
#include "tests/report/golden.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::expect_golden;
using test::plain;
using test::scaled_pair;
using test::set_of;

CostOptions options() {
  CostOptions options;
  options.prices = {load_price_books(shipped_configs()), std::nullopt};
  options.book = find_cost_book(load_cost_books(shipped_configs()), "2026-11_estimates");
  options.today = "2026-06-01";
  return options;
}

CostRow only_row(const CostOptions& options) {
  const CostReport report = make_cost_report(set_of(scaled_pair()), options);
  EXPECT_EQ(report.rows.size(), 1U);
  return report.rows.front();
}

bool has_note(const CostReport& report, const std::string& part) {
  for (const std::string& note : report.notes)
    if (note.find(part) != std::string::npos) return true;
  return false;
}

// The H800 has 0.685 [0.675, 0.695] of the H100's throughput (samples.hpp); the market asks $2.95 for an
// H100-hour and has no price for an H800: even at 0.685 * 2.95 = $2.02.
TEST(cost_report, without_a_price_of_the_target_it_says_at_which_price_both_are_even) {
  const CostRow row = only_row(options());
  EXPECT_EQ(row.answer.verdict, CostVerdict::open);
  EXPECT_NEAR(row.answer.break_even_usd_per_h->mid, 0.685 * 2.95, 1e-9);
  EXPECT_NEAR(row.answer.break_even_usd_per_h->low, 0.685 * 1.99, 0.02);
  EXPECT_TRUE(contains(row.price_gap, "no price of h800-sxm: no market quote found"));
}

// At $1.50 against $2.95 * 0.685 = $2.02 the H800 costs 0.742 of it; at $3 it costs 1.485 times as much.
TEST(cost_report, a_price_of_ones_own_goes_before_any_book) {
  CostOptions own = options();
  own.usd_per_h["h800-sxm"] = exactly(1.5);
  EXPECT_NEAR(only_row(own).answer.cost_ratio->mid, 1.5 / 2.95 / 0.685, 1e-9);
  own.usd_per_h["h100-sxm"] = exactly(2.0);
  EXPECT_NEAR(only_row(own).answer.cost_ratio->mid, 1.5 / 2.0 / 0.685, 1e-9);
}

TEST(cost_report, the_same_records_answer_another_price_book) {
  CostOptions claimant = options();
  claimant.prices.choice = "2025-02_deepseek";
  const CostRow row = only_row(claimant);
  EXPECT_EQ(row.answer.target_usd_per_h->mid, 2.0);
  EXPECT_FALSE(row.answer.reference_usd_per_h);
  claimant.usd_per_h["h100-sxm"] = exactly(2.0);
  EXPECT_EQ(only_row(claimant).answer.verdict, CostVerdict::loses);  // same price, two thirds of the work
}

// 1 / 0.685 = 1.46 times the throughput, seen from the other side.
TEST(cost_report, the_reference_can_be_either_target) {
  CostOptions turned = options();
  turned.reference = "h800-sxm";
  const CostRow row = only_row(turned);
  EXPECT_EQ(row.question.target.target, "h100-sxm");
  EXPECT_NEAR(row.throughput_ratio.value, 1 / 0.685, 1e-9);
  EXPECT_NEAR(row.throughput_ratio.interval->low, 1 / 0.695, 1e-9);
}

// 64 tokens in 1 us on the H100 at $2.95/h: 2.95 / 3600 * 1e-6 / 64 * 1e6 = $1.28e-5 per million tokens.
TEST(cost_report, a_million_tokens_cost_the_hour_over_the_tokens_in_it) {
  const CostRow row = only_row(options());
  EXPECT_NEAR(row.reference_usd_per_million_tokens->mid, 2.95 / 3600 * 1e-6 / 64 * 1e6, 1e-12);
  EXPECT_FALSE(row.target_usd_per_million_tokens);
}

TEST(cost_report, an_owned_machine_pays_for_its_power_and_a_rented_one_does_not) {
  CostOptions owned = options();
  owned.possession = Possession::owned;
  owned.capex_usd["h800-sxm"] = exactly(30000);
  const CostRow row = only_row(owned);
  EXPECT_EQ(row.energy_basis, "provisioned");
  EXPECT_TRUE(row.question.target.board_is_rated);
  EXPECT_EQ(row.question.target.board_w.mid, 700);
  EXPECT_EQ(row.question.target.host_w.mid, 575);
  EXPECT_TRUE(row.answer.break_even_capex_usd);
  const double before = row.answer.target_usd_per_h->mid;
  owned.settings["electricity"] = exactly(1.0);
  EXPECT_NEAR(only_row(owned).answer.target_usd_per_h->mid - before, 1.1953125 * (1.0 - 0.0865), 1e-9);
  owned.facility = "hyperscale";
  EXPECT_EQ(only_row(owned).question.pue.mid, 1.1);
}

TEST(cost_report, measured_board_power_is_not_reduced_by_the_load_share) {
  std::vector<Record> records = scaled_pair();
  for (Record& record : records) record.energy.basis = "measured", record.energy.systematic_error = 0.05;
  CostOptions owned = options();
  owned.possession = Possession::owned;
  const CostReport report = make_cost_report(set_of(records), owned);
  EXPECT_FALSE(report.rows[0].question.reference.board_is_rated);
  EXPECT_NEAR(report.rows[0].question.reference.board_w.high, 735, 1e-9);
  for (Record& record : records) record.energy.basis = "measured_under_cap";
  EXPECT_TRUE(has_note(make_cost_report(set_of(records), owned),
                       "power under a cap is that of the machine that played"));
}

TEST(cost_report, old_prices_are_pointed_out) {
  CostOptions late = options();
  EXPECT_FALSE(has_note(make_cost_report(set_of(scaled_pair()), late), "days old"));
  late.today = "2026-11-26";  // 2026-05-01 is 209 days before
  EXPECT_TRUE(has_note(make_cost_report(set_of(scaled_pair()), late),
                       "the prices of 2026-05_market are 209 days old"));
}

TEST(cost_report, mistakes_are_named) {
  const auto fault = [](const auto& change) {
    CostOptions changed = options();
    change(changed);
    return error_of([&] { make_cost_report(set_of(scaled_pair()), changed); });
  };
  EXPECT_TRUE(
      contains(fault([](CostOptions& o) { o.settings["peu"] = exactly(1); }), "did you mean \"pue\"?"));
  EXPECT_TRUE(contains(fault([](CostOptions& o) { o.usd_per_h["h80-sxm"] = exactly(1); }),
                       "did you mean \"h800-sxm\"?"));
  EXPECT_TRUE(contains(fault([](CostOptions& o) { o.reference = "h20"; }), "no record ran on \"h20\""));
  EXPECT_TRUE(
      contains(fault([](CostOptions& o) { o.facility = "garage"; }), "facility \"garage\" is not known"));
  EXPECT_TRUE(contains(fault([](CostOptions& o) { o.prices.choice = "2026-05_markt"; }),
                       "did you mean \"2026-05_market\"?"));
  EXPECT_TRUE(contains(error_of([] { make_cost_report(set_of({scaled_pair().front()}), options()); }),
                       "no case ran on two targets"));
}

TEST(cost_report, a_reader_sees_the_price_at_which_both_are_even_and_what_it_hangs_on) {
  CostOptions own = options();
  own.usd_per_h["h800-sxm"] = parse_estimate("1.4..2..2.6", "--price");
  const CostReport report = make_cost_report(set_of(scaled_pair()), own);
  expect_golden("cost_160.txt", cost_table(report, plain(160)));
  expect_golden("cost.md", cost_markdown(report));
}

TEST(cost_report, json_has_every_range_assumption_and_swing) {
  const Json json = cost_json(make_cost_report(set_of(scaled_pair()), options()));
  const Json& row = json["rows"][0];
  EXPECT_NEAR(row["break_even_price_ratio"]["mid"].get<double>(), 0.685, 1e-9);
  EXPECT_TRUE(row["cost_ratio"].is_null());
  EXPECT_EQ(row["verdict"], "open");
  EXPECT_TRUE(row["assumptions"].contains("price of h100-sxm"));
  EXPECT_EQ(row["swings"][0]["variable"], "price of h100-sxm");
  EXPECT_EQ(json["cost_book"]["sha256"].get<std::string>().size(), 64U);
}

TEST(cost_report, text_in_records_stays_text_in_markdown) {
  std::vector<Record> records = scaled_pair();
  for (Record& record : records) record.provenance["label"] = "<b>|x|</b> [a](http://b)";
  const std::string text = cost_markdown(make_cost_report(set_of(records), options()));
  EXPECT_EQ(text.find("<b>"), std::string::npos);
  EXPECT_TRUE(contains(text, "\\[a\\](http"));  // brackets that make no link
}

}  // namespace
}  // namespace chokepoint
