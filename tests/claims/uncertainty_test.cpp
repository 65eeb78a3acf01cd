// Uncertainty: percentiles of what can be worked out by hand, shares of the variance, and the same numbers every time.
#include "harness/claims/uncertainty.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

Assumption assumption(std::string key, double value, double lo, double hi,
                      std::optional<double> neutral = std::nullopt) {
  return {std::move(key), value, lo, hi, "prior", "a test", neutral};
}

Prepared prepared_of(std::vector<Assumption> assumptions, Predict predict) {
  Prepared prepared;
  prepared.assumptions = std::move(assumptions);
  prepared.predict = std::move(predict);
  return prepared;
}

TEST(uncertainty, lo_and_hi_are_the_5th_and_95th_percentile) {
  const Assumption one = assumption("x", 1.1, 1.02, 1.15);
  EXPECT_NEAR(quantile_of(one, 0.05), 1.02, 1e-12);
  EXPECT_NEAR(quantile_of(one, 0.95), 1.15, 1e-12);
  EXPECT_NEAR(quantile_of(one, 0.5), std::sqrt(1.02 * 1.15), 1e-12);
  EXPECT_DOUBLE_EQ(quantile_of(assumption("x", 2, 2, 2), 0.3), 2.0);
}

TEST(uncertainty, the_interval_of_one_assumption_is_its_own) {
  const auto prepared =
      prepared_of({assumption("x", 1.0, 0.8, 1.25)}, [](const Drawn& d) { return std::vector{3 * d["x"]}; });
  const DrawnSpread spread = spread_of(prepared, {.seed = 1, .draws = 20000}).front();
  EXPECT_NEAR(spread.p5, 2.4, 0.02);
  EXPECT_NEAR(spread.p50, 3.0, 0.02);
  EXPECT_NEAR(spread.p95, 3.75, 0.03);
  EXPECT_GT(spread.shares[0], 0.97);  // bins have a width of their own
}

// ln y = ln a + ln b: variances of logarithms add, so the half width is sqrt(wa^2 + wb^2).
TEST(uncertainty, independent_assumptions_add_in_squares) {
  const auto prepared = prepared_of({assumption("a", 1, 1 / 1.3, 1.3), assumption("b", 1, 1 / 1.1, 1.1)},
                                    [](const Drawn& d) { return std::vector{d["a"] * d["b"]}; });
  const DrawnSpread spread = spread_of(prepared, {.seed = 2, .draws = 20000}).front();
  const double wa = std::log(1.3), wb = std::log(1.1);
  EXPECT_NEAR(std::log(spread.p95 / spread.p5) / 2, std::hypot(wa, wb), 0.006);
  EXPECT_NEAR(spread.shares[0], wa * wa / (wa * wa + wb * wb), 0.02);
  EXPECT_NEAR(spread.shares[0] + spread.shares[1], 1.0, 0.02);
}

TEST(uncertainty, an_assumption_that_does_nothing_has_no_share_and_no_bar) {
  const auto prepared = prepared_of({assumption("a", 1, 0.5, 2), assumption("idle", 1, 0.1, 10)},
                                    [](const Drawn& d) { return std::vector{d["a"]}; });
  const DrawnSpread spread = spread_of(prepared, {}).front();
  EXPECT_LT(spread.shares[1], 0.02);
  EXPECT_DOUBLE_EQ(spread.tornado[1].at_lo, spread.tornado[1].at_hi);
}

// y = (x - 1)^2 has no slope in the middle: a correlation would see nothing.
TEST(uncertainty, a_share_is_found_where_a_correlation_is_zero) {
  const auto prepared =
      prepared_of({assumption("x", 1, 1 / 1.5, 1.5), assumption("y", 1, 0.99, 1.01)}, [](const Drawn& d) {
        const double log_x = std::log(d["x"]);
        return std::vector{1.0 + log_x * log_x + 0.01 * d["y"]};
      });
  EXPECT_GT(spread_of(prepared, {}).front().shares[0], 0.8);
}

TEST(uncertainty, the_tornado_moves_one_assumption_at_a_time) {
  const auto prepared = prepared_of({assumption("a", 10, 8, 15), assumption("b", 2, 1, 4)},
                                    [](const Drawn& d) { return std::vector{d["a"] + d["b"]}; });
  const DrawnSpread spread = spread_of(prepared, {}).front();
  EXPECT_DOUBLE_EQ(spread.point, 12);
  EXPECT_DOUBLE_EQ(spread.tornado[0].at_lo, 10);
  EXPECT_DOUBLE_EQ(spread.tornado[0].at_hi, 17);
  EXPECT_DOUBLE_EQ(spread.tornado[1].at_lo, 11);
  EXPECT_DOUBLE_EQ(spread.tornado[1].at_hi, 14);
}

TEST(uncertainty, the_unfitted_point_has_neutral_values_and_effects_start_from_it) {
  const auto prepared = prepared_of({assumption("factor", 1.1, 1.05, 1.2, 1.0), assumption("rest", 5, 4, 6)},
                                    [](const Drawn& d) { return std::vector{d["factor"] * d["rest"]}; });
  const DrawnSpread spread = spread_of(prepared, {}).front();
  EXPECT_DOUBLE_EQ(spread.point, 5.5);
  EXPECT_DOUBLE_EQ(spread.unfitted, 5.0);
  EXPECT_NEAR(spread.effects[0], std::sqrt(1.05 * 1.2) - 1.0, 1e-12);
}

TEST(uncertainty, the_same_seed_gives_the_same_numbers_and_another_seed_others) {
  const auto prepared =
      prepared_of({assumption("x", 1, 0.8, 1.25)}, [](const Drawn& d) { return std::vector{d["x"]}; });
  const double first = spread_of(prepared, {.seed = 3}).front().p95;
  EXPECT_DOUBLE_EQ(spread_of(prepared, {.seed = 3}).front().p95, first);
  EXPECT_NE(spread_of(prepared, {.seed = 4}).front().p95, first);
}

TEST(uncertainty, a_prediction_that_is_not_finite_is_an_error) {
  const auto prepared =
      prepared_of({assumption("x", 1, 0.8, 1.25)}, [](const Drawn&) { return std::vector<double>{NAN}; });
  EXPECT_THROW(spread_of(prepared, {}), Error);
}

TEST(uncertainty, asking_for_an_assumption_that_was_not_declared_is_an_error) {
  const auto prepared =
      prepared_of({assumption("x", 1, 0.8, 1.25)}, [](const Drawn& d) { return std::vector{d["y"]}; });
  EXPECT_THROW(spread_of(prepared, {}), Error);
}

// 0.75 with 0.66 and 0.97 as 5th and 95th percentile: log-normal through the ends alone its median would be 0.80.
TEST(uncertainty, a_value_that_is_a_median_stays_the_median_and_each_side_has_its_own_width) {
  Assumption load{"load_share", 0.75, 0.66, 0.97, "published", "a test", {}};
  EXPECT_NEAR(quantile_of(load, 0.5), std::sqrt(0.66 * 0.97), 1e-12);
  load.is_median = true;
  EXPECT_NEAR(quantile_of(load, 0.5), 0.75, 1e-12);
  EXPECT_NEAR(quantile_of(load, 0.05), 0.66, 1e-9);
  EXPECT_NEAR(quantile_of(load, 0.95), 0.97, 1e-9);
}

}  // namespace
}  // namespace chokepoint
