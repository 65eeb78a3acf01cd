// What a rule cost: published anchors, who loses what, and what is said where nothing can be computed.
#include "harness/claims/rule_cost.hpp"

#include <gtest/gtest.h>

#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const RuleCostInputs& inputs() {
  static const RuleCostInputs all = load_rule_cost_inputs(shipped_configs());
  return all;
}

RuleCost cost_of(const std::string& date) {
  return rule_cost(find_rule(load_rules(shipped_configs()), date), inputs());
}

RuleCostRow row(const std::string& date, const std::string& cut, const std::string& parallel) {
  for (const RuleCostRow& entry : cost_of(date).rows)
    if (entry.cut == cut && entry.parallel == parallel) return entry;
  ADD_FAILURE() << "no row for " << cut << ", " << parallel;
  return {};
}

double hours_percent(const RuleCostRow& entry) { return 100.0 * (1.0 / entry.throughput_ratio.mid - 1.0); }

// Published: 0.0 % for DeepSeek-V3's expert-parallel training, whose link would have to fall to 95 GB/s.
TEST(rule_cost, the_h800s_link_costs_expert_parallel_training_nothing) {
  const RuleCostRow entry = row("2022-10-07", "h800-sxm", "expert");
  EXPECT_NEAR(hours_percent(entry), 0.0, 1e-9);
  EXPECT_EQ(entry.full, "h100-sxm");
  EXPECT_TRUE(contains(entry.because, "95 GB/s per direction; it has 200 GB/s"));
}

// Published: +18.5 % of GPU-hours; with half of the transfers hidden 9 to 10 %.
TEST(rule_cost, the_h800s_link_costs_tensor_parallel_training_18_5_percent) {
  const RuleCostRow entry = row("2022-10-07", "h800-sxm", "tensor");
  EXPECT_NEAR(hours_percent(entry), 18.5, 0.05);
  EXPECT_NEAR(100.0 * (1.0 / entry.throughput_ratio.high - 1.0), 9.5, 0.6);
  EXPECT_EQ(entry.throughput_ratio.low, entry.throughput_ratio.mid);
}

TEST(rule_cost, a_link_that_nothing_crosses_costs_nothing) {
  EXPECT_NEAR(hours_percent(row("2022-10-07", "h800-sxm", "data")), 0.0, 1e-9);
  EXPECT_NEAR(hours_percent(row("2022-10-07", "a800-sxm", "data")), 0.0, 1e-9);
}

// Same rated power (700 + 575 W) on both: joules go with the hours.
TEST(rule_cost, joules_per_token_go_with_time_and_rated_power) {
  const RuleCostRow entry = row("2022-10-07", "h800-sxm", "tensor");
  EXPECT_NEAR(entry.joule_ratio.mid, 1.185, 0.0005);
  EXPECT_FALSE(entry.verified);  // the H800's board power was never published
  // H20: (400 + 575) of 1275 W
  const RuleCostRow h20 = row("2023-10-17", "h20", "tensor");
  EXPECT_NEAR(h20.joule_ratio.mid * h20.throughput_ratio.mid, 975.0 / 1275.0, 1e-9);
}

// 1 / 1.185 of $2.95, and no market price to compare it with.
TEST(rule_cost, dollars_are_a_break_even_price_where_nobody_sells_the_cut_machine) {
  const RuleCostRow entry = row("2022-10-07", "h800-sxm", "tensor");
  EXPECT_NEAR(entry.money.break_even_usd_per_h->mid, 2.95 / 1.185, 0.005);
  EXPECT_FALSE(entry.money.cost_ratio);
  EXPECT_TRUE(contains(entry.price_gap, "no price of h800-sxm: no market quote found"));
}

// Published for a prototype of the same step: +309 %, from kernels measured on both; the datasheets alone say 6.7 times
// for every product.
TEST(rule_cost, an_h20_trains_deepseek_v3_at_the_rate_of_measured_kernels) {
  EXPECT_NEAR(hours_percent(row("2023-10-17", "h20", "expert")), 309, 3.09);
}

TEST(rule_cost, a_price_of_ones_own_goes_before_any_book_and_says_where_it_is_from) {
  RuleCostInputs own = inputs();
  own.usd_per_h["h20"] = parse_estimate("1.2", "--price h20");
  const RuleCost cost = rule_cost(find_rule(load_rules(shipped_configs()), "2023-10-17"), own);
  ASSERT_EQ(cost.rows.size(), 5U);
  for (const RuleCostRow& entry : cost.rows) {
    EXPECT_NEAR(entry.money.cost_ratio->mid, 1.2 / 2.95 / entry.throughput_ratio.mid, 1e-9) << entry.plan;
    EXPECT_TRUE(entry.price_gap.empty());
    EXPECT_NEAR(*entry.cut_side.usd_per_million_tokens, 1.2 / 3600 / entry.cut_side.tokens_per_s * 1e6, 1e-9);
    EXPECT_NEAR(*entry.full_side.usd_per_million_tokens, 2.95 / 3600 / entry.full_side.tokens_per_s * 1e6, 1e-9);
    EXPECT_NEAR(entry.cut_side.joule_per_token, 975.0 / entry.cut_side.tokens_per_s, 1e-9);  // (400 + 575) W
    EXPECT_NEAR(entry.cut_side.joule_per_token / entry.full_side.joule_per_token, entry.joule_ratio.mid, 1e-9);
  }
  EXPECT_TRUE(contains(cost.prices.at(0), "price of h20: $1.2 per hour; given as --price h20"));
  EXPECT_TRUE(contains(cost.prices.at(1), "price of h100-sxm: $2.95 per hour [1.99, 5]; "));
}

TEST(rule_cost, a_book_can_be_chosen_and_what_it_lacks_is_said) {
  RuleCostInputs chosen = inputs();
  chosen.price_choice = "2025-02_deepseek";
  const RuleCost cost = rule_cost(find_rule(load_rules(shipped_configs()), "2022-10-07"), chosen);
  EXPECT_FALSE(cost.rows.at(0).money.cost_ratio);
  EXPECT_TRUE(contains(cost.rows.at(0).price_gap, "no price of h100-sxm: none in 2025-02_deepseek"));
  EXPECT_TRUE(contains(cost.prices.at(0), "price of h800-sxm: $2 per hour"));
  chosen.price_choice = "2025-02_deepsek";
  EXPECT_TRUE(contains(error_of([&] { rule_cost(find_rule(load_rules(shipped_configs()), "2022-10-07"), chosen); }),
                       "2025-02_deepseek"));
}

TEST(rule_cost, a_price_of_another_machine_or_of_nothing_is_an_error) {
  const auto refused = [](const char* profile, const char* usd) {
    RuleCostInputs own = inputs();
    own.usd_per_h[profile] = parse_estimate(usd, "--price");
    return error_of([&] { rule_cost(find_rule(load_rules(shipped_configs()), "2023-10-17"), own); });
  };
  EXPECT_TRUE(contains(refused("h2o", "1.2"), "a price of h2o, but 2023-10-17_3a090 is about h20, h100-sxm"));
  EXPECT_TRUE(contains(refused("h20", "0..1"), "the price of h20 is 0"));
}

// The arithmetic of an H20 is 148 of 989: products take 6.7 times as long, and its wider memory does not make
// up for it.
TEST(rule_cost, the_rule_of_2023_cut_arithmetic_and_costs_every_plan) {
  for (const char* parallel : {"expert", "tensor", "data"}) {
    EXPECT_LT(row("2023-10-17", "h20", parallel).throughput_ratio.high, 0.35) << parallel;
    EXPECT_GT(row("2023-10-17", "h20", parallel).throughput_ratio.low, 148.0 / 989.0) << parallel;
  }
}

TEST(rule_cost, a_plan_that_a_machine_cannot_run_is_named_with_the_reason) {
  const RuleCost cost = cost_of("2022-10-07");
  ASSERT_EQ(cost.gaps.size(), 3U);  // everything of DeepSeek-V3, which multiplies in fp8
  for (const RuleCostGap& gap : cost.gaps) EXPECT_EQ(gap.cut, "a800-sxm");
  EXPECT_TRUE(contains(cost.gaps[0].reason, "has no datasheet rate of fp8_e4m3"));
  EXPECT_EQ(cost.rows.size(), 7U);
}

TEST(rule_cost, a_narrower_link_never_helps) {
  RuleCostInputs narrow = inputs();
  for (Profile& profile : narrow.profiles)
    if (profile.id == "h800-sxm") profile.link.datasheet->value = 50e9;
  const RuleCost cost = rule_cost(find_rule(load_rules(shipped_configs()), "2022-10-07"), narrow);
  EXPECT_GT(hours_percent(cost.rows[0]), 30);  // below the 95 GB/s at which the link decides
  EXPECT_GT(hours_percent(cost.rows[1]), 52);  // published for 80 GB/s achieved: +52 %
}

// Rows cross the network, and compute decides: the link is worth nothing, as published for prefill and
// decode. An H20 writes less than half (905 to 955 of 2284 tokens per second and GPU).
TEST(rule_cost, serving_loses_nothing_to_the_link_and_half_or_more_to_less_arithmetic) {
  for (const char* parallel : {"prefill", "decode"})
    EXPECT_NEAR(hours_percent(row("2022-10-07", "h800-sxm", parallel)), 0.0, 1e-9) << parallel;
  EXPECT_NEAR(row("2023-10-17", "h20", "decode").throughput_ratio.mid, 0.42, 0.02);
  EXPECT_LT(row("2023-10-17", "h20", "prefill").throughput_ratio.mid, 0.5);
}

TEST(rule_cost, a_rule_that_nothing_was_cut_for_is_an_error_with_a_remedy) {
  EXPECT_TRUE(contains(error_of([] { cost_of("2026-01-15"); }), "names no machine that was cut for it"));
  EXPECT_TRUE(contains(error_of([] { cost_of("2025-04"); }), "names no machine that was cut for it"));
  RuleCostInputs without = inputs();
  std::erase_if(without.profiles, [](const Profile& profile) { return profile.id == "h20"; });
  EXPECT_TRUE(
      contains(error_of([&] { rule_cost(find_rule(load_rules(shipped_configs()), "2023-10-17"), without); }),
               "profile \"h20\" is not known"));
}

}  // namespace
}  // namespace chokepoint
