// A board with an energy counter and a power sensor that follow a script, for tests of what reads them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/meters/load_log.hpp"

namespace chokepoint {

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
  double memory_w = 60.0, heat = 0.0;
  std::optional<double> stuck_from_s;  // instant power repeats itself, stamp and all
  std::vector<double> slept_s;
  bool has_counter = true, has_power = true, is_loaded = false;
  std::optional<double> fails_at_s;

  explicit Board(double phase_s = 0.0) : now_(phase_s) {}

  double now_s() override { return now_; }
  void sleep_s(double seconds) override {
    is_loaded = false;
    if (seconds > 0.0) slept_s.push_back(seconds);
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
    const double refreshed_s = std::min(stuck_from_s.value_or(now_), std::floor(now_ / refresh_s) * refresh_s);
    std::mt19937_64 random(static_cast<std::uint64_t>(refreshed_s * 1e6) + 7);
    std::normal_distribution<double> normal;
    return InstantPower{gain * watt_at(refreshed_s - power_lag_s) * (1.0 + noise * normal(random)), refreshed_s};
  }
  std::optional<double> average_power_w() override {
    const double refreshed_s = std::floor(now_ / refresh_s) * refresh_s;
    return average_gain * gain * (joule_at(refreshed_s) - joule_at(refreshed_s - 1.0));
  }
  std::optional<double> memory_power_w() override { return memory_w; }
  Readings state() override { return {{"temperature_c", is_loaded ? 60.0 : 40.0}, {"sm_clock_hz", 1.7e9}}; }
  Readings slowed_s() override { return {{"power_cap", loaded_s_}, {"sw_thermal", heat * loaded_s_}}; }

  void start(std::function<void()> poll) override { poll_ = std::move(poll); }
  void stop() override { poll_ = nullptr; }
  bool is_polled() const { return poll_ != nullptr; }

  // 30 ms and more of launches; what is begun in one slice finishes in the next.
  KeepBusy load(double launch_s = 1e-3) {
    return [this, launch_s] {
      is_loaded = true;
      const double began_s = now_;
      pass(0.03);
      begun_ += (now_ - began_s) / launch_s;
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
    if (is_loaded) loaded_s_ += seconds;
    now_ += seconds;
  }

  void pass(double seconds) {
    const double until_s = now_ + seconds;
    while (now_ < until_s - 1e-9) {
      move(std::min(poll_s, until_s - now_));
      if (poll_) poll_();
    }
  }

  double now_ = 0.0, loaded_from_s_ = -1.0, begun_ = 0.0, loaded_s_ = 0.0;
  std::vector<Moment> history_;
  std::function<void()> poll_;
};

// As a GPU in a virtual machine may be: no counter, instant power every 100 ms with some scatter.
struct Counterless final : Board {
  explicit Counterless(double scatter = 0.01, double phase_s = 0.013) : Board(phase_s) {
    has_counter = false;
    refresh_s = 0.1;
    noise = scatter;
  }
};

}  // namespace chokepoint
