#include "harness/meters/instrument.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "harness/base/error.hpp"
#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

// Lag of the counter when nothing better is known: a published check of windows of 0.5 to 5 s fits 75 to 130 ms.
constexpr double kAssumedLagS = 0.13;
// Slowest tick of a known driver (its default macro), for planning when the tick is not known.
constexpr double kAssumedTickS = 0.5;
// Lag and refresh of instant power when nothing better is known: sensors of the H100 class refresh every 100 ms.
constexpr double kAssumedPowerLagS = 0.13, kAssumedRefreshS = 0.1;
constexpr std::size_t kLeastPowerPoints = 10;  // in a window whose joules come from instant power
constexpr std::size_t kLeastIdlePoints = 3;
constexpr double kAverageS = 1.0;   // what the trailing average of power spans
constexpr int kSlowReadEvery = 8;  // polls; memory and average power are a label and a check

class PollingThread final : public Poller {
 public:
  explicit PollingThread(double period_s) : period_(period_s) {}
  ~PollingThread() override { stop(); }

  void start(std::function<void()> poll) override {
    stop();
    is_stopped_ = false;
    thread_ = std::thread([this, poll = std::move(poll)] {
      while (!is_stopped_) {
        poll();
        std::this_thread::sleep_for(period_);
      }
    });
  }

  void stop() override {
    is_stopped_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::chrono::duration<double> period_;
  std::atomic<bool> is_stopped_ = true;
  std::thread thread_;
};

// One trace, from construction to `finish`.
class Recording {
 public:
  Recording(PowerInstrument& instrument, Poller* poller) : recorder_(instrument, trace_), poller_(poller) {
    if (!poller_) poller_ = (own_ = polling_thread()).get();
    poller_->start([this] { poll(); });
  }
  ~Recording() { poller_->stop(); }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  const PowerTrace& finish() {
    poller_->stop();
    if (!trace_.trouble.empty())
      throw Error(Fault::io, fmt::format("reading the power stopped: {}", trace_.trouble),
                  "see the message; the time of the case is unharmed");
    return trace_;
  }

 private:
  // Runs on the poller's thread, where nothing may throw.
  void poll() noexcept {
    if (!trace_.trouble.empty()) return;
    try {
      recorder_.poll();
    } catch (const std::exception& error) {
      trace_.trouble = error.what();
    }
  }

  PowerTrace trace_;
  TraceRecorder recorder_;
  std::unique_ptr<Poller> own_;
  Poller* poller_;
};

// What the load had done by when.
class LoadLog {
 public:
  explicit LoadLog(double now_s) { points_.push_back({now_s, 0.0, 0.0}); }

  void add(double now_s, const LoadStep& step) {
    points_.push_back({now_s, points_.back().launches + static_cast<double>(step.launches),
                       points_.back().busy_s + step.busy_s});
  }

  double began_s() const { return points_.front().at_s; }
  double ended_s() const { return points_.back().at_s; }
  double launches() const { return points_.back().launches; }
  double launches_at(double at_s) const { return at(at_s).launches; }
  double busy_at(double at_s) const { return at(at_s).busy_s; }

 private:
  struct Point {
    double at_s, launches, busy_s;
  };

  // Launches of one slice finish evenly over it.
  Point at(double at_s) const {
    const auto after = std::lower_bound(points_.begin(), points_.end(), at_s,
                                        [](const Point& point, double value) { return point.at_s < value; });
    if (after == points_.begin()) return points_.front();
    if (after == points_.end()) return points_.back();
    const Point &a = after[-1], &b = *after;
    const double share = b.at_s > a.at_s ? (at_s - a.at_s) / (b.at_s - a.at_s) : 1.0;
    return {at_s, a.launches + share * (b.launches - a.launches), a.busy_s + share * (b.busy_s - a.busy_s)};
  }

  std::vector<Point> points_;
};

void keep_busy_until(PowerInstrument& instrument, double until_s, const KeepBusy& keep_busy, LoadLog& log) {
  while (instrument.now_s() < until_s) {
    const LoadStep step = keep_busy();
    log.add(instrument.now_s(), step);
  }
}

double power_between(const CounterTick& a, const CounterTick& b) {
  return (b.energy_j - a.energy_j) / (b.middle_s() - a.middle_s());
}

std::optional<double> median_of(std::vector<double> values) { return median(values); }

// --- facts about the instrument

std::vector<double> tick_lengths(const PowerTrace& trace) {
  std::vector<double> lengths;
  for (std::size_t i = 1; i < trace.ticks.size(); ++i)
    lengths.push_back(trace.ticks[i].middle_s() - trace.ticks[i - 1].middle_s());
  return lengths;
}

// Where the line of the loaded counter meets the line of the idle one, after the load began. A counter that tells at
// each tick what had been used `lag` ago shifts both lines by the lag.
std::optional<double> counter_lag(const std::vector<CounterTick>& ticks, double load_began_s) {
  const auto loaded = std::partition_point(ticks.begin(), ticks.end(),
                                           [&](const CounterTick& tick) { return tick.at_s <= load_began_s; });
  if (loaded - ticks.begin() < 3 || ticks.end() - loaded < 6) return std::nullopt;
  const CounterTick &a = ticks.front(), &b = loaded[-1], &c = loaded[(ticks.end() - loaded) / 2], &d = ticks.back();
  const double idle_w = power_between(a, b), load_w = power_between(c, d);
  if (load_w < 1.2 * idle_w) return std::nullopt;  // the lines are too alike to meet at a sharp point
  const double meet_s = (a.energy_j - idle_w * a.middle_s() - c.energy_j + load_w * c.middle_s()) / (load_w - idle_w);
  return std::max(0.0, meet_s - load_began_s);
}

// First reading more than half way from the idle to the loaded power.
std::optional<double> power_lag(const std::vector<PowerPoint>& points, double load_began_s) {
  std::vector<double> before, after;
  for (const PowerPoint& point : points) (point.at_s <= load_began_s ? before : after).push_back(point.w);
  const std::optional<double> idle_w = median(before), load_w = median(after);
  if (!idle_w || !load_w || *load_w < 1.2 * *idle_w) return std::nullopt;
  for (const PowerPoint& point : points)
    if (point.at_s > load_began_s && point.w > 0.5 * (*idle_w + *load_w)) return point.at_s - load_began_s;
  return std::nullopt;
}

// --- one trial

// The next tick from `from_s` on, at or after `first`; the one after it when that one's moment is known better and
// this one's worse than usual.
std::optional<std::size_t> edge_from(const std::vector<CounterTick>& ticks, std::size_t first, double from_s,
                                     double widest_s) {
  const auto width_s = [&](std::size_t i) { return ticks[i].at_s - ticks[i].after_s; };
  for (std::size_t i = first; i < ticks.size(); ++i) {
    if (ticks[i].middle_s() < from_s) continue;
    const bool is_next_better = i + 1 < ticks.size() && width_s(i) > widest_s && width_s(i + 1) < width_s(i);
    return is_next_better ? i + 1 : i;
  }
  return std::nullopt;
}

double usual_uncertainty_s(const std::vector<CounterTick>& ticks) {
  std::vector<double> widths;
  for (const CounterTick& tick : ticks) widths.push_back(tick.at_s - tick.after_s);
  return median_of(std::move(widths)).value_or(0.0);
}

// Energy of a window read `lag` late is off by lag * (power at its start - power at its end).
double lag_bound(const std::vector<CounterTick>& ticks, std::size_t a, std::size_t b, double lag_s) {
  const std::size_t stretch = std::max<std::size_t>(1, (b - a) / 10);
  const double drift_w = power_between(ticks[a], ticks[a + stretch]) - power_between(ticks[b - stretch], ticks[b]);
  return lag_s * std::abs(drift_w) / (ticks[b].energy_j - ticks[a].energy_j);
}

double widest_gap_s(double window_s) { return std::min(3.0, 0.1 * window_s); }

// What the load and the memory did in a window; whose power it is comes on top.
EnergyTrial trial_of_load(const PowerTrace& trace, double from_s, double to_s, const LoadLog& log) {
  EnergyTrial trial;
  trial.window_s = to_s - from_s;
  trial.launches = log.launches_at(to_s) - log.launches_at(from_s);
  trial.duty = (log.busy_at(to_s) - log.busy_at(from_s)) / trial.window_s;
  if (const auto joule = integrated_j(trace.memory_power, from_s, to_s, widest_gap_s(trial.window_s)))
    trial.memory_power_w = *joule / trial.window_s;
  return trial;
}

EnergyTrial trial_between(const PowerTrace& trace, std::size_t a, std::size_t b, const LoadLog& log, double lag_s) {
  const std::vector<CounterTick>& ticks = trace.ticks;
  const double from_s = ticks[a].middle_s(), to_s = ticks[b].middle_s();
  EnergyTrial trial = trial_of_load(trace, from_s, to_s, log);
  trial.power_w = power_between(ticks[a], ticks[b]);
  const double uncertain_s = 0.5 * (ticks[a].at_s - ticks[a].after_s + ticks[b].at_s - ticks[b].after_s);
  trial.alignment = uncertain_s / trial.window_s;
  trial.lag = lag_bound(ticks, a, b, lag_s);
  if (const auto joule = integrated_j(trace.power, from_s, to_s, widest_gap_s(trial.window_s)))
    trial.power_w_instant = *joule / trial.window_s;
  return trial;
}

void cut_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s, std::size_t count,
                double lag_s, std::vector<EnergyTrial>& trials) {
  const double widest_s = 2.0 * usual_uncertainty_s(trace.ticks);
  std::optional<std::size_t> a = edge_from(trace.ticks, 0, from_s, widest_s);
  for (std::size_t i = 0; a && i < count; ++i) {
    const auto b = edge_from(trace.ticks, *a + 1, trace.ticks[*a].middle_s() + window_s, widest_s);
    if (!b || trace.ticks[*b].at_s > log.ended_s()) return;
    trials.push_back(trial_between(trace, *a, *b, log, lag_s));
    a = b;
  }
}

// --- one trial without a counter

// How far instant power over the last second of the window is from the trailing average read at its end, relative.
std::optional<double> off_average(const PowerTrace& trace, double from_s, double to_s) {
  if (to_s - from_s < kAverageS) return std::nullopt;
  const auto after = std::partition_point(trace.average_power.begin(), trace.average_power.end(),
                                          [&](const PowerPoint& point) { return point.at_s <= to_s; });
  if (after == trace.average_power.begin() || after[-1].last_seen_s < to_s - 0.1 * kAverageS) return std::nullopt;
  const std::optional<double> joule = integrated_j(trace.power, to_s - kAverageS, to_s, kAverageS);
  if (!joule) return std::nullopt;
  return std::abs(*joule / kAverageS / after[-1].w - 1.0);
}

// Windows of integrated instant power, end to end. A window that holds too few readings ends it with a refusal.
void cut_power_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s, std::size_t count,
                      const InstrumentFacts& facts, EnergyMeasurement& result) {
  // A value is up to one refresh old when the next one comes, and was late when it came.
  const double late_s =
      facts.power_lag_s.value_or(kAssumedPowerLagS) + facts.power_refresh_s.value_or(kAssumedRefreshS);
  for (std::size_t i = 0; i < count && !trace.power.empty(); ++i, from_s += window_s) {
    const double to_s = from_s + window_s;
    if (to_s > log.ended_s()) return;
    const PowerWindow power = power_window(trace.power, from_s, to_s, 2.0 * widest_gap_s(window_s));
    if (power.points < kLeastPowerPoints) {
      result.refusal = fmt::format("the energy counter is missing or stands still, and instant power moved {} times in "
                                   "a window of {:.1f} s where {} is the least; use longer windows, and see `doctor` "
                                   "for the instrument",
                                   power.points, window_s, kLeastPowerPoints);
      return;
    }
    if (!power.w) return;
    EnergyTrial trial = trial_of_load(trace, from_s, to_s, log);
    trial.by_counter = false;
    trial.power_w = *power.w;
    trial.sampling = power.sampling;
    trial.lag = late_s * power.drift_w / (*power.w * window_s);
    trial.off_average = off_average(trace, from_s, to_s);
    result.trials.push_back(trial);
  }
}

// --- the whole

// Loads the device for `count` windows and appends them.
void load_and_cut(PowerInstrument& instrument, const InstrumentFacts& facts, const EnergySettings& settings,
                  const KeepBusy& keep_busy, std::size_t count, Poller* poller, EnergyMeasurement& result) {
  Recording recording(instrument, poller);
  LoadLog log(instrument.now_s());
  keep_busy_until(instrument, log.began_s() + settings.lead_in_s, keep_busy, log);
  const double led_in_s = instrument.now_s();
  if (log.launches() < 1.0)
    throw Error(Fault::device, fmt::format("no launch finished in the {:.1f} s before the energy window", settings.lead_in_s),
                "lengthen the lead-in or make the case smaller");
  const double window_s = window_length_s(settings, facts, (led_in_s - log.began_s()) / log.launches());
  // A probed instrument without ticks needs no time to wait for them.
  const double tick_s = facts.tick_s.value_or(facts.power_refresh_s ? 0.0 : kAssumedTickS);
  // An edge may lie up to two ticks after the moment that was asked for.
  const double whole_s = static_cast<double>(count) * (window_s + 2.0 * tick_s) + 2.0 * tick_s + settings.lead_out_s;
  keep_busy_until(instrument, led_in_s + whole_s, keep_busy, log);
  const PowerTrace& trace = recording.finish();
  if (trace.ticks.size() < 2)
    cut_power_trials(trace, log, led_in_s, window_s, count, facts, result);
  else
    cut_trials(trace, log, led_in_s, window_s, count, facts.counter_lag_s.value_or(kAssumedLagS), result.trials);
}

void add_idle(EnergyMeasurement& result) {
  if (result.idle_before_w && result.idle_after_w) {
    result.idle_w = 0.5 * (*result.idle_before_w + *result.idle_after_w);
    if (std::abs(*result.idle_before_w - *result.idle_after_w) > 0.1 * *result.idle_w)
      result.flags.push_back("idle_unsteady");
  } else if (result.idle_before_w) {
    result.idle_w = result.idle_before_w;
  } else {
    result.idle_w = result.idle_after_w;
  }
}

void add_random_error(const std::vector<double>& joule_per_launch, EnergyMeasurement& result) {
  const auto n = static_cast<double>(joule_per_launch.size());
  if (n < 2.0) return;
  const double half_width = student_t_quantile(0.975, n - 1.0) * *standard_deviation(joule_per_launch) / std::sqrt(n);
  result.random_error = half_width / *mean(joule_per_launch);
}

// Instant power against its own trailing average: one sensor twice, so it can raise doubt but not lift it.
bool is_off_average(const EnergySettings& settings, const EnergyMeasurement& result) {
  return std::any_of(result.trials.begin(), result.trials.end(), [&](const EnergyTrial& trial) {
    return trial.off_average.value_or(0.0) > settings.most_disagreement;
  });
}

void add_second_opinion(const EnergySettings& settings, EnergyMeasurement& result) {
  for (const EnergyTrial& trial : result.trials) {
    if (!trial.power_w_instant) {
      result.agreement.reset();
      break;
    }
    const double one = std::abs(trial.power_w - *trial.power_w_instant) / trial.power_w;
    result.agreement = std::max(result.agreement.value_or(0.0), one);
  }
  if (!result.agreement)
    result.flags.push_back("no_second_opinion");
  if (result.agreement.value_or(0.0) > settings.most_disagreement || is_off_average(settings, result))
    result.flags.push_back("suspect");
}

std::string refusal_of(const EnergySettings& settings, const EnergyMeasurement& result) {
  if (result.trials.size() < static_cast<std::size_t>(settings.trials))
    return fmt::format("the power readings gave {} of {} windows (energy counter missing, standing still, or ticking "
                       "too slowly; instant power missing or with gaps); see `doctor` for the instrument, or use "
                       "longer windows",
                       result.trials.size(), settings.trials);
  if (*result.duty < settings.least_duty)
    return fmt::format("the device was busy for {:.1f} % of an energy window and {:.0f} % is the least; enqueue the "
                       "next slice of load before waiting for this one",
                       100.0 * *result.duty, 100.0 * settings.least_duty);
  for (const EnergyTrial& trial : result.trials)
    if (trial.launches < 1.0) return "not one launch finished in an energy window; use longer windows";
  return "";
}

void summarise(const EnergySettings& settings, EnergyMeasurement& result) {
  if (settings.is_low_confidence) result.flags.push_back("low_confidence");
  for (const EnergyTrial& trial : result.trials) {
    result.duty = std::min(result.duty.value_or(trial.duty), trial.duty);
    result.window_s = result.window_s > 0.0 ? std::min(result.window_s, trial.window_s) : trial.window_s;
  }
  if (result.refusal.empty()) result.refusal = refusal_of(settings, result);
  if (!result.refusal.empty()) return;

  std::vector<double> joule_per_launch, power_w, seconds_per_launch, memory_w;
  Systematic systematic{.gain = settings.gain_error};
  for (const EnergyTrial& trial : result.trials) {
    joule_per_launch.push_back(trial.power_w * trial.window_s / trial.launches);
    seconds_per_launch.push_back(trial.window_s / trial.launches);
    power_w.push_back(trial.power_w);
    if (trial.memory_power_w) memory_w.push_back(*trial.memory_power_w);
    systematic.alignment = std::max(systematic.alignment, trial.alignment);
    systematic.lag = std::max(systematic.lag, trial.lag);
    systematic.sampling = std::max(systematic.sampling, trial.sampling);
  }
  result.gross_j_per_launch = mean(joule_per_launch);
  result.power_w = mean(power_w);
  result.systematic = systematic;
  if (memory_w.size() == result.trials.size()) result.memory_power_w = mean(memory_w);
  add_random_error(joule_per_launch, result);
  if (!std::all_of(result.trials.begin(), result.trials.end(), [](const EnergyTrial& trial) { return trial.by_counter; }))
    result.flags.push_back("no_counter");
  add_second_opinion(settings, result);
  if (result.idle_w) {
    result.net_j_per_launch = *result.gross_j_per_launch - *result.idle_w * *mean(seconds_per_launch);
    result.static_share = *result.idle_w / *result.power_w;
  }
}

Json maybe(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

}  // namespace

std::unique_ptr<Poller> polling_thread(double period_s) { return std::make_unique<PollingThread>(period_s); }

void TraceRecorder::poll() {
  poll_counter();
  poll_power();
  if (trace_.polls % kSlowReadEvery == 0) {
    add_reading(instrument_.memory_power_w(), trace_.memory_power);
    // Beside a counter it would only make the polls longer.
    if (!last_energy_j_) add_reading(instrument_.average_power_w(), trace_.average_power);
  }
  ++trace_.polls;
}

void TraceRecorder::add_reading(std::optional<double> w, std::vector<PowerPoint>& points) {
  if (!w) return;
  const double now_s = instrument_.now_s();
  if (!points.empty() && points.back().w == *w)
    points.back().last_seen_s = now_s;
  else
    points.push_back({now_s, now_s, *w});
}

// The counter changed after the unchanged reading before began and before this one ended.
void TraceRecorder::poll_counter() {
  const double begin_s = instrument_.now_s();
  const std::optional<double> energy_j = instrument_.energy_j();
  const double end_s = instrument_.now_s();
  if (!energy_j) return;
  trace_.counter_read_s.push_back(end_s - begin_s);
  if (last_energy_j_ && *energy_j < *last_energy_j_)
    throw Error(Fault::device, fmt::format("the energy counter went back from {:.3f} to {:.3f} J", *last_energy_j_, *energy_j),
                "the driver was reloaded during the run; run again");
  if (last_energy_j_ && *energy_j != *last_energy_j_)
    trace_.ticks.push_back({last_counter_poll_s_, end_s, *energy_j});
  last_energy_j_ = energy_j;
  last_counter_poll_s_ = begin_s;
}

// A reading repeats the one before when neither its value nor its stamp moved.
void TraceRecorder::poll_power() {
  const double begin_s = instrument_.now_s();
  const std::optional<InstantPower> power = instrument_.instant_power();
  const double end_s = instrument_.now_s();
  if (!power) return;
  trace_.power_read_s.push_back(end_s - begin_s);
  const double at_s = 0.5 * (begin_s + end_s);
  const bool is_same_value = !trace_.power.empty() && trace_.power.back().w == power->w;
  const bool is_same_stamp = power->stamp_s != 0.0 && last_stamp_s_ == power->stamp_s;
  last_stamp_s_ = power->stamp_s;
  if (!is_same_value)
    trace_.power.push_back({at_s, at_s, power->w});
  else if (!is_same_stamp)
    trace_.power.back().last_seen_s = at_s;
}

InstrumentFacts instrument_facts(const PowerTrace& trace, std::optional<double> load_began_s) {
  InstrumentFacts facts;
  facts.tick_s = median_of(tick_lengths(trace));
  for (std::size_t i = 1; i < trace.ticks.size(); ++i) {
    const double step_j = trace.ticks[i].energy_j - trace.ticks[i - 1].energy_j;
    facts.step_j = std::min(facts.step_j.value_or(step_j), step_j);
  }
  std::vector<double> refreshes;
  for (std::size_t i = 1; i < trace.power.size(); ++i)
    refreshes.push_back(trace.power[i].at_s - trace.power[i - 1].at_s);
  facts.power_refresh_s = median_of(std::move(refreshes));
  if (load_began_s) {
    facts.counter_lag_s = counter_lag(trace.ticks, *load_began_s);
    facts.power_lag_s = power_lag(trace.power, *load_began_s);
  }
  facts.counter_read_p50_s = quantile(trace.counter_read_s, 0.5);
  facts.counter_read_p99_s = quantile(trace.counter_read_s, 0.99);
  facts.power_read_p50_s = quantile(trace.power_read_s, 0.5);
  facts.power_read_p99_s = quantile(trace.power_read_s, 0.99);
  return facts;
}

Json to_json(const InstrumentFacts& facts) {
  return {{"tick_s", maybe(facts.tick_s)},
          {"step_j", maybe(facts.step_j)},
          {"counter_lag_s", maybe(facts.counter_lag_s)},
          {"power_lag_s", maybe(facts.power_lag_s)},
          {"power_refresh_s", maybe(facts.power_refresh_s)},
          {"counter_read_p50_s", maybe(facts.counter_read_p50_s)},
          {"counter_read_p99_s", maybe(facts.counter_read_p99_s)},
          {"power_read_p50_s", maybe(facts.power_read_p50_s)},
          {"power_read_p99_s", maybe(facts.power_read_p99_s)}};
}

InstrumentFacts probe_instrument(PowerInstrument& instrument, const KeepBusy& keep_busy,
                                 const ProbeSettings& settings, Poller* poller) {
  Recording recording(instrument, poller);
  instrument.sleep_s(settings.idle_s);
  LoadLog log(instrument.now_s());
  keep_busy_until(instrument, log.began_s() + settings.load_s, keep_busy, log);
  return instrument_facts(recording.finish(), log.began_s());
}

EnergySettings energy_settings(const std::string& name) {
  if (name == "quick")
    return {.name = name, .window_s = 2.0, .trials = 3, .idle_s = 1.0, .is_low_confidence = true};
  if (name == "standard") return {.name = name, .window_s = 5.0, .trials = 5};
  if (name == "publish") return {.name = name, .window_s = 10.0, .trials = 10, .rest_s = 5.0};
  throw Error(Fault::config, fmt::format("\"{}\" is no energy profile", name), "use quick, standard or publish");
}

double window_length_s(const EnergySettings& settings, const InstrumentFacts& facts, double launch_s) {
  if (settings.is_low_confidence) return settings.window_s;
  return std::max({settings.window_s, 50.0 * facts.tick_s.value_or(0.0), 32.0 * launch_s});
}

std::optional<double> measure_idle_w(PowerInstrument& instrument, double seconds, Poller* poller) {
  Recording recording(instrument, poller);
  instrument.sleep_s(seconds);
  const PowerTrace& trace = recording.finish();
  if (trace.ticks.size() >= 2) return power_between(trace.ticks.front(), trace.ticks.back());
  if (trace.power.size() < kLeastIdlePoints) return std::nullopt;
  const double from_s = trace.power.front().at_s, to_s = trace.power.back().last_seen_s;
  if (to_s - from_s < 0.5 * seconds) return std::nullopt;
  return power_window(trace.power, from_s, to_s, 0.5 * seconds).w;
}

EnergyMeasurement measure_energy(PowerInstrument& instrument, const InstrumentFacts& facts,
                                 const EnergySettings& settings, const KeepBusy& keep_busy, Poller* poller) {
  EnergyMeasurement result;
  result.instrument = facts;
  const bool measures_idle = settings.idle_s > 0.0;
  if (measures_idle) result.idle_before_w = measure_idle_w(instrument, settings.idle_s, poller);
  result.temperature_before_c = instrument.temperature_c();
  const int loads = settings.rest_s > 0.0 ? settings.trials : 1;
  const auto windows = static_cast<std::size_t>(settings.trials / loads);
  for (int load = 0; load < loads; ++load) {
    if (load > 0) instrument.sleep_s(settings.rest_s);
    load_and_cut(instrument, facts, settings, keep_busy, windows, poller, result);
  }
  result.temperature_after_c = instrument.temperature_c();
  if (measures_idle) {
    instrument.sleep_s(0.2 * settings.idle_s);  // clocks and the lagging reading come down first
    result.idle_after_w = measure_idle_w(instrument, settings.idle_s, poller);
    add_idle(result);
  } else {
    result.idle_w = settings.known_idle_w;
  }
  summarise(settings, result);
  return result;
}

}  // namespace chokepoint
