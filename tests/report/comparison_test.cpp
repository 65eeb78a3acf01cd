// Comparisons: ratios, intervals, break-even prices, and the words they are told in.
#include "harness/report/comparison.hpp"

#include <gtest/gtest.h>

#include "harness/report/sentences.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::books;
using test::constant_samples;
using test::scaled_pair;
using test::scaled_record;
using test::slower_samples;

PriceOf from(const std::optional<std::string>& choice) {
  return [prices = Prices{books(), choice}](const std::string& target) { return prices.of(target); };
}

PriceOf no_price() {
  return [](const std::string&) { return std::optional<PriceQuote>(); };
}

PriceOf fixed(double usd_a, double usd_b) {
  return [=](const std::string& target) -> std::optional<PriceQuote> {
    return PriceQuote{test::item(target, "rental_3y", target == "h100-sxm" ? usd_a : usd_b), "b", "2026-03", "tco", "model",
                      ""};
  };
}

TEST(comparison, samples_taken_in_turn_give_the_ratio_of_their_blocks) {
  const std::vector<Comparison> all = compare_targets(scaled_pair(), no_price());
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].a, 0U);
  EXPECT_EQ(all[0].b, 1U);
  EXPECT_EQ(all[0].pairing, Pairing::interleaved);
  EXPECT_EQ(all[0].blocks, 30U);  // 60 samples, 2 each
  EXPECT_EQ(all[0].basis, Basis::scaled);
  EXPECT_NEAR(all[0].throughput_ratio.value, 0.685, 1e-12);
  ASSERT_TRUE(all[0].throughput_ratio.interval);
  EXPECT_NEAR(all[0].throughput_ratio.interval->low, 0.675, 1e-12);
  EXPECT_NEAR(all[0].throughput_ratio.interval->high, 0.695, 1e-12);
  EXPECT_FALSE(all[0].break_even_b_usd_per_h || all[0].break_even_a_usd_per_h || all[0].cost_ratio);
}

TEST(comparison, targets_with_the_same_caps_should_tie) {
  const auto same_caps = [](const std::vector<Record>& records) {
    return compare_targets(records, no_price()).at(0).same_caps;
  };
  std::vector<Record> records = scaled_pair();
  EXPECT_TRUE(same_caps(records));
  records[1].caps[0].delivered_before = 1.0;  // what came of it is another matter
  EXPECT_TRUE(same_caps(records));
  records[1].caps[0].latency_s = 1e-6;
  EXPECT_FALSE(same_caps(records));
  records = scaled_pair();
  records[1].caps[0].requested *= 0.5;
  EXPECT_FALSE(same_caps(records));
  records = scaled_pair();
  records[1].caps[0].mechanism = "native";
  EXPECT_FALSE(same_caps(records));
  records = scaled_pair();
  records[1].caps.push_back(records[1].caps[0]);
  EXPECT_FALSE(same_caps(records));
  records = scaled_pair();
  records[0].caps.clear();
  records[1].caps.clear();
  EXPECT_FALSE(same_caps(records));  // nothing was capped
}

TEST(comparison, dilations_are_taken_out) {
  std::vector<Record> records = scaled_pair();
  records[0].dilation = 1000;  // A's target time is 5.8 times longer, B's is as before:
  const std::vector<Comparison> all = compare_targets(records, no_price());
  EXPECT_NEAR(all[0].throughput_ratio.value, 0.685 * 5.8, 1e-9);  // B gains by that
  EXPECT_NEAR(all[0].throughput_ratio.interval->low, 0.675 * 5.8, 1e-9);
}

TEST(comparison, the_break_even_price_is_the_price_times_the_ratio) {
  const std::vector<Record> records = scaled_pair();
  const Comparison pair = compare_targets(records, from({}))[0];
  ASSERT_TRUE(pair.break_even_b_usd_per_h);
  EXPECT_NEAR(pair.break_even_b_usd_per_h->value, 1.37, 1e-12);          // 2.00 * 0.685
  EXPECT_NEAR(pair.break_even_b_usd_per_h->interval->low, 1.35, 1e-12);  // 2.00 * 0.675
  EXPECT_NEAR(pair.break_even_b_usd_per_h->interval->high, 1.39, 1e-12);
  EXPECT_FALSE(pair.cost_ratio);  // the market has no price for the h800-sxm
  EXPECT_EQ(price_sentences(pair, records),
            std::vector<std::string>{"at $2.00/h (2026-05 market, rental_on_demand, survey) for the h100-sxm, the h800-sxm "
                                     "breaks even at $1.37/h [1.35, 1.39] for this case (scaled)"});
  EXPECT_EQ(ratio_sentence(pair, records).substr(0, 99),
            "h800-sxm against h100-sxm: throughput, hence break-even price ratio, 0.685 [0.675, 0.695] (scaled; ");
}

TEST(comparison, a_price_of_the_second_target_alone_is_used_the_other_way_round) {
  const std::vector<Record> records = scaled_pair();
  const Comparison pair = compare_targets(records, from("2025-02_deepseek"))[0];
  EXPECT_FALSE(pair.break_even_b_usd_per_h);
  ASSERT_TRUE(pair.break_even_a_usd_per_h);
  EXPECT_NEAR(pair.break_even_a_usd_per_h->value, 2.919708, 1e-6);          // 2.00 / 0.685
  EXPECT_NEAR(pair.break_even_a_usd_per_h->interval->low, 2.877698, 1e-6);  // 2.00 / 0.695
  EXPECT_NEAR(pair.break_even_a_usd_per_h->interval->high, 2.962963, 1e-6);
  EXPECT_EQ(price_sentences(pair, records),
            std::vector<std::string>{"at $2.00/h (2025-02 deepseek, rental_assumed, assumption) for the h800-sxm, the "
                                     "h100-sxm breaks even at $2.92/h [2.88, 2.96] for this case (scaled)"});
}

TEST(comparison, two_prices_tell_who_is_cheaper_per_unit_of_work) {
  const std::vector<Record> records = scaled_pair();
  const Comparison pair = compare_targets(records, from("2026-03_tco:rental_3y"))[0];
  ASSERT_TRUE(pair.cost_ratio);
  EXPECT_NEAR(pair.cost_ratio->value, 1.30 / 1.37, 1e-12);
  EXPECT_NEAR(pair.cost_ratio->interval->low, 1.30 / 1.39, 1e-12);
  EXPECT_NEAR(pair.cost_ratio->interval->high, 1.30 / 1.35, 1e-12);
  // 1 - 1.30/1.37 = 5.11 %, 1 - 1.30/1.35 = 3.70 %, 1 - 1.30/1.39 = 6.47 %.
  EXPECT_EQ(price_sentences(pair, records).at(1),
            "at its own $1.30/h (2026-03 tco, rental_3y, model), the h800-sxm is 5.1 % [3.7, 6.5] cheaper per unit of work "
            "than the h100-sxm (scaled)");
}

TEST(comparison, a_dearer_target_and_a_tie_are_called_so) {
  const std::vector<Record> records = scaled_pair();
  // 1.60/1.37 = 1.168, 1.60/1.39 = 1.151, 1.60/1.35 = 1.185
  EXPECT_EQ(price_sentences(compare_targets(records, fixed(2.0, 1.60))[0], records).at(1),
            "at its own $1.60/h (2026-03 tco, rental_3y, model), the h800-sxm is 16.8 % [15.1, 18.5] dearer per unit of "
            "work than the h100-sxm (scaled)");
  // 1.38/1.37 = 1.0073, 1.38/1.39 = 0.9928, 1.38/1.35 = 1.0222: 1 lies inside
  EXPECT_EQ(price_sentences(compare_targets(records, fixed(2.0, 1.38))[0], records).at(1),
            "at its own $1.38/h (2026-03 tco, rental_3y, model), the h800-sxm cannot be told from the h100-sxm per unit of "
            "work: 0.7 % [-0.7, 2.2] dearer (scaled)");
}

TEST(comparison, twice_the_price_of_a_doubles_the_break_even_price_and_halves_the_relative_cost) {
  const std::vector<Record> records = scaled_pair();
  const Comparison once = compare_targets(records, fixed(2.0, 1.3))[0], twice = compare_targets(records, fixed(4.0, 1.3))[0];
  EXPECT_NEAR(twice.break_even_b_usd_per_h->value, 2 * once.break_even_b_usd_per_h->value, 1e-12);
  EXPECT_NEAR(twice.cost_ratio->value, once.cost_ratio->value / 2, 1e-12);
}

TEST(comparison, records_that_were_not_sampled_in_turn_fall_back_to_medians_and_say_so) {
  std::vector<Record> records = scaled_pair();
  for (Record& record : records) record.time.samples.clear();
  records[0].time.median = 10e-3, records[0].time.ci_low = 9.9e-3, records[0].time.ci_high = 10.1e-3;
  records[1].time.median = 20e-3, records[1].time.ci_low = 19.6e-3, records[1].time.ci_high = 20.4e-3;
  const Comparison pair = compare_targets(records, no_price())[0];
  EXPECT_EQ(pair.pairing, Pairing::apart);
  EXPECT_NEAR(pair.throughput_ratio.value, 0.5, 1e-12);
  EXPECT_NEAR(pair.throughput_ratio.interval->low, 9.9 / 20.4, 1e-12);   // worst corners
  EXPECT_NEAR(pair.throughput_ratio.interval->high, 10.1 / 19.6, 1e-12);
  EXPECT_NE(ratio_sentence(pair, records).find("not sampled in turn"), std::string::npos);
}

TEST(comparison, another_attempt_run_or_group_is_not_in_turn) {
  for (int change = 0; change < 4; ++change) {
    std::vector<Record> records = scaled_pair();
    if (change == 0) records[1].attempt = 2;
    if (change == 1) records[1].run_id = "run-2";
    if (change == 2) records[1].interleave_group = "another";
    if (change == 3) records[0].interleave_group = records[1].interleave_group = "";
    const Comparison pair = compare_targets(records, no_price())[0];
    EXPECT_EQ(pair.pairing, Pairing::apart) << change;
    // From the samples: A is constant; B's median sample is 5.8 ms / 0.685 and its interval ends in the outer thirds.
    EXPECT_NEAR(pair.throughput_ratio.value, 0.685, 1e-12);
    EXPECT_NEAR(pair.throughput_ratio.interval->low, 0.675, 1e-12);
    EXPECT_NEAR(pair.throughput_ratio.interval->high, 0.695, 1e-12);
  }
}

TEST(comparison, what_is_not_ok_or_not_the_same_problem_is_not_compared) {
  const auto pairs_when = [](const std::function<void(Record&)>& change) {
    std::vector<Record> records = scaled_pair();
    change(records[1]);
    return compare_targets(records, no_price()).size();
  };
  EXPECT_EQ(pairs_when([](Record&) {}), 1U);
  EXPECT_EQ(pairs_when([](Record& r) { r.status = Status::invalid, r.basis.reset(); }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.target = "h100-sxm"; }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.shape.set("tokens", std::int64_t{65}); }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.dtype = Dtype::f32; }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.kernel = "openblas"; }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.device["name"] = "another machine"; }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.provenance["seed"] = 8; }), 0U);
  EXPECT_EQ(pairs_when([](Record& r) { r.time = {}; }), 0U);
}

TEST(comparison, the_weaker_basis_is_carried_along) {
  EXPECT_EQ(weaker(Basis::measured, Basis::emulated), Basis::emulated);
  EXPECT_EQ(weaker(Basis::projected, Basis::scaled), Basis::projected);
  std::vector<Record> records = scaled_pair();
  records[0].basis = Basis::measured;
  records[1].basis = Basis::emulated;
  const Comparison pair = compare_targets(records, from({}))[0];
  EXPECT_EQ(pair.basis, Basis::emulated);
  EXPECT_NE(price_sentences(pair, records).at(0).find("(emulated)"), std::string::npos);
}

TEST(comparison, few_samples_give_a_ratio_without_an_interval) {
  const std::vector<Record> records = {scaled_record("h100-sxm", {1.0, 1.0}, 1.0), scaled_record("h800-sxm", {2.0, 2.0}, 2.0)};
  const Comparison pair = compare_targets(records, from({}))[0];
  EXPECT_NEAR(pair.throughput_ratio.value, 0.5, 1e-12);
  EXPECT_FALSE(pair.throughput_ratio.interval);
  EXPECT_NE(ratio_sentence(pair, records).find("0.500 [no interval] (scaled"), std::string::npos);
  EXPECT_NE(price_sentences(pair, records).at(0).find("$1.00/h [no interval]"), std::string::npos);
}

TEST(comparison, a_sample_of_zero_seconds_is_not_divided_by) {
  std::vector<Record> records = scaled_pair();
  records[1].time.samples[7] = 0.0;
  const Comparison pair = compare_targets(records, no_price())[0];
  EXPECT_EQ(pair.pairing, Pairing::apart);
}

TEST(comparison, energy_is_compared_only_on_the_same_basis_and_scope) {
  std::vector<Record> records = scaled_pair();
  records[1].energy.power_w = 350.0;
  const Comparison pair = compare_targets(records, no_price())[0];
  ASSERT_TRUE(pair.work_per_joule_ratio);
  EXPECT_NEAR(pair.work_per_joule_ratio->value, 0.685 * 700 / 350, 1e-12);
  EXPECT_EQ(energy_sentence(pair, records),
            "per joule: 1.370 [1.350, 1.390] times the work (provisioned power, gpu_tdp: 350 W against 700 W)");
  records[1].energy.basis = "measured";
  EXPECT_FALSE(compare_targets(records, no_price())[0].work_per_joule_ratio);
  records[1].energy.basis = "provisioned";
  records[1].energy.scope = "all_in";
  EXPECT_FALSE(compare_targets(records, no_price())[0].work_per_joule_ratio);
  records[1].energy = {};
  EXPECT_FALSE(compare_targets(records, no_price())[0].work_per_joule_ratio);
}

TEST(comparison, all_pairs_of_several_targets_appear_once) {
  std::vector<Record> records = scaled_pair();
  records.push_back(scaled_record("h20", constant_samples(5.8e-3), 5.8e-3));
  const std::vector<Comparison> all = compare_targets(records, no_price());
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(std::pair(all[0].a, all[0].b), std::pair(std::size_t{0}, std::size_t{1}));
  EXPECT_EQ(std::pair(all[1].a, all[1].b), std::pair(std::size_t{0}, std::size_t{2}));
  EXPECT_EQ(std::pair(all[2].a, all[2].b), std::pair(std::size_t{1}, std::size_t{2}));
  EXPECT_THROW(compare_targets(records, no_price(), 1.0), Error);
}

TEST(sentences, numbers_have_the_digits_their_interval_needs) {
  EXPECT_EQ(ratio_text({0.6849, Interval{0.6841, 0.6857}}), "0.6849 [0.6841, 0.6857]");
  EXPECT_EQ(ratio_text({12.34, Interval{11.0, 13.0}}), "12.340 [11.000, 13.000]");
  EXPECT_EQ(ratio_text({1.0, Interval{0.99999, 1.00001}}), "1.0000 [1.0000, 1.0000]");
  EXPECT_EQ(ratio_text({0.0123, Interval{0.0122, 0.0124}}), "0.0123 [0.0122, 0.0124]");
  EXPECT_EQ(usd_per_h_text({2.95, Interval{2.9499, 2.9501}}), "$2.95/h [2.95, 2.95]");
  EXPECT_EQ(usd_per_h_text({1.37, Interval{1.35, 1.39}}), "$1.37/h [1.35, 1.39]");
  EXPECT_EQ(usd_per_h_text({0.4567, Interval{0.44, 0.48}}), "$0.457/h [0.440, 0.480]");
  EXPECT_EQ(half_width_text(10.0, 9.9, 10.1), "1.0 %");
  EXPECT_EQ(half_width_text(10.0, 9.0, 11.0), "10 %");
  EXPECT_EQ(half_width_text(10.0, 9.996, 10.004), "0.040 %");
  EXPECT_EQ(half_width_text(10.0, std::nullopt, 10.1), "");
  EXPECT_EQ(half_width_text(10.0, 10.0, 10.0), "0.0 %");
}

}  // namespace
}  // namespace chokepoint
