// In which order, how often and how long is a board loaded for its energy? Profiles and what they leave out, several
// loads in turn, rests and phases, on a scripted board.
#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "tests/meters/measured_board.hpp"

namespace chokepoint {
namespace {

TEST(energy_profile, what_a_profile_leaves_out_of_a_full_measurement_is_flagged) {
  Board board;
  const EnergyMeasurement energy = measured(board, energy_settings("quick"));
  EXPECT_EQ(energy.flags, (std::vector<std::string>{"low_confidence", "short_idle", "no_rest"}));
  EXPECT_NEAR(energy.window_s, 2.0, 0.11);
  EXPECT_EQ(energy.trials.size(), 5U);
  for (const char* profile : {"standard", "publish"}) {
    EXPECT_TRUE(measured(board, energy_settings(profile)).flags.empty()) << profile;
    EXPECT_GE(energy_settings(profile).idle_s, 10.0);
    EXPECT_GE(energy_settings(profile).rest_s, 5.0);
    EXPECT_GE(energy_settings(profile).trials, 5);
  }
  EnergySettings few = without_idle();
  few.trials = 4;
  EXPECT_EQ(measured(board, few).flags, (std::vector<std::string>{"few_trials"}));
}

TEST(energy_profile, expected_times_are_those_a_measurement_takes) {
  const InstrumentFacts facts{.tick_s = 0.1, .counter_lag_s = 0.1};
  for (const char* profile : {"quick", "standard", "publish"})
    for (const std::size_t count : {1, 3}) {
      Board board;
      const std::vector<KeepBusy> loads(count, board.load());
      const double began_s = board.now_s();
      measure_energies(board, facts, energy_settings(profile), loads, &board);
      // Up to 4 ticks of slack in each load, and a fifth of the idle time between load and idle.
      const double expected_s = expected_energy_s(energy_settings(profile), count);
      EXPECT_NEAR((board.now_s() - began_s) / expected_s, 1.0, 0.15) << profile << count;
    }
}

TEST(energy_profile, windows_grow_with_the_tick_and_with_long_launches) {
  const EnergySettings standard = energy_settings("standard");
  EXPECT_DOUBLE_EQ(window_length_s(standard, {.tick_s = 0.1}, 1e-3), 5.0);   // 50 ticks are 5 s
  EXPECT_DOUBLE_EQ(window_length_s(standard, {.tick_s = 0.2}, 1e-3), 10.0);  // 50 ticks
  EXPECT_DOUBLE_EQ(window_length_s(standard, {}, 0.5), 16.0);                // 32 launches
  EXPECT_DOUBLE_EQ(window_length_s(energy_settings("quick"), {.tick_s = 0.2}, 0.5), 2.0);
  EXPECT_DOUBLE_EQ(energy_settings("publish").window_s, 10.0);
  EXPECT_EQ(energy_settings("publish").trials, 10);
  EXPECT_THROW(energy_settings("fast"), Error);
}

TEST(energy_profile, slowing_in_the_loads_is_kept_and_heat_is_flagged) {
  Board cool;
  cool.load()();
  cool.sleep_s(1.0);  // slowed before the measurement: not of it
  const EnergyMeasurement fine = measured(cool, without_idle());
  EXPECT_EQ(fine.slowed_s.at("sw_thermal"), 0.0);
  EXPECT_NEAR(*fine.slowed_s.at("power_cap"), 5 * (1.5 + 5.0 + 0.7), 0.5);  // loads with slack, rests left out
  EXPECT_FALSE(has_flag(fine, "slowed_by_heat"));
  Board hot;
  hot.heat = 0.01;
  EXPECT_TRUE(has_flag(measured(hot, without_idle()), "slowed_by_heat"));
}

// Each trial has its own load; which of them ran is what the launches per slice tell.
TEST(energy_profile, several_loads_take_their_trials_in_turn_and_back) {
  Board board;
  std::string order;
  const auto named = [&](char name, double launch_s) -> KeepBusy {
    return [&board, &order, name, load = board.load(launch_s)] {
      if (!board.is_loaded || order.empty() || order.back() != name) order += name;
      return load();
    };
  };
  const std::vector<KeepBusy> loads = {named('a', 1e-3), named('b', 2e-3), named('c', 5e-3)};
  EnergySettings settings = without_idle();
  settings.trials = 3;
  board.drift_w_per_s = 1.0;
  const std::vector<EnergyMeasurement> all = measure_energies(board, {.tick_s = 0.1}, settings, loads, &board);
  EXPECT_EQ(order, "abccbaabc");
  ASSERT_EQ(all.size(), 3U);
  for (const EnergyMeasurement& one : all) EXPECT_EQ(one.trials.size(), 3U) << one.refusal;
  // Two rounds there and back: drift cancels in the ratio of 1 ms and 2 ms.
  settings.trials = 4;
  const std::vector<EnergyMeasurement> even = measure_energies(board, {.tick_s = 0.1}, settings, loads, &board);
  EXPECT_NEAR(*even[1].gross_j_per_launch / *even[0].gross_j_per_launch, 2.0, 0.004);
  EXPECT_NEAR(*even[2].gross_j_per_launch / *even[0].gross_j_per_launch, 5.0, 0.01);
}

TEST(energy_profile, several_loads_share_the_idle_power_before_and_after_and_one_bad_one_is_refused_alone) {
  Board board;
  const KeepBusy lazy = [&board, load = board.load()] {
    LoadStep step = load();
    step.busy_s *= 0.9;
    return step;
  };
  const std::vector<KeepBusy> loads = {board.load(), lazy};
  const std::vector<EnergyMeasurement> all =
      measure_energies(board, {.tick_s = 0.1}, energy_settings("standard"), loads, &board);
  EXPECT_EQ(all[0].refusal, "");
  EXPECT_NE(all[1].refusal.find("90.0 %"), std::string::npos) << all[1].refusal;
  EXPECT_NEAR(*all[0].idle_w, 100.0, 0.2);
  EXPECT_EQ(all[0].idle_before_w, all[1].idle_before_w);
  EXPECT_EQ(std::count(board.slept_s.begin(), board.slept_s.end(), 10.0), 2) << "once before and once after";
  EXPECT_EQ(std::count(board.slept_s.begin(), board.slept_s.end(), 5.0), 9) << "a rest between each two of ten loads";
}

TEST(energy_profile, long_launches_begin_at_other_phases_of_the_readings) {
  Board board;
  const KeepBusy long_launches = board.load(0.03);  // more than a quarter of a tick
  const EnergyMeasurement energy =
      measure_energy(board, {.tick_s = 0.1}, one_load("quick"), long_launches, &board);
  EXPECT_EQ(energy.trials.size(), 5U);
  ASSERT_EQ(board.slept_s.size(), 4U) << "each window has a load of its own";
  for (int i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(board.slept_s[static_cast<std::size_t>(i)], launch_phase_s(i + 1, 0.1));
  EXPECT_DOUBLE_EQ(launch_phase_s(0, 0.1), 0.0);
  EXPECT_NEAR(launch_phase_s(1, 0.1), 0.0618, 1e-4);
  EXPECT_NEAR(launch_phase_s(2, 0.1), 0.0236, 1e-4);
  Board other;
  measure_energy(other, {.tick_s = 0.1}, one_load("quick"), other.load(), &other);
  EXPECT_TRUE(other.slept_s.empty());
}

TEST(energy_profile, trials_with_rests_load_anew_each_time) {
  Board board;
  EnergySettings settings = one_load();
  settings.trials = 2;
  settings.rest_s = 5.0;
  const EnergyMeasurement energy = measured(board, settings);
  ASSERT_EQ(energy.trials.size(), 2U);
  EXPECT_NEAR(*energy.power_w, 400.0, 0.8);
  // Two loads of 1.5 + 5 + lead-out and slack, and a rest between them.
  EXPECT_GT(board.now_s(), 2 * (1.5 + 5.0 + 0.3) + 5.0);
}

}  // namespace
}  // namespace chokepoint
