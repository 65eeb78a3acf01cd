// Energy on a scripted board whose clock is a number: what went in has to come out, with honest error bars.
#include "harness/meters/energy.hpp"

#include <gtest/gtest.h>

#include "tests/meters/measured_board.hpp"

namespace chokepoint {
namespace {

TEST(energy, constant_400_w_comes_back_within_a_fifth_of_a_percent) {
  for (const double phase_s : {0.0, 0.013, 0.037, 0.071, 0.099}) {
    Board board(phase_s);
    board.idle_w = board.load_w;
    const EnergyMeasurement energy = measured(board, without_idle());
    ASSERT_EQ(energy.refusal, "");
    EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << phase_s;
    EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.0008) << phase_s;  // 1 ms each
    EXPECT_GE(energy.window_s, 5.0);
    EXPECT_EQ(energy.trials.size(), 5U);
    EXPECT_LT(*energy.agreement, 0.001);
    EXPECT_TRUE(energy.flags.empty());
  }
}

// 1.5 s of lead-in, five windows of 5 s, each from a tick to the one 5 s later.
TEST(energy, the_trace_has_the_load_from_its_beginning_and_the_windows_it_was_cut_into) {
  Board board;
  board.idle_w = 100.0;
  board.power_lag_s = 0.2;
  board.noise = 0.01;  // every reading is another
  const EnergyMeasurement energy = measured(board, one_load());
  ASSERT_TRUE(energy.trace);
  const RecordedTrace& trace = *energy.trace;
  EXPECT_LE(trace.points.size(), kMostTracePoints);
  EXPECT_GT(trace.points.size(), kMostTracePoints / 2);
  EXPECT_NEAR(trace.points.front().power_w, 100.0, 5.0) << "the reading lags behind the load";
  EXPECT_NEAR(trace.points.back().power_w, 400.0, 20.0);
  ASSERT_EQ(trace.windows_s.size(), 5U);
  EXPECT_NEAR(trace.windows_s[0].low, 1.5, 0.2);
  for (const Interval& window : trace.windows_s) EXPECT_NEAR(window.high - window.low, 5.0, 0.11);
  EXPECT_GT(trace.points.back().t_s, trace.windows_s[4].low);
  board.noise = 0.0;
  EXPECT_GT(measured(board, one_load()).trace->points.back().t_s, 20.0) << "a level that stays is seen to the end";
  board.has_power = false;
  EXPECT_FALSE(measured(board, one_load()).trace) << "a counter alone shows no power over time";
}

TEST(energy, other_ticks_and_lags_come_back_too) {
  for (const double tick_s : {0.01, 0.05, 0.23, 0.5})
    for (const double lag_s : {0.0, 0.075, 0.4}) {
      Board board(0.021);
      board.tick_s = tick_s;
      board.lag_s = lag_s;
      const EnergyMeasurement energy = measured(board, one_load("quick"), {.tick_s = tick_s});
      ASSERT_EQ(energy.refusal, "") << tick_s;
      EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << "tick " << tick_s << " lag " << lag_s;
    }
}

TEST(energy, windows_cut_at_ticks_beat_windows_with_free_edges) {
  double aligned = 0.0, free = 0.0;
  for (int i = 0; i < 25; ++i) {
    Board board(0.0041 * i);
    const EnergyMeasurement energy = measured(board, one_load("quick"));
    aligned += std::pow(*energy.power_w / 400.0 - 1.0, 2);
    // The same board, read at two moments that know nothing of its ticks.
    Board other(0.0041 * i);
    const KeepBusy load = other.load();
    const auto loaded_until = [&](double until_s) {
      while (other.now_s() < until_s) load();
    };
    loaded_until(1.5);
    const double from_s = other.now_s(), from_j = *other.energy_j();
    loaded_until(from_s + 2.0 - 0.0173 * (i % 7));
    const double to_s = other.now_s(), to_j = *other.energy_j();
    free += std::pow((to_j - from_j) / (to_s - from_s) / 400.0 - 1.0, 2);
  }
  aligned = std::sqrt(aligned / 25.0);
  free = std::sqrt(free / 25.0);
  EXPECT_GT(free, 0.01);  // tau / (sqrt(6) W) = 2.0 %
  EXPECT_LT(aligned, 0.001);
}

TEST(energy, the_bound_of_the_alignment_holds) {
  for (const double poll_s : {0.001, 0.005, 0.02, 0.04}) {
    Board board(0.017);
    board.poll_s = poll_s;
    const EnergyMeasurement energy = measured(board, one_load("quick"));
    ASSERT_EQ(energy.refusal, "");
    for (const EnergyTrial& trial : energy.trials) {
      EXPECT_LE(std::abs(trial.power_w / 400.0 - 1.0), trial.alignment + 1e-9) << poll_s;
      EXPECT_LT(trial.alignment, (poll_s + 0.002) / 1.9) << poll_s;
    }
  }
}

TEST(energy, idle_is_reported_and_never_taken_off_the_headline) {
  Board board;
  EnergySettings settings = energy_settings("standard");
  const EnergyMeasurement energy = measured(board, settings);
  EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.0008);
  EXPECT_NEAR(*energy.idle_before_w, 100.0, 0.2);
  EXPECT_NEAR(*energy.idle_after_w, 100.0, 0.2);
  EXPECT_NEAR(*energy.net_j_per_launch, 0.3, 0.0008);  // 0.4 J - 100 W * 1 ms
  EXPECT_NEAR(*energy.static_share, 0.25, 0.001);
  EXPECT_EQ(energy.before.at("temperature_c"), 40.0);
  EXPECT_EQ(energy.after.at("temperature_c"), 60.0);
  EXPECT_EQ(energy.after.at("sm_clock_hz"), 1.7e9);
}

TEST(energy, idle_that_was_not_measured_is_absent_unless_known) {
  Board board;
  EnergySettings settings = one_load();
  const EnergyMeasurement unknown = measured(board, settings);
  EXPECT_FALSE(unknown.idle_w.has_value());
  EXPECT_FALSE(unknown.net_j_per_launch.has_value());
  EXPECT_FALSE(unknown.static_share.has_value());
  settings.known_idle_w = 80.0;
  EXPECT_NEAR(*measured(board, settings).net_j_per_launch, 0.32, 0.0008);
}

TEST(energy, a_gain_error_stays_within_the_systematic_bound_and_out_of_the_random_one) {
  Board board;
  board.gain = 1.045;
  const EnergyMeasurement energy = measured(board, one_load());
  EXPECT_NEAR(*energy.power_w, 418.0, 0.9);
  EXPECT_LT(*energy.random_error, 0.002);
  EXPECT_GT(energy.systematic->total(), 0.045);
  EXPECT_DOUBLE_EQ(energy.systematic->gain, 0.05);
  EXPECT_LT(energy.systematic->without_gain(), 0.005);
  EXPECT_FALSE(has_flag(energy, "suspect"));
}

TEST(energy, a_counter_that_disagrees_with_power_is_suspect_and_not_averaged) {
  Board board;
  board.counter_gain = 1.1;
  const EnergyMeasurement energy = measured(board, one_load());
  EXPECT_TRUE(has_flag(energy, "suspect"));
  EXPECT_NEAR(*energy.agreement, 0.1 / 1.1, 0.001);
  EXPECT_NEAR(*energy.gross_j_per_launch, 0.44, 0.001);
  board.counter_gain = 1.04;
  EXPECT_FALSE(has_flag(measured(board, one_load()), "suspect"));
}

TEST(energy, without_instant_power_there_is_no_second_opinion) {
  Board board;
  board.has_power = false;
  const EnergyMeasurement energy = measured(board, one_load());
  EXPECT_FALSE(energy.agreement.has_value());
  EXPECT_TRUE(has_flag(energy, "no_second_opinion"));
  EXPECT_TRUE(energy.gross_j_per_launch.has_value());
}

TEST(energy, without_a_counter_and_instant_power_there_is_a_reason_and_no_number) {
  Board board;
  board.has_counter = board.has_power = false;
  const EnergyMeasurement energy = measured(board, one_load("quick"));
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_FALSE(energy.random_error.has_value());
  EXPECT_FALSE(energy.systematic.has_value());
  EXPECT_NE(energy.refusal.find("0 of 5 windows"), std::string::npos) << energy.refusal;
}

const InstrumentFacts kCounterless{.power_lag_s = 0.05, .power_refresh_s = 0.1};

TEST(energy, without_a_counter_instant_power_is_integrated_and_flagged) {
  for (const double phase_s : {0.0, 0.013, 0.037, 0.071, 0.099})
    for (const char* profile : {"quick", "standard"}) {
      Counterless board(0.01, phase_s);
      const EnergyMeasurement energy = measured(board, one_load(profile), kCounterless);
      ASSERT_EQ(energy.refusal, "") << profile << phase_s;
      EXPECT_NEAR(*energy.power_w, 400.0, 2.0) << profile << phase_s;
      EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.002) << profile << phase_s;  // 1 ms each
      EXPECT_TRUE(has_flag(energy, "no_counter"));
      EXPECT_TRUE(has_flag(energy, "no_second_opinion"));
      EXPECT_FALSE(has_flag(energy, "suspect"));
      EXPECT_FALSE(energy.agreement.has_value());
      EXPECT_LT(*energy.trials[0].off_average, 0.02);
      EXPECT_FALSE(energy.trials[0].by_counter);
    }
}

TEST(energy, a_counter_that_stands_still_is_as_good_as_none) {
  Counterless board;
  board.has_counter = true;
  board.tick_s = 1e9;
  const EnergyMeasurement energy = measured(board, one_load(), kCounterless);
  ASSERT_EQ(energy.refusal, "");
  EXPECT_NEAR(*energy.power_w, 400.0, 2.0);
  EXPECT_TRUE(has_flag(energy, "no_counter"));
  board.tick_s = 0.1;
  EXPECT_FALSE(has_flag(measured(board, one_load()), "no_counter"));
}

TEST(energy, scatter_and_gain_of_instant_power_widen_the_error_bars) {
  Counterless calm(0.01), wild(0.05);
  wild.gain = 1.04;
  const EnergyMeasurement narrow = measured(calm, one_load("quick"), kCounterless);
  const EnergyMeasurement wide = measured(wild, one_load("quick"), kCounterless);
  // 20 readings in 2 s: t(0.975, 19) = 2.093, so 2.093 * 1 % / sqrt(20) = 0.47 % and five times that.
  EXPECT_NEAR(narrow.systematic->sampling, 0.0047, 0.002);
  EXPECT_NEAR(wide.systematic->sampling, 0.0234, 0.01);
  EXPECT_DOUBLE_EQ(wide.systematic->gain, 0.05);
  EXPECT_GT(wide.systematic->total(), 0.05 + wide.systematic->sampling);
  EXPECT_GT(*wide.random_error, 2.0 * *narrow.random_error);
  EXPECT_LT(std::abs(*wide.power_w / 400.0 - 1.0), wide.systematic->total());
  EXPECT_LT(std::abs(*wide.power_w / 416.0 - 1.0), wide.systematic->without_gain());
}

TEST(energy, power_that_drifts_between_the_edges_widens_the_lag_without_a_counter) {
  Counterless board(0.0);
  board.drift_w_per_s = 10.0;
  board.power_lag_s = 0.05;
  const EnergyMeasurement energy = measured(board, one_load(), kCounterless);
  ASSERT_EQ(energy.refusal, "");
  // Fifths of 5 s are 4 s apart: 40 W * (0.05 + 0.1) s of the first window's 5 * (400 + 10 * 4) J.
  EXPECT_NEAR(energy.systematic->lag, 40.0 * 0.15 / 2200.0, 3e-4);
  // The middle of five windows from 1.5 s on is 14 s after the load began.
  EXPECT_NEAR(*energy.power_w, 540.0, 540.0 * energy.systematic->without_gain());
}

TEST(energy, instant_power_that_hardly_moves_is_refused) {
  Counterless slow;
  slow.refresh_s = 0.25;  // 8 readings in 2 s
  const EnergyMeasurement energy = measured(slow, one_load("quick"), kCounterless);
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_NE(energy.refusal.find("moved 8 times in a window of 2.0 s where 10 is the least"), std::string::npos)
      << energy.refusal;
  EXPECT_EQ(measured(slow, one_load(), kCounterless).refusal, "");
  Counterless stuck;  // the same reading with the same stamp, from within the lead-in on
  stuck.stuck_from_s = 1.0;
  const EnergyMeasurement none = measured(stuck, one_load(), kCounterless);
  EXPECT_NE(none.refusal.find("moved 0 times"), std::string::npos);
  EXPECT_FALSE(none.gross_j_per_launch.has_value());
}

TEST(energy, a_constant_reading_without_a_counter_is_integrated_over_time_and_flagged) {
  for (const double phase_s : {0.0, 0.013, 0.071}) {
    Counterless board(0.0, phase_s);
    const EnergyMeasurement energy = measured(board, one_load("quick"), kCounterless);
    ASSERT_EQ(energy.refusal, "") << phase_s;
    EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << phase_s;
    EXPECT_NEAR(*energy.gross_j_per_launch, 0.4, 0.0008) << phase_s;
    EXPECT_TRUE(has_flag(energy, "constant_power"));
    EXPECT_TRUE(has_flag(energy, "no_counter"));
    EXPECT_LT(energy.systematic->without_gain(), 0.002);
  }
  Counterless lively;
  EXPECT_FALSE(has_flag(measured(lively, one_load("quick"), kCounterless), "constant_power"));
}

TEST(energy, instant_power_that_is_off_its_own_average_is_suspect) {
  Counterless board;
  board.average_gain = 1.1;
  const EnergyMeasurement energy = measured(board, one_load("quick"), kCounterless);
  EXPECT_TRUE(has_flag(energy, "suspect"));
  EXPECT_TRUE(has_flag(energy, "no_second_opinion"));
  EXPECT_FALSE(energy.agreement.has_value());
  EXPECT_NEAR(*energy.trials[0].off_average, 0.1 / 1.1, 0.015);
}

TEST(energy, idle_power_without_a_counter_is_averaged_instant_power) {
  Counterless board;
  const EnergyMeasurement energy = measured(board, energy_settings("quick"), kCounterless);
  EXPECT_NEAR(*energy.idle_before_w, 100.0, 2.0);  // 10 readings of 1 %
  EXPECT_NEAR(*energy.idle_after_w, 100.0, 2.0);
  EXPECT_NEAR(*energy.net_j_per_launch, 0.3, 0.004);
  Counterless flat(0.0);
  EXPECT_NEAR(*measure_idle_w(flat, 1.0, &flat), 100.0, 0.2);
  flat.stuck_from_s = flat.now_s() + 0.2;
  EXPECT_FALSE(measure_idle_w(flat, 1.0, &flat).has_value());
}

TEST(energy, no_time_is_spent_waiting_for_ticks_that_the_probe_did_not_see) {
  Counterless board(0.01, 0.0);
  (void)measured(board, one_load("quick"), kCounterless);
  EXPECT_LT(board.now_s(), 1.5 + 5 * 2.0 + 0.3 + 0.2);  // lead-in, windows, lead-out, slices of load
}

TEST(energy, a_board_that_is_not_kept_busy_is_refused) {
  Board board;
  board.duty = 0.97;
  const EnergyMeasurement energy = measured(board, one_load());
  EXPECT_NEAR(*energy.duty, 0.97, 0.001);
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_NE(energy.refusal.find("97.0 %"), std::string::npos) << energy.refusal;
  board.duty = 0.985;
  EXPECT_EQ(measured(board, one_load()).refusal, "");
}

TEST(energy, the_random_error_is_the_t_interval_over_trials) {
  Board board;
  board.drift_w_per_s = 1.0;  // five windows of 5 s: 5.1 W apart
  const EnergyMeasurement energy = measured(board, one_load());
  double mean_j = 0.0, squares = 0.0;
  const auto joule = [](const EnergyTrial& trial) { return trial.power_w * trial.window_s / trial.launches; };
  for (const EnergyTrial& trial : energy.trials) mean_j += joule(trial) / 5.0;
  for (const EnergyTrial& trial : energy.trials) squares += std::pow(joule(trial) - mean_j, 2);
  // t(0.975, 4) = 2.776; s of 0, 1, 2, 3, 4 steps is 1.5811 steps, here of 5.1 W on 415 W.
  EXPECT_NEAR(*energy.random_error, 2.776445 * std::sqrt(squares / 4.0) / std::sqrt(5.0) / mean_j, 1e-8);
  EXPECT_NEAR(*energy.random_error, 2.776 * 1.5811 * 5.1 / std::sqrt(5.0) / 415.0, 3e-4);
  EnergySettings one = one_load();
  one.trials = 1;
  EXPECT_FALSE(measured(board, one).random_error.has_value());
}

TEST(energy, drifting_power_widens_the_bound_of_the_lag) {
  Board steady, drifting;
  drifting.drift_w_per_s = 10.0;
  const InstrumentFacts facts{.tick_s = 0.1, .counter_lag_s = 0.1};
  const EnergyMeasurement flat = measured(steady, one_load(), facts);
  const EnergyMeasurement steep = measured(drifting, one_load(), facts);
  EXPECT_LT(flat.systematic->lag, 3e-4);
  // About 45 W over the window's middle nine tenths * 0.1 s of lag, of 2200 J in the first window.
  EXPECT_NEAR(steep.systematic->lag, 45.0 * 0.1 / 2200.0, 6e-4);
}

TEST(energy, the_memorys_share_is_a_label_of_its_own) {
  Board board;
  EXPECT_NEAR(*measured(board, one_load()).memory_power_w, 60.0, 1e-6);
}

TEST(energy, polling_ends_when_the_load_throws) {
  Board board;
  const KeepBusy bad = []() -> LoadStep { throw Error(Fault::device, "kernel fault", "see the log"); };
  EXPECT_THROW(measure_energy(board, {}, one_load(), bad, &board), Error);
  EXPECT_FALSE(board.is_polled());
}

TEST(energy, a_reading_that_fails_is_an_error_with_its_cause) {
  Board board;
  board.fails_at_s = 3.0;
  try {
    (void)measured(board, one_load());
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
    EXPECT_NE(std::string(error.what()).find("the GPU is lost; reboot"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace chokepoint
