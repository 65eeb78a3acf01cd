// Axes: round ticks inside the frame, and the same value at the same place.
#include "harness/report/html/scale.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace chokepoint {
namespace {

TEST(scale, puts_the_ends_at_the_ends_and_the_middle_between) {
  const Scale linear{.low = 10, .high = 20, .spacing = Spacing::linear, .from = 100, .to = 300};
  EXPECT_DOUBLE_EQ(linear.at(10), 100);
  EXPECT_DOUBLE_EQ(linear.at(15), 200);
  const Scale logarithmic{.low = 1, .high = 100, .spacing = Spacing::logarithmic, .from = 300, .to = 100};
  EXPECT_DOUBLE_EQ(logarithmic.at(10), 200);
  EXPECT_DOUBLE_EQ(logarithmic.at(100), 100);
}

TEST(scale, ticks_are_round_and_inside) {
  EXPECT_EQ(ticks_of({.low = 0, .high = 10, .spacing = Spacing::linear}, 5),
            (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks_of({.low = 1, .high = 1000, .spacing = Spacing::logarithmic}, 5),
            (std::vector<double>{1, 10, 100, 1000}));
  EXPECT_EQ(ticks_of({.low = 10, .high = 200, .spacing = Spacing::logarithmic}, 6),
            (std::vector<double>{10, 20, 50, 100, 200}));
  // Less than a decade: steps of a linear axis, at their logarithmic places.
  EXPECT_EQ(ticks_of({.low = 1, .high = 5, .spacing = Spacing::logarithmic}, 4),
            (std::vector<double>{1, 2, 3, 4, 5}));
}

TEST(scale, holds_all_values_and_one_value_or_none_make_a_scale_too) {
  for (const Spacing spacing : {Spacing::linear, Spacing::logarithmic})
    for (const std::vector<double>& values :
         {std::vector<double>{0.3, 7.0, 120.0}, {5.0}, {}, {1e-9, 2e-9}, {0.98, 1.02}}) {
      const Scale scale = scale_around(values, spacing, 0, 100);
      ASSERT_LT(scale.low, scale.high);
      for (const double value : values) EXPECT_TRUE(scale.holds(value)) << value;
      EXPECT_GE(ticks_of(scale, 6).size(), 2U);
      EXPECT_LE(ticks_of(scale, 6).size(), 14U);
    }
}

TEST(scale, passes_over_what_has_no_place) {
  const Scale scale = scale_around(
      {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), -1.0, 0.0, 10.0},
      Spacing::logarithmic, 0, 1);
  EXPECT_GT(scale.low, 0.0);
  EXPECT_LE(scale.high, 100.0);
}

TEST(scale, tick_texts_are_short_and_exact) {
  EXPECT_EQ(tick_text(0.0), "0");
  EXPECT_EQ(tick_text(0.05), "0.05");
  EXPECT_EQ(tick_text(20000), "20 k");
  EXPECT_EQ(tick_text(2.5e12), "2.5 T");
}

}  // namespace
}  // namespace chokepoint
