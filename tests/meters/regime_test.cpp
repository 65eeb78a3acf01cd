// The regime of a run: extremes and medians of what was seen beside it, and words for why clocks were low.
#include "harness/meters/regime.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "harness/base/error.hpp"
#include "tests/fake_nvml/script.hpp"

namespace chokepoint {
namespace {

TEST(regime, extremes_medians_and_all_throttle_reasons_are_kept) {
  std::atomic<int> reads = 0;
  RegimeMonitor monitor(
      [&]() -> RegimeSample {
        const int i = reads++;
        // Clocks 1000, 1400, 1200 MHz and then 1200 for ever; throttled once by power and once by heat.
        const double mhz = i == 0 ? 1000.0 : i == 1 ? 1400.0 : 1200.0;
        const std::uint64_t mask = i == 0 ? 4U : i == 1 ? 32U : 0U;
        return {mhz * 1e6, std::nullopt, 50.0 + i, std::nullopt, mask};
      },
      0.0001);
  while (reads < 6) std::this_thread::yield();
  const Json clocks = monitor.stop();
  EXPECT_GE(clocks["samples"].get<int>(), 5);
  EXPECT_DOUBLE_EQ(clocks["sm_clock_hz"]["min"].get<double>(), 1.0e9);
  EXPECT_DOUBLE_EQ(clocks["sm_clock_hz"]["median"].get<double>(), 1.2e9);
  EXPECT_DOUBLE_EQ(clocks["sm_clock_hz"]["max"].get<double>(), 1.4e9);
  EXPECT_DOUBLE_EQ(clocks["temperature_c"]["min"].get<double>(), 50.0);
  EXPECT_TRUE(clocks["memory_clock_hz"].is_null());
  EXPECT_TRUE(clocks["power_w"].is_null());
  EXPECT_EQ(clocks["throttle_reasons"].dump(), R"(["power_cap","sw_thermal"])");
  EXPECT_TRUE(clocks["trouble"].is_null());
}

TEST(regime, readings_of_power_are_kept_in_order_and_never_too_many) {
  std::atomic<int> reads = 0;
  RegimeMonitor monitor(
      [&]() -> RegimeSample {
        const int i = reads++;
        return {.sm_clock_hz = 1.5e9, .power_w = i == 1 ? std::nullopt : std::optional(500.0 + i)};
      },
      0.00001);
  while (reads < 200) std::this_thread::yield();
  monitor.stop();
  const std::optional<RecordedTrace> trace = monitor.trace();
  ASSERT_TRUE(trace);
  EXPECT_GT(trace->points.size(), kMostTracePoints / 2);
  EXPECT_LE(trace->points.size(), kMostTracePoints);
  EXPECT_DOUBLE_EQ(trace->points[0].power_w, 500.0);
  for (std::size_t i = 1; i < trace->points.size(); ++i) {
    EXPECT_GE(trace->points[i].t_s, trace->points[i - 1].t_s);
    EXPECT_GT(trace->points[i].power_w, trace->points[i - 1].power_w);
  }
  EXPECT_DOUBLE_EQ(*trace->points[1].sm_clock_hz, 1.5e9);
  EXPECT_FALSE(trace->points[1].temperature_c);
}

TEST(regime, without_readings_of_power_there_is_no_trace) {
  RegimeMonitor monitor([] { return RegimeSample{.sm_clock_hz = 1e9}; });
  monitor.stop();
  EXPECT_FALSE(monitor.trace());
}

TEST(regime, no_throttling_is_an_empty_list_and_no_answer_is_null) {
  RegimeMonitor free([] { return RegimeSample{.throttle_mask = 0}; });
  EXPECT_EQ(free.stop()["throttle_reasons"].dump(), "[]");
  RegimeMonitor silent([] { return RegimeSample{}; });
  EXPECT_TRUE(silent.stop()["throttle_reasons"].is_null());
}

TEST(regime, a_reading_that_fails_is_told_and_does_not_escape_the_thread) {
  std::atomic<int> reads = 0;
  RegimeMonitor monitor(
      [&]() -> RegimeSample {
        if (++reads == 3) throw Error(Fault::device, "the GPU is lost", "reboot");
        return {.temperature_c = 60.0};
      },
      0.0001);
  while (reads < 3) std::this_thread::yield();
  const Json clocks = monitor.stop();
  EXPECT_EQ(clocks["samples"], 2);
  EXPECT_EQ(clocks["trouble"], "the GPU is lost; reboot");
  EXPECT_EQ(reads, 3);
}

TEST(regime, stopping_does_not_wait_for_the_period) {
  const auto began = std::chrono::steady_clock::now();
  RegimeMonitor monitor([] { return RegimeSample{.power_w = 300.0}; }, 60.0);
  monitor.stop();
  { RegimeMonitor dropped([] { return RegimeSample{}; }, 60.0); }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
}

TEST(regime, the_shortest_run_is_read_when_it_begins_and_when_it_ends) {
  int reads = 0;
  RegimeMonitor monitor([&] { return RegimeSample{.sm_clock_hz = 1e9 + reads++, .power_w = 300.0}; }, 60.0);
  EXPECT_EQ(reads, 1) << "before what is timed begins";
  const Json clocks = monitor.stop();
  EXPECT_EQ(clocks["samples"], 2);
  EXPECT_DOUBLE_EQ(clocks["sm_clock_hz"]["max"].get<double>(), 1e9 + 1);
  EXPECT_EQ(monitor.trace()->points.size(), 2U);
  EXPECT_EQ(monitor.stop()["samples"], 2) << "it is over";
}

TEST(regime, a_gpu_is_read_through_nvml) {
  const FakeNvmlScript script(
      "[gpu]\nsm_mhz = 1755\nmemory_mhz = 2619\ntemperature_c = 61\npower_w = 640\nthrottle = 4\n");
  const NvmlGpu gpu = Nvml::open()->by_index(0);
  RegimeMonitor monitor([gpu] { return read_regime(gpu); });
  const Json clocks = monitor.stop();
  EXPECT_DOUBLE_EQ(clocks["sm_clock_hz"]["median"].get<double>(), 1755e6);
  EXPECT_DOUBLE_EQ(clocks["memory_clock_hz"]["median"].get<double>(), 2619e6);
  EXPECT_DOUBLE_EQ(clocks["power_w"]["max"].get<double>(), 640.0);
  EXPECT_EQ(clocks["throttle_reasons"].dump(), R"(["power_cap"])");
}

}  // namespace
}  // namespace chokepoint
