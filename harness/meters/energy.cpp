#include "harness/meters/energy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/meters/energy_summary.hpp"

namespace chokepoint {
namespace {

// Slowest tick of a known driver (its default macro), for planning when the tick is not known.
constexpr double kAssumedTickS = 0.5;
constexpr double kAssumedPeriodS = 0.1;  // usual of boards of the H100 class
constexpr std::size_t kLeastIdlePoints = 3;

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

// One load to be measured, between its trials.
struct Subject {
  const KeepBusy& keep_busy;
  EnergyMeasurement result;
  Readings slowed_s;      // before the load that runs
  double launch_s = 0.0;  // seen in the latest lead-in
  bool is_stuck = false;  // a load gave fewer windows than were asked of it

  bool wants_more(const EnergySettings& settings) const {
    return !is_stuck && result.trials.size() < static_cast<std::size_t>(settings.trials);
  }
};

// Until clocks and the lagging reading have come down from a load: idle power is looked at after one, before too.
double settle_s(const EnergySettings& settings) { return std::max(0.5, 0.2 * settings.idle_s); }

// How long the counter, or instant power where none ticks, stays as it is.
double period_s(const InstrumentFacts& facts) {
  return facts.tick_s.value_or(facts.power_refresh_s.value_or(kAssumedPeriodS));
}

// A launch this long can beat with the readings: its loads then begin at other phases of them.
bool is_long(double launch_s, const InstrumentFacts& facts) { return launch_s > 0.25 * period_s(facts); }

void board_before(PowerInstrument& instrument, Subject& subject) {
  if (subject.result.before.empty()) subject.result.before = instrument.state();
  subject.slowed_s = instrument.slowed_s();
}

void board_after(PowerInstrument& instrument, Subject& subject) {
  subject.result.after = instrument.state();
  for (const auto& [reason, now_s] : instrument.slowed_s()) {
    const std::optional<double>& then_s = subject.slowed_s[reason];
    std::optional<double>& sum_s = subject.result.slowed_s[reason];
    if (now_s && then_s) sum_s = sum_s.value_or(0.0) + *now_s - *then_s;
  }
}

double lead_in(PowerInstrument& instrument, const EnergySettings& settings, const KeepBusy& keep_busy, LoadLog& log) {
  keep_busy_until(instrument, log.began_s() + settings.lead_in_s, keep_busy, log);
  if (log.launches() < 1.0)
    throw Error(Fault::device, fmt::format("no launch finished in the {:.1f} s before the energy window", settings.lead_in_s),
                "lengthen the lead-in or make the case smaller");
  return instrument.now_s();
}

// Loads the device for `count` windows, or one where launches are long, and keeps them.
void load_and_cut(PowerInstrument& instrument, const InstrumentFacts& facts, const EnergySettings& settings,
                  std::size_t count, Poller* poller, Subject& subject) {
  PowerRecording recording(instrument, poller);
  LoadLog log(instrument.now_s());
  const double led_in_s = lead_in(instrument, settings, subject.keep_busy, log);
  subject.launch_s = (led_in_s - log.began_s()) / log.launches();
  if (is_long(subject.launch_s, facts)) count = 1;
  const double window_s = window_length_s(settings, facts, subject.launch_s);
  // A probed instrument without ticks needs no time to wait for them.
  const double tick_s = facts.tick_s.value_or(facts.power_refresh_s ? 0.0 : kAssumedTickS);
  // An edge may lie up to two ticks after the moment that was asked for.
  const double whole_s = static_cast<double>(count) * (window_s + 2.0 * tick_s) + 2.0 * tick_s + settings.lead_out_s;
  keep_busy_until(instrument, led_in_s + whole_s, subject.keep_busy, log);
  const PowerTrace& trace = recording.finish();
  PowerTrials cut;
  if (trace.ticks.size() >= 2)
    cut.trials = counter_trials(trace, log, led_in_s, window_s, count, facts);
  else
    cut = power_trials(trace, log, led_in_s, window_s, count, facts);
  EnergyMeasurement& result = subject.result;
  if (!result.trace) result.trace = energy_trace_of(trace, log, cut.trials);
  subject.is_stuck = cut.trials.size() < count;
  result.trials.insert(result.trials.end(), cut.trials.begin(), cut.trials.end());
  if (!cut.refusal.empty()) result.refusal = std::move(cut.refusal);
}

// One trial, or all of them in one load where nothing comes between.
void take_turn(PowerInstrument& instrument, const InstrumentFacts& facts, const EnergySettings& settings, int round,
               bool is_alone, Poller* poller, Subject& subject) {
  if (is_long(subject.launch_s, facts)) instrument.sleep_s(launch_phase_s(round, period_s(facts)));
  board_before(instrument, subject);
  const bool at_once = is_alone && settings.rest_s == 0.0 && round == 0;
  load_and_cut(instrument, facts, settings, at_once ? static_cast<std::size_t>(settings.trials) : 1, poller, subject);
  board_after(instrument, subject);
}

}  // namespace

EnergySettings energy_settings(const std::string& name) {
  if (name == "quick")
    return {.name = name, .window_s = 2.0, .rest_s = 0.0, .idle_s = 1.0, .is_low_confidence = true};
  if (name == "standard") return {.name = name};
  if (name == "publish") return {.name = name, .window_s = 10.0, .trials = 10};
  throw Error(Fault::config, fmt::format("\"{}\" is no energy profile", name), "use quick, standard or publish");
}

double expected_energy_s(const EnergySettings& settings, std::size_t loads) {
  const auto all = static_cast<double>(loads) * settings.trials;
  const double leads = loads == 1 && settings.rest_s == 0.0 ? 1.0 : all;
  return (settings.idle_s > 0.0 ? 2.0 * (settings.idle_s + settle_s(settings)) : 0.0) + all * settings.window_s +
         leads * (settings.lead_in_s + settings.lead_out_s + settings.rest_s);
}

double launch_phase_s(int trial, double period_s) {
  constexpr double kGoldenRatio = 0.6180339887498949;
  return period_s * (trial * kGoldenRatio - std::floor(trial * kGoldenRatio));
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
  if (trace.power.empty()) return std::nullopt;
  const double from_s = trace.power.front().at_s, to_s = trace.power.back().last_seen_s;
  if (to_s - from_s < 0.5 * seconds) return std::nullopt;
  const PowerWindow window = power_window(trace.power, from_s, to_s, 0.5 * seconds);
  return window.points >= kLeastIdlePoints || window.is_flat ? window.w : std::nullopt;
}

std::vector<EnergyMeasurement> measure_energies(PowerInstrument& instrument, const InstrumentFacts& facts,
                                                const EnergySettings& settings, std::span<const KeepBusy> loads,
                                                Poller* poller) {
  std::vector<Subject> subjects;
  for (const KeepBusy& keep_busy : loads) subjects.push_back({keep_busy, {.instrument = facts}, {}});
  std::vector<Subject*> order;
  for (Subject& subject : subjects) order.push_back(&subject);
  std::optional<double> idle_before_w, idle_after_w;
  const auto idle_w = [&] {
    instrument.sleep_s(settle_s(settings));
    return measure_idle_w(instrument, settings.idle_s, poller);
  };
  if (settings.idle_s > 0.0) idle_before_w = idle_w();
  bool has_loaded = false;
  for (int round = 0; round < settings.trials; ++round, std::reverse(order.begin(), order.end()))
    for (Subject* subject : order) {
      if (!subject->wants_more(settings)) continue;
      if (has_loaded) instrument.sleep_s(settings.rest_s);
      take_turn(instrument, facts, settings, round, loads.size() == 1, poller, *subject);
      has_loaded = true;
    }
  if (settings.idle_s > 0.0) idle_after_w = idle_w();
  std::vector<EnergyMeasurement> results;
  for (Subject& subject : subjects) {
    subject.result.idle_before_w = idle_before_w;
    subject.result.idle_after_w = idle_after_w;
    summarise(settings, subject.result);
    results.push_back(std::move(subject.result));
  }
  return results;
}

EnergyMeasurement measure_energy(PowerInstrument& instrument, const InstrumentFacts& facts,
                                 const EnergySettings& settings, const KeepBusy& keep_busy, Poller* poller) {
  return std::move(measure_energies(instrument, facts, settings, {&keep_busy, 1}, poller).front());
}

}  // namespace chokepoint
