// Expressions of claims: values by hand, every fault with its place, and nothing that a file can say breaks the parser.
#include "harness/claims/expression.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

std::optional<double> symbol(std::string_view name) {
  if (name == "two") return 2.0;
  if (name == "gpus") return 2048.0;
  if (name == "zero") return 0.0;
  return std::nullopt;
}

double value_of(std::string_view text) { return evaluate(text, symbol).value.value(); }

Evaluation fault_of(std::string_view text) {
  const Evaluation result = evaluate(text, symbol);
  EXPECT_FALSE(result.value.has_value()) << text;
  EXPECT_FALSE(result.fault.empty()) << text;
  EXPECT_FALSE(result.remedy.empty()) << text;
  return result;
}

TEST(expression, products_bind_tighter_than_sums_and_both_go_from_left_to_right) {
  EXPECT_DOUBLE_EQ(value_of("2+3*4"), 14.0);
  EXPECT_DOUBLE_EQ(value_of("(2+3)*4"), 20.0);
  EXPECT_DOUBLE_EQ(value_of("10-4-3"), 3.0);
  EXPECT_DOUBLE_EQ(value_of("24/4/3*2"), 4.0);
}

TEST(expression, signs_numbers_and_names_are_read) {
  EXPECT_DOUBLE_EQ(value_of("-two*-3"), 6.0);
  EXPECT_DOUBLE_EQ(value_of("2--3"), 5.0);
  EXPECT_DOUBLE_EQ(value_of(" 1e3 + .5\t- 1.5e-1 "), 1000.35);
  EXPECT_DOUBLE_EQ(value_of("gpus*19.926/3600"), 2048 * 19.926 / 3600);
}

TEST(expression, an_unknown_name_is_named_with_its_place) {
  const Evaluation fault = fault_of("two*tow");
  EXPECT_EQ(fault.symbol, "tow");
  EXPECT_EQ(fault.at, 4U);
}

TEST(expression, division_by_zero_is_a_fault_at_the_sign) {
  EXPECT_EQ(fault_of("1+2/(two-2)").at, 3U);
  EXPECT_NE(fault_of("1/zero").fault.find("zero"), std::string::npos);
  EXPECT_EQ(fault_of("0/0").at, 1U);
}

TEST(expression, faults_of_grammar_have_a_place) {
  EXPECT_EQ(fault_of("").at, 0U);
  EXPECT_EQ(fault_of("2+").at, 2U);
  EXPECT_EQ(fault_of("(2+3").at, 4U);
  EXPECT_EQ(fault_of("2 3").at, 2U);
  EXPECT_EQ(fault_of("2^3").at, 1U);
  EXPECT_EQ(fault_of("2)").at, 1U);
  EXPECT_EQ(fault_of("2*.").at, 2U);
  EXPECT_EQ(fault_of("system(1)").symbol, "system");
}

TEST(expression, what_no_number_can_hold_is_a_fault) {
  fault_of("1e308*10");
  fault_of("1e999");
  fault_of("-1e308-1e308");
}

TEST(expression, depth_and_length_are_bounded) {
  const auto nested = [](int depth) { return std::string(depth, '(') + "1" + std::string(depth, ')'); };
  EXPECT_DOUBLE_EQ(value_of(nested(kMostExpressionDepth - 1)), 1.0);
  EXPECT_NE(fault_of(nested(kMostExpressionDepth)).fault.find("deeper"), std::string::npos);
  fault_of(std::string(900, '-') + "1");
  std::string longest = "1";
  while (longest.size() + 2 <= kMostExpressionBytes) longest += "+1";
  EXPECT_TRUE(evaluate(longest, symbol).value.has_value());
  EXPECT_NE(fault_of(longest + "+1+1").fault.find("long"), std::string::npos);
}

// Either a finite value or a fault with a place inside the text; never both, never neither, whatever the bytes.
TEST(expression, random_texts_give_a_finite_value_or_a_fault_inside_the_text) {
  constexpr std::uint64_t kSeed = 5, kRounds = 200000;
  constexpr std::string_view kAlphabet = "0123456789.eE+-*/()  twogpus_\x80\xff\n\"'^%,;";
  int values = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    std::string text;
    const std::uint64_t length = random_below(kSeed, round, 0, 24);
    for (std::uint64_t i = 1; i <= length; ++i) text += kAlphabet[random_below(kSeed, round, i, kAlphabet.size())];
    const Evaluation result = evaluate(text, symbol);
    ASSERT_NE(result.value.has_value(), !result.fault.empty()) << text;
    ASSERT_TRUE(std::isfinite(result.value.value_or(0.0))) << text;
    ASSERT_LE(result.at, text.size()) << text;
    values += result.value ? 1 : 0;
  }
  EXPECT_GT(values, 1000);
}

// Random trees written out with every parenthesis, against the value of the tree.
std::pair<std::string, double> random_tree(std::uint64_t stream, std::uint64_t& counter, int depth) {
  const std::uint64_t choice = random_below(6, stream, counter++, depth == 0 ? 2 : 6);
  if (choice < 2) {
    const double value = 1.0 + static_cast<double>(random_below(6, stream, counter++, 9));
    return {std::to_string(static_cast<int>(value)), value};
  }
  const auto [left, a] = random_tree(stream, counter, depth - 1);
  const auto [right, b] = random_tree(stream, counter, depth - 1);
  const char sign = "+-*/"[choice - 2];
  const double value = sign == '+' ? a + b : sign == '-' ? a - b : sign == '*' ? a * b : b == 0.0 ? NAN : a / b;
  return {"(" + left + sign + right + ")", value};
}

TEST(expression, random_trees_have_the_value_of_the_tree) {
  int compared = 0;
  for (std::uint64_t stream = 0; stream < 2000; ++stream) {
    std::uint64_t counter = 0;
    const auto [text, value] = random_tree(stream, counter, 5);
    const Evaluation result = evaluate(text, symbol);
    if (!std::isfinite(value) || text.size() > kMostExpressionBytes) continue;
    ASSERT_TRUE(result.value.has_value()) << text << ": " << result.fault;
    EXPECT_DOUBLE_EQ(*result.value, value) << text;
    ++compared;
  }
  EXPECT_GT(compared, 1500);
}

}  // namespace
}  // namespace chokepoint
