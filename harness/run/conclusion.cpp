#include "harness/run/conclusion.hpp"

#include <fmt/format.h>

#include "harness/base/units.hpp"
#include "harness/model/roofline.hpp"
#include "harness/run/gpu_energy.hpp"

namespace chokepoint {
namespace {

constexpr double kBurst_s = 1.0, kSustained_s = 10.0;  // design.md section 6

TimeSummary summary_of(const Arm& arm, const LoadSeen& seen) {
  const Outcome outcome = arm.rule->outcome();
  const std::vector<double>& samples = arm.rule->samples();
  const MeanEstimate mean = estimate_mean(samples, arm.rule->plan().confidence);
  TimeSummary time;
  time.median = outcome.estimate.median;
  if (outcome.estimate.interval) {
    time.ci_low = outcome.estimate.interval->low;
    time.ci_high = outcome.estimate.interval->high;
  }
  time.mean = mean.mean;
  if (mean.interval) {
    time.mean_ci_low = mean.interval->low;
    time.mean_ci_high = mean.interval->high;
  }
  time.n = static_cast<std::int64_t>(samples.size());
  time.ess = outcome.estimate.ess;
  time.cv = coefficient_of_variation(samples);
  time.stopped_by = outcome.stopped_by;
  time.window_s = seen.warmed_s + seen.window_s;
  const bool sustained = seen.warmed_s >= kSustained_s && seen.window_s >= kSustained_s;
  time.regime = time.window_s < kBurst_s ? "burst" : sustained ? "sustained" : "short";
  time.samples = samples;
  return time;
}

Energy energy_of(const Arm& arm, const LoadSeen& seen) {
  Energy energy;
  if (seen.joule_per_launch) energy.host_joule_per_launch = seen.joule_per_launch;
  if (arm.target.is_host()) {
    if (!seen.joule_per_launch) return energy;
    energy.basis = "measured";
    energy.power_w = *seen.joule_per_launch / mean(arm.rule->samples()).value();
    energy.scope = seen.meter->scope;
    energy.source = seen.meter->name;
    return energy;
  }
  if (const std::optional<Figure> figure = power(*arm.target.profile)) {
    energy.basis = "provisioned";
    energy.power_w = figure->value;
    energy.scope = "gpu_tdp";
    energy.source = figure->source;
    energy.verified = figure->verified;
  }
  return energy;
}

Basis basis_of(const Arm& arm, const DeviceFacts& facts) {
  if (arm.target.is_host()) return Basis::measured;
  const bool same = arm.target.profile->architecture == facts.architecture;
  return same && arm.record.dilation == 1.0 ? Basis::emulated : Basis::scaled;
}

std::string cap_complaint(const CapRecord& cap) {
  const std::string unit = fmt::format("{}/s", unit_of(cap.resource));
  const auto shown = [&](const std::optional<double>& rate) {
    return rate ? with_unit(*rate, unit, 4) : "nothing";
  };
  return fmt::format(
      "{} cap {}: requested {}, delivered {} before, {} during, {} after, linear within {:.1f} %",
      to_string(cap.resource), to_string(cap.status), with_unit(cap.requested, unit, 4),
      shown(cap.delivered_before), shown(cap.delivered_during), shown(cap.delivered_after),
      100.0 * cap.linearity_error.value_or(0.0));
}

void invalidate(Arm& arm, const std::string& reason) {
  arm.record.status = Status::invalid;
  arm.record.basis.reset();
  arm.record.reason += (arm.record.reason.empty() ? "" : "; ") + reason;
}

// Independent of every clock of ours: a run cannot be faster than its work at the capped rates.
void check_plausible(Arm& arm) {
  if (arm.plans.empty()) return;
  Roof roof;
  for (std::size_t i = 0; i < arm.plans.size(); ++i) {
    // Native silicon that plays itself may exceed its ceiling, which is one probe's best.
    const bool plays_itself = !arm.caps[i] && arm.plans[i].demand.rate_kind == "ratio";
    const double slack = arm.caps[i]    ? arm.caps[i]->tolerance()
                         : plays_itself ? kOwnSiliconTolerance
                                        : kCapTolerance;
    roof.rate[arm.plans[i].demand.resource] = arm.plans[i].requested / (1.0 - slack);
  }
  const double floor_s = roofline_time_s(arm.record.work, roof);
  if (*arm.record.time.median < floor_s)
    invalidate(arm, fmt::format("implausible: {} is faster than the roofline of its caps, {}",
                                duration_text(*arm.record.time.median, 4), duration_text(floor_s, 4)));
}

}  // namespace

void conclude_record(Arm& arm, const LoadSeen& seen, const DeviceFacts& facts) {
  Record& record = arm.record;
  record.time = summary_of(arm, seen);
  record.energy = energy_of(arm, seen);
  if (arm.energy) keep_energy(*arm.energy, !arm.target.is_host(), record.energy);
  record.basis = basis_of(arm, facts);
  record.status = Status::ok;
  arm.set->lanes.note(record);
  for (CapRecord& cap : arm.cap_records) {
    cap.status = judge(cap);
    if (cap.status != CapStatus::held) invalidate(arm, cap_complaint(cap));
  }
  record.caps = arm.cap_records;
  for (const std::string& complaint : arm.complaints) invalidate(arm, complaint);
  check_plausible(arm);
}

}  // namespace chokepoint
