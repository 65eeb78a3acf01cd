// Numbers known within a range: decoding, reading from a flag, and how they are estimate between their ends.
#include "harness/model/estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

constexpr Estimate kPrice{2.0, 1.0, 5.0, "", true};
constexpr double kZ95 = 1.6448536269514722;

std::string decode_error(const std::string& text) {
  return error_of([&] {
    const JsonFile file = parse_json(text, "x.json");
    decode_estimate(Fields(file));
  });
}

TEST(estimate, the_ends_are_the_fifth_and_the_ninety_fifth_percentile_and_the_middle_is_the_median) {
  EXPECT_DOUBLE_EQ(value_at(kPrice, 0), 2.0);
  EXPECT_DOUBLE_EQ(value_at(kPrice, -kZ95), 1.0);
  EXPECT_DOUBLE_EQ(value_at(kPrice, kZ95), 5.0);
  EXPECT_DOUBLE_EQ(value_at(kPrice, 2 * kZ95), 12.5);  // 5 * 5/2: log-normal
  std::vector<double> samples;
  for (std::uint64_t i = 0; i < 20000; ++i) samples.push_back(draw(kPrice, 7, "price", i));
  const Estimate drawn = estimate_of(samples);
  EXPECT_NEAR(drawn.mid, 2.0, 0.03);
  EXPECT_NEAR(drawn.low, 1.0, 0.03);
  EXPECT_NEAR(drawn.high, 5.0, 0.15);
}

TEST(estimate, a_share_that_may_be_zero_is_never_negative) {
  const Estimate share{0.1, 0.0, 0.3, "", true};
  EXPECT_DOUBLE_EQ(value_at(share, kZ95), 0.3);
  EXPECT_DOUBLE_EQ(value_at(share, -kZ95), 0.0);
  EXPECT_DOUBLE_EQ(value_at(share, -3 * kZ95), 0.0);
}

TEST(estimate, an_exact_number_stays_what_it_is) {
  EXPECT_EQ(draw(exactly(3.0), 1, "x", 5), 3.0);
  EXPECT_EQ(draw(exactly(0.0), 1, "x", 5), 0.0);
}

TEST(estimate, the_same_seed_name_and_index_give_the_same_draw) {
  EXPECT_EQ(draw(kPrice, 1, "a", 3), draw(kPrice, 1, "a", 3));
  EXPECT_NE(draw(kPrice, 1, "a", 3), draw(kPrice, 1, "b", 3));
  EXPECT_NE(draw(kPrice, 1, "a", 3), draw(kPrice, 2, "a", 3));
}

// A 95 % interval [e^-1.96, e^1.96] of a standard log-normal reaches from e^-1.645 to e^1.645 at 90 %.
TEST(estimate, an_interval_becomes_ends_that_hold_nine_of_ten) {
  const Estimate estimate =
      from_interval(1.0, std::exp(-1.959963985), std::exp(1.959963985), 0.95, "samples");
  EXPECT_NEAR(estimate.low, std::exp(-kZ95), 1e-6);
  EXPECT_NEAR(estimate.high, std::exp(kZ95), 1e-6);
}

// 2 * 3 = 6; widths ln 2 and ln 3 below: exp(-sqrt(0.6931^2 + 1.0986^2)) = exp(-1.2990) = 0.27280
TEST(estimate, factors_multiply_and_their_relative_widths_add_in_quadrature) {
  const Estimate both = product({Estimate{2, 1, 2, "", true}, Estimate{3, 1, 3, "", false}});
  EXPECT_DOUBLE_EQ(both.mid, 6);
  EXPECT_NEAR(both.low, 6 * 0.27280, 1e-4);
  EXPECT_DOUBLE_EQ(both.high, 6);
  EXPECT_FALSE(both.verified);
  const Estimate added =
      sum({Estimate{10, 7, 13, "", true}, Estimate{20, 16, 24, "", true}});  // sqrt(9 + 16) = 5
  EXPECT_DOUBLE_EQ(added.low, 25);
  EXPECT_DOUBLE_EQ(added.high, 35);
}

TEST(estimate, a_flag_names_one_two_or_three_numbers) {
  EXPECT_EQ(parse_estimate("2.5", "--price").mid, 2.5);
  EXPECT_TRUE(parse_estimate("2.5", "--price").is_exact());
  EXPECT_DOUBLE_EQ(parse_estimate("1..4", "--price").mid, 2.0);  // sqrt(1 * 4)
  EXPECT_EQ(parse_estimate("1..3..4", "--price").mid, 3.0);
  EXPECT_EQ(parse_estimate("1..3..4", "--price").high, 4.0);
  for (const char* bad :
       {"", "x", "1..", "..2", "1..2..3..4", "4..1", "1..9..4", "-1", "1.5e999", "2usd", "nan", "inf"})
    EXPECT_TRUE(contains(error_of([&] { parse_estimate(bad, "--price"); }), "--price: \"" + std::string(bad)))
        << bad;
}

TEST(estimate, mistakes_in_a_file_are_named) {
  EXPECT_EQ(decode_error(R"({"mid": 2, "source": "s"})"), "no error");
  EXPECT_TRUE(contains(decode_error(R"({"mid": 2})"), "source is missing"));
  EXPECT_TRUE(contains(decode_error(R"({"mid": 2, "low": 1, "source": "s"})"), "low stands alone"));
  EXPECT_TRUE(
      contains(decode_error(R"({"low": 3, "mid": 2, "high": 4, "source": "s"})"), "outside low 3 to high 4"));
  EXPECT_TRUE(
      contains(decode_error(R"({"low": -1, "mid": 2, "high": 4, "source": "s"})"), "low is -1, below 0"));
  EXPECT_TRUE(contains(decode_error(R"({"mid": -2, "source": "s"})"), "mid is -2, below 0"));
  EXPECT_TRUE(contains(decode_error(R"({"mid": 2, "unit": "W", "source": "s"})"), "unit is an unknown key"));
}

}  // namespace
}  // namespace chokepoint
