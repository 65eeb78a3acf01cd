// Cost: an hour owned or rented, the break-even price, who wins under a range of prices, and what that hangs
// on.
#include "harness/model/cost.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/files.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

Ownership textbook_terms() { return {exactly(0.10), exactly(0.10), exactly(4), exactly(0.95), exactly(0)}; }

// H800 at 0.8 of the H100's throughput, both rented.
CostQuestion rental(double target_usd, double reference_usd) {
  CostQuestion question;
  question.target = {"h800-sxm", Possession::rented, exactly(target_usd), {}, exactly(700), exactly(575)};
  question.reference = {"h100-sxm", Possession::rented, exactly(reference_usd),
                        {},         exactly(700),       exactly(575)};
  question.throughput_ratio = exactly(0.8);
  question.terms = textbook_terms();
  question.electricity_usd_per_kwh = exactly(0.0865);
  question.pue = exactly(1.25);
  question.load_share = exactly(0.75);
  return question;
}

CostQuestion owned(double target_capex, double reference_capex) {
  CostQuestion question = rental(1, 1);
  for (CostSide* side : {&question.target, &question.reference}) side->possession = Possession::owned;
  question.target.capex_usd = exactly(target_capex);
  question.reference.capex_usd = exactly(reference_capex);
  return question;
}

// 0.1 * 1.1^4 / (1.1^4 - 1) = 0.14641 / 0.4641 = 0.315471
TEST(cost, the_capital_recovery_factor_is_that_of_the_textbook) {
  EXPECT_NEAR(capital_recovery_factor(0.10, 4), 0.3154708, 1e-7);
  EXPECT_DOUBLE_EQ(capital_recovery_factor(0, 4), 0.25);
  EXPECT_NEAR(capital_recovery_factor(1e-12, 4), 0.25, 1e-9);  // no cancellation near zero
}

// (40,000 - 4,000 / 1.4641) * 0.3154708 / (8760 * 0.95) = 37,267.95 * 0.3154708 / 8322 = 1.41275
TEST(cost, an_owned_hour_is_purchase_less_residual_over_the_hours_in_use) {
  EXPECT_NEAR(owned_usd_per_h(40000, textbook_terms()), 1.41275, 1e-5);
  Ownership terms = textbook_terms();
  terms.opex_usd_per_gpu_h = exactly(0.2);
  EXPECT_NEAR(owned_usd_per_h(40000, terms), 1.61275, 1e-5);
  EXPECT_NEAR(capex_at(owned_usd_per_h(40000, terms), terms), 40000, 1e-6);
}

TEST(cost, twice_the_purchase_price_is_twice_the_hour_and_half_the_availability_too) {
  Ownership terms = textbook_terms();
  const double once = owned_usd_per_h(40000, terms);
  EXPECT_NEAR(owned_usd_per_h(80000, terms), 2 * once, 1e-12);
  terms.availability = exactly(0.475);
  EXPECT_NEAR(owned_usd_per_h(40000, terms), 2 * once, 1e-12);
}

// (700 + 575) W * 0.75 = 956.25 W; * 1.25 = 1.1953 kW; * $0.0865 = $0.10339 per hour
TEST(cost, electricity_is_board_and_host_at_their_load_times_pue) {
  const CostQuestion question = owned(40000, 40000);
  EXPECT_DOUBLE_EQ(it_power_w(question.target, question), 956.25);
  EXPECT_NEAR(electricity_usd_per_h(956.25, 1.25, 0.0865), 0.103394, 1e-6);
  EXPECT_NEAR(*usd_per_h(question.target, question), 1.41275 + 0.10339, 2e-5);
  EXPECT_NEAR(electricity_usd_per_h(956.25, 2.5, 0.0865), 2 * 0.103394, 2e-6);
  CostQuestion measured = question;
  measured.target.board_is_rated = false;  // 700 W were drawn: 700 + 575 * 0.75
  EXPECT_DOUBLE_EQ(it_power_w(measured.target, measured), 1131.25);
}

TEST(cost, a_rented_hour_has_its_electricity_inside) {
  CostQuestion question = rental(2, 3);
  EXPECT_EQ(*usd_per_h(question.target, question), 2.0);
  question.electricity_usd_per_kwh = exactly(100);
  EXPECT_EQ(*usd_per_h(question.target, question), 2.0);
  EXPECT_TRUE(answer(question).swings.empty());  // and nothing else that is exact moves anything
}

// Rental: at 0.8 of the throughput the price may be 0.8 of the reference's: 0.8 * 3 = 2.40.
TEST(cost, the_break_even_price_ratio_is_the_throughput_ratio_times_that_of_utilisation) {
  CostQuestion question = rental(2, 3);
  EXPECT_NEAR(*break_even_usd_per_h(question), 2.40, 1e-12);
  EXPECT_NEAR(*cost_ratio(question), 2.0 / 2.4, 1e-12);
  EXPECT_EQ(answer(question).verdict, CostVerdict::wins);
  question.utilisation_ratio = exactly(0.5);
  EXPECT_NEAR(answer(question).break_even_price_ratio.mid, 0.4, 1e-12);
  EXPECT_NEAR(*break_even_usd_per_h(question), 1.20, 1e-12);
  EXPECT_EQ(answer(question).verdict, CostVerdict::loses);
}

TEST(cost, at_the_break_even_price_neither_is_cheaper) {
  CostQuestion question = rental(2, 3);
  question.target.usd_per_h = exactly(*break_even_usd_per_h(question));
  EXPECT_NEAR(*cost_ratio(question), 1.0, 1e-12);
  CostQuestion bought = owned(30000, 40000);
  bought.target.capex_usd = exactly(answer(bought).break_even_capex_usd->mid);
  EXPECT_NEAR(*cost_ratio(bought), 1.0, 1e-12);
}

// Reference: 1.41275 + 0.10339 = 1.51615. Even: 0.8 * 1.51615 - 0.10339 = 1.10953 without electricity, hence
// 1.10953 * 8322 / 0.3154708 / (1 - 0.1 / 1.4641) = $31,414 to buy.
TEST(cost, an_owned_target_has_to_earn_its_electricity_first) {
  const CostQuestion question = owned(30000, 40000);
  EXPECT_NEAR(*break_even_usd_per_h(question), 1.10953, 2e-5);
  EXPECT_NEAR(answer(question).break_even_capex_usd->mid, 31414, 2);
}

TEST(cost, twice_the_price_is_twice_the_cost_and_twice_the_throughput_half_of_it) {
  CostQuestion question = rental(2, 3);
  const double once = *cost_ratio(question);
  question.target.usd_per_h = exactly(4);
  EXPECT_NEAR(*cost_ratio(question), 2 * once, 1e-12);
  question.throughput_ratio = exactly(1.6);
  EXPECT_NEAR(*cost_ratio(question), once, 1e-12);
}

TEST(cost, engineering_is_paid_by_the_side_that_needs_it) {
  CostQuestion question = rental(2, 3);
  question.target.engineering_usd_per_h = exactly(0.25);
  EXPECT_NEAR(*usd_per_h(question.target, question), 2.25, 1e-12);
  EXPECT_NEAR(*usd_per_h(question.reference, question), 3.0, 1e-12);
  EXPECT_NEAR(*break_even_usd_per_h(question), 2.15, 1e-12);
}

// ln(price / 2.40) is normal with sd ln(4/2)/1.645 above and ln(2/1)/1.645 below the median 2: the target
// wins when the price is below 2.40, at z = ln(1.2) / 0.42139 = 0.43266, P = 0.66736.
TEST(cost, the_probability_to_win_is_that_of_a_price_below_break_even) {
  CostQuestion question = rental(2, 3);
  question.target.usd_per_h = Estimate{2, 1, 4, "range", true};
  const CostAnswer found = answer(question, 1, 20000);
  EXPECT_NEAR(*found.win_probability, 0.66736, 0.01);  // standard error 0.0033
  EXPECT_EQ(found.verdict, CostVerdict::depends);
  EXPECT_EQ(found.flips, "price of h800-sxm");
  EXPECT_NEAR(found.cost_ratio->low, 1 / 2.4, 0.02);
  EXPECT_NEAR(found.cost_ratio->high, 4 / 2.4, 0.05);
}

TEST(cost, the_tornado_has_the_largest_swing_first_and_only_what_moves_something) {
  CostQuestion question = owned(30000, 40000);
  question.throughput_ratio = Estimate{0.8, 0.79, 0.81, "samples", true};
  question.target.capex_usd = Estimate{30000, 20000, 45000, "range", true};
  question.electricity_usd_per_kwh = Estimate{0.0865, 0.04, 0.15, "range", true};
  question.pue = exactly(1.25);
  const CostAnswer found = answer(question);
  ASSERT_EQ(found.swings.size(), 3U);
  EXPECT_EQ(found.swings[0].variable, "purchase price of h800-sxm");
  EXPECT_EQ(found.swings_of, "cost ratio");
  EXPECT_LT(found.swings[0].outcome_low, found.swings[0].outcome_high);
  // Throughput at its high end makes the target cheaper.
  const CostSwing& throughput =
      found.swings[1].variable == "throughput ratio" ? found.swings[1] : found.swings[2];
  EXPECT_NEAR(throughput.outcome_low / throughput.outcome_high, 0.81 / 0.79, 1e-9);
}

TEST(cost, without_a_price_of_the_target_there_is_a_break_even_price_and_no_verdict) {
  CostQuestion question = rental(2, 3);
  question.target.usd_per_h.reset();
  question.reference.usd_per_h = Estimate{3, 2, 5, "range", true};
  const CostAnswer found = answer(question);
  EXPECT_EQ(found.verdict, CostVerdict::open);
  EXPECT_FALSE(found.cost_ratio || found.win_probability || found.target_usd_per_h);
  EXPECT_NEAR(found.break_even_usd_per_h->mid, 2.4, 1e-12);
  EXPECT_NEAR(found.break_even_usd_per_h->low, 1.6, 0.05);
  EXPECT_EQ(found.swings_of, "break-even price");
  question.reference.usd_per_h.reset();
  EXPECT_FALSE(answer(question).break_even_usd_per_h);
  EXPECT_NEAR(answer(question).break_even_price_ratio.mid, 0.8, 1e-12);
}

TEST(cost, the_same_seed_gives_the_same_answer) {
  CostQuestion question = rental(2, 3);
  question.target.usd_per_h = Estimate{2, 1, 4, "range", true};
  EXPECT_EQ(*answer(question, 5).win_probability, *answer(question, 5).win_probability);
  EXPECT_NE(answer(question, 5).cost_ratio->low, answer(question, 6).cost_ratio->low);
}

TEST(cost, shipped_estimates_decode_and_every_weak_figure_is_flagged) {
  const std::vector<CostBook> books = load_cost_books(shipped_configs());
  const CostBook& book = find_cost_book(books, "");
  EXPECT_EQ(book.id, "2026-11_estimates");
  EXPECT_EQ(find_machine(book, "h100-sxm")->host_w.mid, 575);  // 10,200 / 8 - 700
  EXPECT_EQ(find_facility(book, "colocation").pue.mid, 1.25);
  EXPECT_EQ(find_machine(book, "b200-sxm"), nullptr);
  EXPECT_TRUE(contains(capex_absence(book, "h800-sxm"), "no credible purchase price"));
  const Json json = read_json(book.path).value, flat = json.flatten();
  int weak = 0;
  for (const auto& [key, value] : flat.items()) {
    if (!key.ends_with("/source")) continue;
    const std::string source = value.get<std::string>();
    for (const char* word : {"guess", "assumption", "weak:", "no document found", "forum"})
      if (source.find(word) != std::string::npos) {
        ++weak;
        EXPECT_TRUE(json.contains(Json::json_pointer(key.substr(0, key.size() - 6) + "verified"))) << key;
        break;
      }
  }
  EXPECT_GT(weak, 8);
}

TEST(cost, mistakes_in_a_cost_book_name_line_and_key) {
  const std::string path = shipped_configs() + "/costs/2026-11_estimates.json";
  const auto fault = [&](const std::string& from, const std::string& to) {
    return error_of([&] { decode_cost_book(parse_json(with(read_file(path), from, to), path)); });
  };
  EXPECT_EQ(fault("x", "x"), "no error");
  EXPECT_TRUE(
      contains(fault("\"mid\": 1.25, \"high\": 1.56", "\"mid\": 1.25, \"high\": 15.6"), "outside 1 to 10"));
  EXPECT_TRUE(
      contains(fault("\"low\": 1.1, \"mid\": 1.25", "\"low\": 0.9, \"mid\": 1.25"), "outside 1 to 10"));
  EXPECT_TRUE(contains(fault("\"low\": 0.90, \"mid\": 0.95, \"high\": 0.99", "\"mid\": 95"),
                       "availability reaches from 95"));
  EXPECT_TRUE(contains(fault("\"currency\": \"USD\"", "\"currency\": \"EUR\""), "currency is \"EUR\""));
  EXPECT_TRUE(contains(fault("\"host_w\"", "\"hots_w\""), "host_w is missing; add it (there is \"hots_w\")"));
  EXPECT_TRUE(contains(fault("\"profile\": \"h800-sxm\"", "\"profile\": \"h100-sxm\""),
                       "h100-sxm for the second time"));
  EXPECT_TRUE(
      contains(fault("\"id\": \"hyperscale\"", "\"id\": \"colocation\""), "colocation for the second time"));
  EXPECT_TRUE(contains(fault("2026-11", "2026-10"), "but the file is called 2026-11_estimates"));
  const std::vector<CostBook> books = load_cost_books(shipped_configs());
  EXPECT_TRUE(contains(error_of([&] { find_cost_book(books, "2026-11_estimate"); }),
                       "did you mean \"2026-11_estimates\"?"));
  EXPECT_TRUE(contains(error_of([&] { find_facility(books.back(), "hyperscaler"); }),
                       "did you mean \"hyperscale\"?"));
}

TEST(cost, damaged_cost_books_give_an_error_or_a_book_never_a_crash) {
  const std::string path = shipped_configs() + "/costs/2026-11_estimates.json";
  const int rejected =
      rejected_mutations(read_json(path), 400, [](const JsonFile& file) { decode_cost_book(file); });
  EXPECT_GT(rejected, 100);
  EXPECT_LT(rejected, 400);
}

}  // namespace
}  // namespace chokepoint
