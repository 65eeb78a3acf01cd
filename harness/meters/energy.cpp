#include "harness/meters/energy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

// Slowest tick of a known driver (its default macro), for planning when the tick is not known.
constexpr double kAssumedTickS = 0.5;
constexpr std::size_t kLeastIdlePoints = 3;

void append(std::vector<EnergyTrial> more, std::vector<EnergyTrial>& trials) {
  trials.insert(trials.end(), more.begin(), more.end());
}

// Instant power from the beginning of the load on, with the windows that were cut from it. A reading that stays is
// shown where it began and where it was last seen.
std::optional<RecordedTrace> energy_trace_of(const PowerTrace& seen, const LoadLog& log,
                                             const std::vector<EnergyTrial>& trials) {
  RecordedTrace trace{.source = "nvml instant power", .load = "energy", .points = {}, .windows_s = {}};
  const double long_s = (log.ended_s() - log.began_s()) / static_cast<double>(kMostTracePoints);
  for (const PowerPoint& point : seen.power) {
    if (point.at_s < log.began_s()) continue;
    trace.points.push_back({point.at_s - log.began_s(), point.w, std::nullopt, std::nullopt});
    if (point.last_seen_s - point.at_s > long_s)
      trace.points.push_back({point.last_seen_s - log.began_s(), point.w, std::nullopt, std::nullopt});
  }
  if (trace.points.size() < 2) return std::nullopt;
  trace.points = thinned(trace.points);
  for (const EnergyTrial& trial : trials)
    trace.windows_s.push_back({trial.from_s - log.began_s(), trial.from_s + trial.window_s - log.began_s()});
  return trace;
}

// Loads the device for `count` windows and appends them.
void load_and_cut(PowerInstrument& instrument, const InstrumentFacts& facts, const EnergySettings& settings,
                  const KeepBusy& keep_busy, std::size_t count, Poller* poller, EnergyMeasurement& result) {
  PowerRecording recording(instrument, poller);
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
  PowerTrials cut;
  if (trace.ticks.size() >= 2)
    cut.trials = counter_trials(trace, log, led_in_s, window_s, count, facts);
  else
    cut = power_trials(trace, log, led_in_s, window_s, count, facts);
  if (!result.trace) result.trace = energy_trace_of(trace, log, cut.trials);
  append(std::move(cut.trials), result.trials);
  if (!cut.refusal.empty()) result.refusal = std::move(cut.refusal);
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

}  // namespace

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
  PowerRecording recording(instrument, poller);
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
