// What is learned about a power instrument, and what its readings add up to, on a scripted board.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "harness/meters/instrument_facts.hpp"
#include "tests/meters/scripted_board.hpp"

namespace chokepoint {
namespace {

TEST(instrument, the_probe_finds_tick_lag_step_refresh_and_latency) {
  for (const double tick_s : {0.02, 0.1, 0.25})
    for (const double lag_s : {0.0, 0.1, 0.3}) {
      Board board(0.033);
      board.tick_s = tick_s;
      board.lag_s = lag_s;
      board.noise = 0.01;
      board.power_lag_s = 0.05;
      const InstrumentFacts facts = probe_instrument(board, board.load(), {}, &board);
      EXPECT_NEAR(*facts.tick_s, tick_s, 0.006) << tick_s;
      EXPECT_NEAR(*facts.counter_lag_s, lag_s, 0.012) << tick_s << ' ' << lag_s;
      EXPECT_NEAR(*facts.step_j, 100.0 * tick_s, 1.0) << tick_s;  // idle: 100 W times a tick
      EXPECT_NEAR(*facts.power_refresh_s, 0.025, 0.006);
      EXPECT_NEAR(*facts.power_lag_s, 0.05, 0.032);
      EXPECT_NEAR(*facts.counter_read_p50_s, 0.0005, 1e-6);
      EXPECT_NEAR(*facts.counter_read_p99_s, 0.0005, 1e-6);
      EXPECT_NEAR(*facts.power_read_p50_s, 0.0, 1e-9);
    }
}

TEST(instrument, what_the_probe_cannot_see_is_null) {
  Board board;
  board.has_counter = false;
  board.has_power = false;
  const InstrumentFacts nothing = probe_instrument(board, board.load(), {}, &board);
  EXPECT_EQ(readings_of(nothing).size(), 9U);
  for (const auto& [key, value] : readings_of(nothing)) EXPECT_FALSE(value.has_value()) << key;
  EXPECT_EQ(text_of(nothing), "no energy counter\nno instant power");
  Board flat;  // no step in power, so no lag to see
  flat.load_w = flat.idle_w;
  const InstrumentFacts facts = probe_instrument(flat, flat.load(), {}, &flat);
  EXPECT_TRUE(facts.tick_s.has_value());
  EXPECT_FALSE(facts.counter_lag_s.has_value());
  EXPECT_FALSE(facts.power_lag_s.has_value());
}

TEST(instrument, the_probe_ends_without_ticks_and_tells_the_refresh_of_power) {
  Counterless board;
  const Readings facts = readings_of(probe_instrument(board, board.load(), {}, &board));
  EXPECT_LT(board.now_s(), 3.7);  // 1 s idle, 2.5 s of load
  for (const char* key : {"tick_s", "step_j", "counter_lag_s", "counter_read_p50_s"}) EXPECT_FALSE(facts.at(key)) << key;
  EXPECT_NEAR(*facts.at("power_refresh_s"), 0.1, 0.006);
}

TEST(instrument, what_was_found_is_told_in_a_line_for_each_reading) {
  EXPECT_EQ(text_of({.tick_s = 0.1,
                     .step_j = 39.94,
                     .counter_lag_s = 0.1049,
                     .power_lag_s = std::nullopt,
                     .power_refresh_s = 0.02,
                     .counter_read_p50_s = 0.0024,
                     .counter_read_p99_s = 0.0066,
                     .power_read_p50_s = 1.7e-4,
                     .power_read_p99_s = 2e-4}),
            "energy counter: tick 100 ms of 39.9 J at least, lag 105 ms, a reading takes 2.4 ms (p99 6.6 ms)\n"
            "instant power: refresh 20 ms, lag not seen, a reading takes 0.17 ms (p99 0.2 ms)");
}

TEST(instrument, a_window_of_power_knows_its_mean_scatter_and_drift) {
  const std::vector<PowerPoint> points = {{0.0, 0.9, 100.0}, {1.0, 1.9, 110.0}, {2.0, 2.9, 100.0}, {3.0, 3.9, 110.0},
                                          {4.0, 5.0, 120.0}};
  const PowerWindow window = power_window(points, 0.5, 4.5, 0.5);
  EXPECT_EQ(window.points, 4U);  // the first began before
  // Held: 100 for 0.4 and 0.9 s, 110 for 0.9 s twice, 120 for 0.5 s; three ramps at 105 and one at 115, 0.1 s each.
  EXPECT_NEAR(*window.w, (40.0 + 90.0 + 198.0 + 60.0 + 31.5 + 11.5) / 4.0, 1e-9);
  // 110, 100, 110, 120: s = sqrt(200 / 3) = 8.165; t(0.975, 3) = 3.182.
  EXPECT_NEAR(window.sampling, 3.18245 * 8.16497 / 2.0 / *window.w, 1e-5);
  EXPECT_DOUBLE_EQ(window.drift_w, 10.0);  // 120 - 110
  EXPECT_FALSE(power_window(points, 0.5, 5.5, 0.5).w.has_value());   // not bracketed
  EXPECT_FALSE(window.is_flat);
  const PowerWindow constant = power_window(points, 0.1, 0.8, 0.5);  // nothing was seen to change
  EXPECT_TRUE(constant.is_flat);
  EXPECT_EQ(constant.points, 0U);
  EXPECT_DOUBLE_EQ(*constant.w, 100.0);
}

TEST(instrument, power_is_integrated_by_trapezoids_with_interpolated_edges) {
  const std::vector<PowerPoint> points = {{0.0, 0.0, 100.0}, {1.0, 1.0, 200.0}, {2.0, 4.0, 300.0}};
  EXPECT_NEAR(*integrated_j(points, 0.0, 1.0), 150.0, 1e-9);
  EXPECT_NEAR(*integrated_j(points, 0.5, 1.0), 87.5, 1e-9);    // (150 + 200) / 2 * 0.5
  EXPECT_NEAR(*integrated_j(points, 0.5, 3.0), 637.5, 1e-9);   // 87.5 + 250 + 300
  EXPECT_FALSE(integrated_j(points, -0.1, 1.0).has_value());   // not bracketed
  EXPECT_FALSE(integrated_j(points, 0.5, 4.1).has_value());
  EXPECT_FALSE(integrated_j({{0, 0, 1}, {5, 5, 2}}, 1.0, 4.0).has_value());  // a gap of 5 s
  EXPECT_FALSE(integrated_j({}, 0.0, 1.0).has_value());
}

TEST(instrument, a_sensor_that_stands_still_is_no_second_opinion) {
  PowerTrace trace;
  class Stuck final : public PowerInstrument {
   public:
    std::optional<double> energy_j() override { return std::nullopt; }
    std::optional<InstantPower> instant_power() override { return InstantPower{250.0, std::min(now, 1.0)}; }
    double now_s() override { return now; }
    void sleep_s(double) override {}
    double now = 0.1;
  } stuck;
  TraceRecorder recorder(stuck, trace);
  for (; stuck.now < 5.0; stuck.now += 0.1) recorder.poll();
  EXPECT_TRUE(integrated_j(trace.power, 0.2, 0.9).has_value());
  EXPECT_FALSE(integrated_j(trace.power, 0.2, 3.0).has_value());
}

TEST(instrument, the_polling_thread_polls_until_it_is_stopped) {
  const std::unique_ptr<Poller> poller = polling_thread(0.0005);
  std::atomic<int> polls = 0;
  poller->start([&] { ++polls; });
  while (polls < 5) std::this_thread::yield();
  poller->stop();
  const int then = polls;
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(polls, then);
  poller->start([&] { ++polls; });  // and again
  while (polls < then + 2) std::this_thread::yield();
}

}  // namespace
}  // namespace chokepoint
