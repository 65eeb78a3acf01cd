// Verdicts: every branch of the rule, on both sides of each limit.
#include "harness/claims/verdict.hpp"

#include <gtest/gtest.h>

namespace chokepoint {
namespace {

// 100 within [90, 110] around 100: 20 % wide, tolerance 10 %.
Evidence good() {
  return {.published = 100, .lo = 90, .mid = 100, .hi = 110, .tolerance = 0.10, .is_lower_better = true};
}

TEST(verdict, inside_close_and_narrow_is_reproduced) { EXPECT_EQ(judge(good()).verdict, Verdict::reproduced); }

TEST(verdict, the_ends_of_the_interval_are_inside) {
  Evidence evidence = good();
  evidence.tolerance = 0.12;
  evidence.published = 90;
  EXPECT_EQ(judge(evidence).verdict, Verdict::reproduced);
  evidence.published = 110;
  EXPECT_EQ(judge(evidence).verdict, Verdict::reproduced);
}

TEST(verdict, inside_but_beyond_the_tolerance_is_consistent_but_wide) {
  Evidence evidence = good();
  evidence.published = 106;
  evidence.tolerance = 0.07;
  EXPECT_EQ(judge(evidence).verdict, Verdict::reproduced);
  evidence.tolerance = 0.05;
  EXPECT_EQ(judge(evidence).verdict, Verdict::consistent_but_wide);
}

TEST(verdict, an_interval_wider_than_three_tolerances_is_consistent_but_wide) {
  Evidence evidence = good();
  evidence.lo = 84;
  evidence.hi = 114;  // exactly 0.30
  EXPECT_EQ(judge(evidence).verdict, Verdict::reproduced);
  evidence.hi = 115;
  EXPECT_EQ(judge(evidence).verdict, Verdict::consistent_but_wide);
}

TEST(verdict, outside_on_the_better_side_is_optimistic) {
  Evidence evidence = good();
  evidence.published = 89.9;  // fewer hours than possible
  EXPECT_EQ(judge(evidence).verdict, Verdict::optimistic);
  evidence.is_lower_better = false;
  EXPECT_EQ(judge(evidence).verdict, Verdict::pessimistic);
}

TEST(verdict, outside_on_the_worse_side_is_pessimistic) {
  Evidence evidence = good();
  evidence.published = 110.1;
  EXPECT_EQ(judge(evidence).verdict, Verdict::pessimistic);
  evidence.is_lower_better = false;
  EXPECT_EQ(judge(evidence).verdict, Verdict::optimistic);
}

TEST(verdict, being_outside_counts_even_within_the_tolerance) {
  Evidence evidence = good();
  evidence.lo = 99;
  evidence.hi = 101;
  evidence.published = 102;
  EXPECT_EQ(judge(evidence).verdict, Verdict::pessimistic);
}

TEST(verdict, distance_is_in_standard_deviations_of_logarithms_and_in_percent) {
  Evidence evidence = good();
  evidence.lo = 100 / 1.1;
  evidence.published = 121;  // twice as far as hi
  const Judgement judgement = judge(evidence);
  EXPECT_NEAR(judgement.sigma.value(), 2 * 1.6449, 1e-3);
  EXPECT_NEAR(judgement.deviation.value(), 0.21, 1e-12);
  EXPECT_NE(judgement.reason.find("+10.0 %"), std::string::npos) << judgement.reason;
  EXPECT_NE(judgement.reason.find("+3.3 sigma"), std::string::npos) << judgement.reason;
}

TEST(verdict, a_load_below_the_bound_is_bounded_and_above_it_is_judged_like_any_other) {
  Evidence evidence = good();
  evidence.is_lower_better = false;
  evidence.bound = 120;
  EXPECT_EQ(judge(evidence).verdict, Verdict::bounded);
  evidence.published = 121;
  EXPECT_EQ(judge(evidence).verdict, Verdict::optimistic);
  evidence.is_lower_better = true;
  evidence.published = 119;  // where less is better the bound is from below
  EXPECT_EQ(judge(evidence).verdict, Verdict::pessimistic);
}

TEST(verdict, a_cap_allows_no_more_than_consistent_but_wide) {
  Evidence evidence = good();
  evidence.cap = "half of the variance is a guess";
  const Judgement judgement = judge(evidence);
  EXPECT_EQ(judgement.verdict, Verdict::consistent_but_wide);
  EXPECT_NE(judgement.reason.find("guess"), std::string::npos);
  evidence.published = 200;
  EXPECT_EQ(judge(evidence).verdict, Verdict::pessimistic) << "a cap does not save what is outside";
}

TEST(verdict, only_guesses_with_more_than_a_third_of_the_variance_cap) {
  const std::vector<Assumption> assumptions = {{.key = "guess", .basis = "prior"},
                                               {.key = "known", .basis = "published"}};
  EXPECT_EQ(cap_of(assumptions, std::vector{0.33, 0.67}), "");
  EXPECT_NE(cap_of(assumptions, std::vector{0.34, 0.66}).find("guess"), std::string::npos);
  EXPECT_EQ(cap_of({{.key = "a", .basis = "trace"}, {.key = "b", .basis = "derived"}}, std::vector{1.0, 0.0}), "");
  EXPECT_NE(cap_of({{.key = "a", .basis = "prior"}, {.key = "b", .basis = "prior"}}, std::vector{0.2, 0.2}), "")
      << "a guess does not get better by being split";
  for (const char* basis : {"prior", "trace-fit", "measure"})
    EXPECT_NE(cap_of({{.key = "a", .basis = basis}}, std::vector{1.0}), "") << basis;
}

TEST(verdict, arithmetic_is_right_within_its_tolerance_or_wrong) {
  EXPECT_EQ(judge_arithmetic(100, 100.4, 0.005).verdict, Verdict::arith_ok);
  EXPECT_EQ(judge_arithmetic(100, 101, 0.005).verdict, Verdict::arith_fail);
  EXPECT_EQ(judge_arithmetic(101, 100, 0.005).verdict, Verdict::arith_fail);
  const Judgement of_nothing = judge_arithmetic(100, 0.0, 0.5);
  EXPECT_EQ(of_nothing.verdict, Verdict::arith_fail);
  EXPECT_FALSE(of_nothing.deviation.has_value());
}

TEST(verdict, a_claim_is_worth_its_worst_number) {
  EXPECT_EQ(worst(std::vector{Verdict::reproduced, Verdict::consistent_but_wide}), Verdict::consistent_but_wide);
  EXPECT_EQ(worst(std::vector{Verdict::not_testable, Verdict::optimistic, Verdict::reproduced}), Verdict::optimistic);
  EXPECT_EQ(worst(std::vector{Verdict::arith_ok, Verdict::arith_fail}), Verdict::arith_fail);
}

TEST(verdict, failures_and_inconclusive_verdicts_are_told_apart) {
  for (const Verdict v : {Verdict::optimistic, Verdict::pessimistic, Verdict::arith_fail}) {
    EXPECT_TRUE(is_failure(v));
    EXPECT_FALSE(is_inconclusive(v));
  }
  for (const Verdict v : {Verdict::consistent_but_wide, Verdict::bounded, Verdict::not_testable}) {
    EXPECT_FALSE(is_failure(v));
    EXPECT_TRUE(is_inconclusive(v));
  }
  for (const Verdict v : {Verdict::reproduced, Verdict::arith_ok}) EXPECT_FALSE(is_failure(v) || is_inconclusive(v));
}

}  // namespace
}  // namespace chokepoint
