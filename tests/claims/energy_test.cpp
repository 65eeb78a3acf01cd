// Energy of GPU-hours: the published rule, its golden sums, and measured phases instead of rated power.
#include "harness/claims/energy.hpp"

#include <gtest/gtest.h>

#include "harness/claims/money.hpp"
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
