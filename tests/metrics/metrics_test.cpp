// Metrics: each one is named and explained, doubles and halves as it should, and is absent when something it needs is.
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/metrics/metric.hpp"
#include "harness/base/registry.hpp"

namespace chokepoint {
namespace {

// 64 tokens and 5.8 GFLOP in 5.8 ms of host time at 1:5800, hence 1 us on the target, at 700 W.
Record sample() {
  Record record;
  record.status = Status::ok;
  record.basis = Basis::scaled;
  record.dilation = 5800;
  record.time.median = 5.8e-3;
  record.time.ci_low = 5.7e-3;
  record.time.ci_high = 6.0e-3;
  record.work = {.flop = 5.8e9, .memory_bytes = 4e6, .link_bytes = 2e6, .network_bytes = 1e6, .tokens = 64};
  record.energy = {"provisioned", 700.0, "gpu_tdp", "by hand", true, std::nullopt};
  return record;
}

const std::vector<Metric>& all() { return Registry<Metric>::instance().all(); }

bool mentions(const std::string& name, const std::string& part) { return name.find(part) != std::string::npos; }

double value_of(const std::string& name, const Record& record, std::optional<double> price = 2.0) {
  const Metric* metric = Registry<Metric>::instance().find(name);
  if (metric == nullptr) throw std::runtime_error("no metric " + name);
  return evaluate(*metric, record, price).value().value;
}

TEST(metrics, are_all_registered_named_and_explained) {
  EXPECT_TRUE(registry_faults().empty());
  EXPECT_GE(all().size(), 9U);
  for (const Metric& metric : all()) {
    EXPECT_FALSE(metric.name.empty() || metric.unit.empty() || metric.formula.empty()) << metric.name;
    EXPECT_TRUE(evaluate(metric, sample(), 2.0)) << metric.name;
    EXPECT_EQ(evaluate(metric, sample(), 2.0)->unit, metric.unit);
  }
}

TEST(metrics, have_the_values_of_a_calculation_on_paper) {
  const Record record = sample();
  EXPECT_DOUBLE_EQ(value_of("target_time_s", record), 1e-6);
  EXPECT_DOUBLE_EQ(value_of("tokens_per_s", record), 64e6);
  EXPECT_DOUBLE_EQ(value_of("flop_per_s", record), 5.8e15);
  EXPECT_DOUBLE_EQ(value_of("bytes_per_s", record), 4e12);                     // memory moves most
  EXPECT_NEAR(value_of("tokens_per_usd", record), 64e6 * 1800, 1e-3);          // a dollar buys half an hour
  EXPECT_NEAR(value_of("flop_per_usd", record), 5.8e15 * 1800, 1e6);
  EXPECT_NEAR(value_of("tokens_per_j", record), 64e6 / 700, 1e-6);
  EXPECT_NEAR(value_of("flop_per_j", record), 5.8e15 / 700, 1e3);
  EXPECT_NEAR(value_of("usd_per_million_tokens", record), 1e6 / (64e6 * 1800), 1e-18);
}

TEST(metrics, halve_when_it_takes_twice_as_long) {
  Record slow = sample();
  *slow.time.median *= 2;
  for (const Metric& metric : all()) {
    const double ratio = value_of(metric.name, slow) / value_of(metric.name, sample());
    EXPECT_NEAR(ratio, metric.higher_is_better ? 0.5 : 2.0, 1e-12) << metric.name;
  }
}

TEST(metrics, halve_per_dollar_at_twice_the_price_and_do_not_care_otherwise) {
  for (const Metric& metric : all()) {
    const double ratio = value_of(metric.name, sample(), 4.0) / value_of(metric.name, sample(), 2.0);
    const double expected = !mentions(metric.name, "usd") ? 1.0 : metric.higher_is_better ? 0.5 : 2.0;
    EXPECT_NEAR(ratio, expected, 1e-12) << metric.name;
  }
}

TEST(metrics, halve_per_joule_at_twice_the_power_and_do_not_care_otherwise) {
  Record hot = sample();
  *hot.energy.power_w *= 2;
  for (const Metric& metric : all())
    EXPECT_NEAR(value_of(metric.name, hot) / value_of(metric.name, sample()), mentions(metric.name, "_per_j") ? 0.5 : 1.0,
                1e-12)
        << metric.name;
}

TEST(metrics, double_with_twice_the_work_in_the_same_time) {
  Record big = sample();
  big.work = {.flop = 11.6e9, .memory_bytes = 8e6, .link_bytes = 4e6, .network_bytes = 2e6, .tokens = 128};
  for (const Metric& metric : all()) {
    const double ratio = value_of(metric.name, big) / value_of(metric.name, sample());
    const double expected = metric.name == "target_time_s" ? 1.0 : metric.higher_is_better ? 2.0 : 0.5;
    EXPECT_NEAR(ratio, expected, 1e-12) << metric.name;
  }
}

TEST(metrics, are_absent_when_something_they_need_is) {
  const auto is_absent = [](const Metric& metric, const Record& record, std::optional<double> price) {
    return !evaluate(metric, record, price).has_value();
  };
  Record no_time = sample(), no_power = sample(), no_work = sample();
  no_time.time = {};
  no_power.energy = {};
  no_work.work = {};
  for (const Metric& metric : all()) {
    EXPECT_TRUE(is_absent(metric, no_time, 2.0)) << metric.name;
    EXPECT_EQ(is_absent(metric, sample(), std::nullopt), mentions(metric.name, "usd")) << metric.name;
    EXPECT_EQ(is_absent(metric, no_power, 2.0), mentions(metric.name, "_per_j")) << metric.name;
    EXPECT_EQ(is_absent(metric, no_work, 2.0), metric.name != "target_time_s") << metric.name;
  }
}

TEST(metrics, intervals_hold_their_value_and_have_ordered_ends) {
  for (const Metric& metric : all()) {
    const MetricValue value = *evaluate(metric, sample(), 2.0);
    ASSERT_TRUE(value.ci_low && value.ci_high) << metric.name;
    EXPECT_LT(*value.ci_low, value.value) << metric.name;
    EXPECT_LT(value.value, *value.ci_high) << metric.name;
    // 5.7/5.8 and 6.0/5.8 of the time, so a rate lies within 5.8/6.0 and 5.8/5.7 of itself.
    EXPECT_NEAR(*value.ci_low / value.value, metric.higher_is_better ? 5.8 / 6.0 : 5.7 / 5.8, 1e-12) << metric.name;
  }
}

TEST(metrics, a_time_without_interval_gives_a_value_without_one) {
  Record record = sample();
  record.time.ci_low = record.time.ci_high = std::nullopt;
  for (const Metric& metric : all()) {
    const MetricValue value = *evaluate(metric, record, 2.0);
    EXPECT_FALSE(value.ci_low || value.ci_high) << metric.name;
  }
}

}  // namespace
}  // namespace chokepoint
