#include "harness/meters/energy_trials.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

// Lag of the counter when nothing better is known: a published check of windows of 0.5 to 5 s fits 75 to 130 ms.
constexpr double kAssumedLagS = 0.13;
// Lag and refresh of instant power when nothing better is known: sensors of the H100 class refresh every 100 ms.
constexpr double kAssumedPowerLagS = 0.13, kAssumedRefreshS = 0.1;
constexpr std::size_t kLeastPowerPoints = 10;  // in a window whose joules come from instant power
constexpr double kAverageS = 1.0;   // what the trailing average of power spans

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
  return median(std::move(widths)).value_or(0.0);
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
  trial.from_s = from_s;
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

}  // namespace

std::vector<EnergyTrial> counter_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s,
                                        std::size_t count, const InstrumentFacts& facts) {
  std::vector<EnergyTrial> trials;
  const double lag_s = facts.counter_lag_s.value_or(kAssumedLagS), widest_s = 2.0 * usual_uncertainty_s(trace.ticks);
  std::optional<std::size_t> a = edge_from(trace.ticks, 0, from_s, widest_s);
  for (std::size_t i = 0; a && i < count; ++i) {
    const auto b = edge_from(trace.ticks, *a + 1, trace.ticks[*a].middle_s() + window_s, widest_s);
    if (!b || trace.ticks[*b].at_s > log.ended_s()) break;
    trials.push_back(trial_between(trace, *a, *b, log, lag_s));
    a = b;
  }
  return trials;
}

PowerTrials power_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s, std::size_t count,
                         const InstrumentFacts& facts) {
  PowerTrials result;
  // A value is up to one refresh old when the next one comes, and was late when it came.
  const double late_s =
      facts.power_lag_s.value_or(kAssumedPowerLagS) + facts.power_refresh_s.value_or(kAssumedRefreshS);
  for (std::size_t i = 0; i < count && !trace.power.empty(); ++i, from_s += window_s) {
    const double to_s = from_s + window_s;
    if (to_s > log.ended_s()) break;
    const PowerWindow power = power_window(trace.power, from_s, to_s, 2.0 * widest_gap_s(window_s));
    const bool is_lively = power.points >= kLeastPowerPoints;
    if (!is_lively && !power.is_flat) {
      result.refusal = fmt::format("the energy counter is missing or stands still, and instant power moved {} times in "
                                   "a window of {:.1f} s where {} is the least of a reading that is not constant and "
                                   "refreshed; use longer windows, and see `doctor` for the instrument",
                                   power.points, window_s, kLeastPowerPoints);
      break;
    }
    if (!power.w) break;
    EnergyTrial trial = trial_of_load(trace, from_s, to_s, log);
    trial.by_counter = false;
    trial.is_constant = !is_lively;
    trial.power_w = *power.w;
    trial.sampling = power.sampling;
    trial.lag = late_s * power.drift_w / (*power.w * window_s);
    trial.off_average = off_average(trace, from_s, to_s);
    result.trials.push_back(trial);
  }
  return result;
}

}  // namespace chokepoint
