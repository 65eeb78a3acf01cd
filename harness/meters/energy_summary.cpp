#include "harness/meters/energy_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/model/descriptive.hpp"
#include "harness/model/distributions.hpp"

namespace chokepoint {
namespace {

// What a full measurement has (Yang et al., SC'24; Zeus: at least 5 to 10 trials, each from a board that has cooled).
constexpr int kFullTrials = 5;
constexpr double kFullIdleS = 10.0, kFullRestS = 5.0;

void add_idle(const EnergySettings& settings, EnergyMeasurement& result) {
  if (result.idle_before_w && result.idle_after_w) {
    result.idle_w = 0.5 * (*result.idle_before_w + *result.idle_after_w);
    if (std::abs(*result.idle_before_w - *result.idle_after_w) > 0.1 * *result.idle_w)
      result.flags.push_back("idle_unsteady");
  } else if (result.idle_before_w) {
    result.idle_w = result.idle_before_w;
  } else {
    result.idle_w = result.idle_after_w ? result.idle_after_w : settings.known_idle_w;
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

// What of a full recipe this measurement does without.
void add_shortcuts(const EnergySettings& settings, EnergyMeasurement& result) {
  if (settings.is_low_confidence) result.flags.push_back("low_confidence");
  if (settings.trials < kFullTrials) result.flags.push_back("few_trials");
  if (settings.idle_s > 0.0 && settings.idle_s < kFullIdleS) result.flags.push_back("short_idle");
  if (settings.trials > 1 && settings.rest_s < kFullRestS) result.flags.push_back("no_rest");
}

void add_heat(EnergyMeasurement& result) {
  for (const char* reason : {"sw_thermal", "hw_thermal", "hw_power_brake"})
    if (const auto found = result.slowed_s.find(reason);
        found != result.slowed_s.end() && found->second.value_or(0.0) > 0.0)
      return result.flags.push_back("slowed_by_heat");
}

}  // namespace

void summarise(const EnergySettings& settings, EnergyMeasurement& result) {
  add_shortcuts(settings, result);
  add_heat(result);
  add_idle(settings, result);
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
  const auto any = [&](auto is) { return std::any_of(result.trials.begin(), result.trials.end(), is); };
  if (any([](const EnergyTrial& trial) { return !trial.by_counter; })) result.flags.push_back("no_counter");
  if (any([](const EnergyTrial& trial) { return trial.is_constant; })) result.flags.push_back("constant_power");
  add_second_opinion(settings, result);
  if (result.idle_w) {
    result.net_j_per_launch = *result.gross_j_per_launch - *result.idle_w * *mean(seconds_per_launch);
    result.static_share = *result.idle_w / *result.power_w;
  }
}

}  // namespace chokepoint
