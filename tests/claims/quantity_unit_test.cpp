// Units of published numbers: decimal and binary prefixes, times, and what is refused because it could mean two things.
#include "harness/claims/quantity_unit.hpp"

#include <gtest/gtest.h>

namespace chokepoint {
namespace {

void expect_unit(std::string_view text, double scale, std::string_view base) {
  const auto unit = quantity_unit(text);
  ASSERT_TRUE(unit.has_value()) << text;
  EXPECT_NEAR(unit->scale / scale, 1.0, 1e-12) << text;
  EXPECT_EQ(unit->base, base) << text;
}

TEST(quantity_unit, prefixes_times_and_denominators_are_read) {
  expect_unit("h", 3600, "s");
  expect_unit("ms", 1e-3, "s");
  expect_unit("1/d", 1.0 / 86400, "1/s");
  expect_unit("GFLOP", 1e9, "FLOP");
  expect_unit("TFLOP/s/GPU", 1e12, "FLOP/s/GPU");
  expect_unit("USD", 1, "USD");
  expect_unit("MWh", 3.6e9, "J");
  expect_unit("ratio", 1, "1");
  expect_unit("%", 0.01, "1");
  expect_unit("J/token", 1, "J/token");
  expect_unit("ktokens/s", 1000, "1/s");
}

TEST(quantity_unit, gib_is_not_gb) {
  expect_unit("GB/s", 1e9, "B/s");
  expect_unit("GiB/s", 1073741824.0, "B/s");
  EXPECT_NEAR(quantity_unit("GiB")->scale / quantity_unit("GB")->scale, 1.0737, 1e-4);
}

TEST(quantity_unit, what_could_mean_two_things_is_refused) {
  for (const char* text : {"TFLOPS", "GB/S", "Gb/s", "gb", "", "/s", "GB//s", "GB/s/", "apples", "KB", "FLOP/apple"})
    EXPECT_FALSE(quantity_unit(text).has_value()) << text;
}

}  // namespace
}  // namespace chokepoint
