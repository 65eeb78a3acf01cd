// Energy on a scripted board whose clock is a number: what went in has to come out, with honest error bars.
#include "harness/meters/instrument.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// A board, its counter, its power sensor, its load and whoever polls it, all on one clock that moves only when
// somebody sleeps, loads or reads.
class Board : public PowerInstrument, public Poller {
 public:
  double idle_w = 100.0, load_w = 400.0;
  double drift_w_per_s = 0.0;  // of the loaded power
  double tick_s = 0.1, lag_s = 0.1, refresh_s = 0.025, power_lag_s = 0.0;
  double gain = 1.0, counter_gain = 1.0, average_gain = 1.0, noise = 0.0;
  double poll_s = 0.005, read_s = 0.0005;
  double duty = 1.0;
  double memory_w = 60.0;
  bool has_counter = true, has_power = true, is_loaded = false;
  std::optional<double> fails_at_s;

  explicit Board(double phase_s = 0.0) : now_(phase_s) {}

  double now_s() override { return now_; }
  void sleep_s(double seconds) override {
    is_loaded = false;
    pass(seconds);
  }

  std::optional<double> energy_j() override {
    if (fails_at_s && now_ >= *fails_at_s) throw Error(Fault::device, "the GPU is lost", "reboot");
    if (!has_counter) return std::nullopt;
    const double at_s = std::floor(now_ / tick_s) * tick_s - lag_s;
    move(read_s);
    return gain * counter_gain * joule_at(at_s);
  }
  std::optional<InstantPower> instant_power() override {
    if (!has_power) return std::nullopt;
    const double refreshed_s = std::floor(now_ / refresh_s) * refresh_s;
    std::mt19937_64 random(static_cast<std::uint64_t>(refreshed_s * 1e6) + 7);
    std::normal_distribution<double> normal;
    return InstantPower{gain * watt_at(refreshed_s - power_lag_s) * (1.0 + noise * normal(random)), refreshed_s};
  }
  std::optional<double> average_power_w() override {
    const double refreshed_s = std::floor(now_ / refresh_s) * refresh_s;
    return average_gain * gain * (joule_at(refreshed_s) - joule_at(refreshed_s - 1.0));
  }
  std::optional<double> memory_power_w() override { return memory_w; }
  std::optional<double> temperature_c() override { return is_loaded ? 60.0 : 40.0; }

  void start(std::function<void()> poll) override { poll_ = std::move(poll); }
  void stop() override { poll_ = nullptr; }
  bool is_polled() const { return poll_ != nullptr; }

  // About 30 launches of 1 ms each; what is begun in one slice finishes in the next.
  KeepBusy load() {
    return [this] {
      is_loaded = true;
      const double began_s = now_;
      pass(0.03);
      begun_ += (now_ - began_s) * 1e3;
      const auto launches = static_cast<std::int64_t>(begun_);
      begun_ -= static_cast<double>(launches);
      return LoadStep{launches, (now_ - began_s) * duty};
    };
  }

  // Of the true history.
  double joule_at(double at_s) const {
    const auto after = std::upper_bound(history_.begin(), history_.end(), at_s,
                                        [](double value, const Moment& moment) { return value < moment.from_s; });
    if (after == history_.begin()) return at_s * idle_w;  // before the start it idled
    const Moment& moment = after[-1];
    return moment.joule + (at_s - moment.from_s) * moment.w;
  }

 private:
  struct Moment {
    double from_s, joule, w;
  };

  double watt_at(double at_s) const {
    const auto after = std::upper_bound(history_.begin(), history_.end(), at_s,
                                        [](double value, const Moment& moment) { return value < moment.from_s; });
    return after == history_.begin() ? idle_w : after[-1].w;
  }

  void move(double seconds) {
    if (history_.empty()) history_.push_back({now_, now_ * idle_w, idle_w});
    if (is_loaded && loaded_from_s_ < 0.0) loaded_from_s_ = now_;
    const double w = is_loaded ? load_w + drift_w_per_s * (now_ - loaded_from_s_) : idle_w;
    if (w != history_.back().w) history_.push_back({now_, joule_at(now_), w});
    now_ += seconds;
  }

  void pass(double seconds) {
    const double until_s = now_ + seconds;
    while (now_ < until_s - 1e-9) {
      move(std::min(poll_s, until_s - now_));
      if (poll_) poll_();
    }
  }

  double now_ = 0.0, loaded_from_s_ = -1.0, begun_ = 0.0;
  std::vector<Moment> history_;
  std::function<void()> poll_;
};

EnergySettings without_idle(const char* name = "standard") {
  EnergySettings settings = energy_settings(name);
  settings.idle_s = 0.0;
  return settings;
}

EnergyMeasurement measured(Board& board, const EnergySettings& settings, const InstrumentFacts& facts = {.tick_s = 0.1}) {
  return measure_energy(board, facts, settings, board.load(), &board);
}

bool has_flag(const EnergyMeasurement& energy, const std::string& flag) {
  return std::find(energy.flags.begin(), energy.flags.end(), flag) != energy.flags.end();
}

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

TEST(energy, other_ticks_and_lags_come_back_too) {
  for (const double tick_s : {0.01, 0.05, 0.23, 0.5})
    for (const double lag_s : {0.0, 0.075, 0.4}) {
      Board board(0.021);
      board.tick_s = tick_s;
      board.lag_s = lag_s;
      const EnergyMeasurement energy = measured(board, without_idle("quick"), {.tick_s = tick_s});
      ASSERT_EQ(energy.refusal, "") << tick_s;
      EXPECT_NEAR(*energy.power_w, 400.0, 0.8) << "tick " << tick_s << " lag " << lag_s;
    }
}

TEST(energy, windows_cut_at_ticks_beat_windows_with_free_edges) {
  double aligned = 0.0, free = 0.0;
  for (int i = 0; i < 25; ++i) {
    Board board(0.0041 * i);
    const EnergyMeasurement energy = measured(board, without_idle("quick"));
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
    const EnergyMeasurement energy = measured(board, without_idle("quick"));
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
  EXPECT_EQ(energy.temperature_before_c, 40.0);
  EXPECT_EQ(energy.temperature_after_c, 60.0);
}

TEST(energy, idle_that_was_not_measured_is_absent_unless_known) {
  Board board;
  EnergySettings settings = without_idle();
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
  const EnergyMeasurement energy = measured(board, without_idle());
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
  const EnergyMeasurement energy = measured(board, without_idle());
  EXPECT_TRUE(has_flag(energy, "suspect"));
  EXPECT_NEAR(*energy.agreement, 0.1 / 1.1, 0.001);
  EXPECT_NEAR(*energy.gross_j_per_launch, 0.44, 0.001);
  board.counter_gain = 1.04;
  EXPECT_FALSE(has_flag(measured(board, without_idle()), "suspect"));
}

TEST(energy, without_instant_power_there_is_no_second_opinion) {
  Board board;
  board.has_power = false;
  const EnergyMeasurement energy = measured(board, without_idle());
  EXPECT_FALSE(energy.agreement.has_value());
  EXPECT_TRUE(has_flag(energy, "no_second_opinion"));
  EXPECT_TRUE(energy.gross_j_per_launch.has_value());
}

TEST(energy, without_a_counter_and_instant_power_there_is_a_reason_and_no_number) {
  Board board;
  board.has_counter = board.has_power = false;
  const EnergyMeasurement energy = measured(board, without_idle("quick"));
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_FALSE(energy.random_error.has_value());
  EXPECT_FALSE(energy.systematic.has_value());
  EXPECT_NE(energy.refusal.find("0 of 3 windows"), std::string::npos) << energy.refusal;
}

// As a GPU in a virtual machine may be: no counter, instant power every 100 ms with some scatter.
struct Counterless final : Board {
  explicit Counterless(double scatter = 0.01, double phase_s = 0.013) : Board(phase_s) {
    has_counter = false;
    refresh_s = 0.1;
    noise = scatter;
  }
};
const InstrumentFacts kCounterless{.power_lag_s = 0.05, .power_refresh_s = 0.1};

TEST(energy, without_a_counter_instant_power_is_integrated_and_flagged) {
  for (const double phase_s : {0.0, 0.013, 0.037, 0.071, 0.099})
    for (const char* profile : {"quick", "standard"}) {
      Counterless board(0.01, phase_s);
      const EnergyMeasurement energy = measured(board, without_idle(profile), kCounterless);
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
  const EnergyMeasurement energy = measured(board, without_idle(), kCounterless);
  ASSERT_EQ(energy.refusal, "");
  EXPECT_NEAR(*energy.power_w, 400.0, 2.0);
  EXPECT_TRUE(has_flag(energy, "no_counter"));
  board.tick_s = 0.1;
  EXPECT_FALSE(has_flag(measured(board, without_idle()), "no_counter"));
}

TEST(energy, scatter_and_gain_of_instant_power_widen_the_error_bars) {
  Counterless calm(0.01), wild(0.05);
  wild.gain = 1.04;
  const EnergyMeasurement narrow = measured(calm, without_idle("quick"), kCounterless);
  const EnergyMeasurement wide = measured(wild, without_idle("quick"), kCounterless);
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
  const EnergyMeasurement energy = measured(board, without_idle(), kCounterless);
  ASSERT_EQ(energy.refusal, "");
  // Fifths of 5 s are 4 s apart: 40 W * (0.05 + 0.1) s of the first window's 5 * (400 + 10 * 4) J.
  EXPECT_NEAR(energy.systematic->lag, 40.0 * 0.15 / 2200.0, 3e-4);
  // The middle of five windows from 1.5 s on is 14 s after the load began.
  EXPECT_NEAR(*energy.power_w, 540.0, 540.0 * energy.systematic->without_gain());
}

TEST(energy, instant_power_that_hardly_moves_is_refused) {
  Counterless slow;
  slow.refresh_s = 0.25;  // 8 readings in 2 s
  const EnergyMeasurement energy = measured(slow, without_idle("quick"), kCounterless);
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_NE(energy.refusal.find("moved 8 times in a window of 2.0 s where 10 is the least; use longer windows"),
            std::string::npos) << energy.refusal;
  EXPECT_EQ(measured(slow, without_idle(), kCounterless).refusal, "");
  Counterless stuck;
  stuck.refresh_s = 1e9;
  EXPECT_NE(measured(stuck, without_idle(), kCounterless).refusal.find("moved 0 times"), std::string::npos);
}

TEST(energy, instant_power_that_is_off_its_own_average_is_suspect) {
  Counterless board;
  board.average_gain = 1.1;
  const EnergyMeasurement energy = measured(board, without_idle("quick"), kCounterless);
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
  board.refresh_s = 1e9;
  EXPECT_FALSE(measure_idle_w(board, 1.0, &board).has_value());
}

TEST(energy, no_time_is_spent_waiting_for_ticks_that_the_probe_did_not_see) {
  Counterless board(0.01, 0.0);
  (void)measured(board, without_idle("quick"), kCounterless);
  EXPECT_LT(board.now_s(), 1.5 + 3 * 2.0 + 0.3 + 0.2);  // lead-in, windows, lead-out, slices of load
}

TEST(energy, a_board_that_is_not_kept_busy_is_refused) {
  Board board;
  board.duty = 0.97;
  const EnergyMeasurement energy = measured(board, without_idle());
  EXPECT_NEAR(*energy.duty, 0.97, 0.001);
  EXPECT_FALSE(energy.gross_j_per_launch.has_value());
  EXPECT_NE(energy.refusal.find("97.0 %"), std::string::npos) << energy.refusal;
  board.duty = 0.985;
  EXPECT_EQ(measured(board, without_idle()).refusal, "");
}

TEST(energy, quick_windows_are_short_and_flagged) {
  Board board;
  const EnergyMeasurement energy = measured(board, without_idle("quick"));
  EXPECT_TRUE(has_flag(energy, "low_confidence"));
  EXPECT_NEAR(energy.window_s, 2.0, 0.11);
  EXPECT_EQ(energy.trials.size(), 3U);
  EXPECT_FALSE(has_flag(measured(board, without_idle()), "low_confidence"));
}

TEST(energy, windows_grow_with_the_tick_and_with_long_launches) {
  const EnergySettings standard = energy_settings("standard");
  EXPECT_DOUBLE_EQ(window_length_s(standard, {.tick_s = 0.1}, 1e-3), 5.0);   // 50 ticks are 5 s
  EXPECT_DOUBLE_EQ(window_length_s(standard, {.tick_s = 0.2}, 1e-3), 10.0);  // 50 ticks
  EXPECT_DOUBLE_EQ(window_length_s(standard, {}, 0.5), 16.0);                // 32 launches
  EXPECT_DOUBLE_EQ(window_length_s(energy_settings("quick"), {.tick_s = 0.2}, 0.5), 2.0);
  EXPECT_DOUBLE_EQ(energy_settings("publish").window_s, 10.0);
  EXPECT_EQ(energy_settings("publish").trials, 10);
  EXPECT_THROW(energy_settings("fast"), Error);
}

TEST(energy, the_random_error_is_the_t_interval_over_trials) {
  Board board;
  board.drift_w_per_s = 1.0;  // five windows of 5 s: 5.1 W apart
  const EnergyMeasurement energy = measured(board, without_idle());
  double mean_j = 0.0, squares = 0.0;
  const auto joule = [](const EnergyTrial& trial) { return trial.power_w * trial.window_s / trial.launches; };
  for (const EnergyTrial& trial : energy.trials) mean_j += joule(trial) / 5.0;
  for (const EnergyTrial& trial : energy.trials) squares += std::pow(joule(trial) - mean_j, 2);
  // t(0.975, 4) = 2.776; s of 0, 1, 2, 3, 4 steps is 1.5811 steps, here of 5.1 W on 415 W.
  EXPECT_NEAR(*energy.random_error, 2.776445 * std::sqrt(squares / 4.0) / std::sqrt(5.0) / mean_j, 1e-8);
  EXPECT_NEAR(*energy.random_error, 2.776 * 1.5811 * 5.1 / std::sqrt(5.0) / 415.0, 3e-4);
  EnergySettings one = without_idle();
  one.trials = 1;
  EXPECT_FALSE(measured(board, one).random_error.has_value());
}

TEST(energy, drifting_power_widens_the_bound_of_the_lag) {
  Board steady, drifting;
  drifting.drift_w_per_s = 10.0;
  const InstrumentFacts facts{.tick_s = 0.1, .counter_lag_s = 0.1};
  const EnergyMeasurement flat = measured(steady, without_idle(), facts);
  const EnergyMeasurement steep = measured(drifting, without_idle(), facts);
  EXPECT_LT(flat.systematic->lag, 3e-4);
  // About 45 W over the window's middle nine tenths * 0.1 s of lag, of 2200 J in the first window.
  EXPECT_NEAR(steep.systematic->lag, 45.0 * 0.1 / 2200.0, 6e-4);
}

TEST(energy, trials_with_rests_load_anew_each_time) {
  Board board;
  EnergySettings settings = without_idle();
  settings.trials = 2;
  settings.rest_s = 5.0;
  const EnergyMeasurement energy = measured(board, settings);
  ASSERT_EQ(energy.trials.size(), 2U);
  EXPECT_NEAR(*energy.power_w, 400.0, 0.8);
  // Two loads of 1.5 + 5 + lead-out and slack, and a rest between them.
  EXPECT_GT(board.now_s(), 2 * (1.5 + 5.0 + 0.3) + 5.0);
}

TEST(energy, the_memorys_share_is_a_label_of_its_own) {
  Board board;
  EXPECT_NEAR(*measured(board, without_idle()).memory_power_w, 60.0, 1e-6);
}

TEST(energy, polling_ends_when_the_load_throws) {
  Board board;
  const KeepBusy bad = []() -> LoadStep { throw Error(Fault::device, "kernel fault", "see the log"); };
  EXPECT_THROW(measure_energy(board, {}, without_idle(), bad, &board), Error);
  EXPECT_FALSE(board.is_polled());
}

TEST(energy, a_reading_that_fails_is_an_error_with_its_cause) {
  Board board;
  board.fails_at_s = 3.0;
  try {
    (void)measured(board, without_idle());
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::io);
    EXPECT_NE(std::string(error.what()).find("the GPU is lost; reboot"), std::string::npos) << error.what();
  }
}

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
  const Json json = to_json(probe_instrument(board, board.load(), {}, &board));
  EXPECT_EQ(json.size(), 9U);
  for (const auto& [key, value] : json.items()) EXPECT_TRUE(value.is_null()) << key;
  Board flat;  // no step in power, so no lag to see
  flat.load_w = flat.idle_w;
  const InstrumentFacts facts = probe_instrument(flat, flat.load(), {}, &flat);
  EXPECT_TRUE(facts.tick_s.has_value());
  EXPECT_FALSE(facts.counter_lag_s.has_value());
  EXPECT_FALSE(facts.power_lag_s.has_value());
}

TEST(instrument, the_probe_ends_without_ticks_and_tells_the_refresh_of_power) {
  Counterless board;
  const Json json = to_json(probe_instrument(board, board.load(), {}, &board));
  EXPECT_LT(board.now_s(), 3.7);  // 1 s idle, 2.5 s of load
  for (const char* key : {"tick_s", "step_j", "counter_lag_s", "counter_read_p50_s"}) EXPECT_TRUE(json[key].is_null());
  EXPECT_NEAR(json["power_refresh_s"].get<double>(), 0.1, 0.006);
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
  EXPECT_FALSE(power_window(points, 0.1, 0.8, 0.5).w.has_value());   // nothing was seen to change
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
