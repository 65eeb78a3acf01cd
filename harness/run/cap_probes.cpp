#include "harness/run/cap_probes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/caps/timer_tick.hpp"
#include "harness/run/cap_choice.hpp"

namespace chokepoint {
namespace {

// Of one transfer of a probe. A GPU keeps a clock to a microsecond or two, and has many probes to make.
constexpr double kProbe_s = 0.02, kGpuProbe_s = 0.005;
constexpr int kProbes = 5;
constexpr double kUnderchargeTolerance = 0.02;

void note_delivered_by(Arm& arm, std::size_t i) {
  const Delivered delivered = arm.caps[i]->delivered(arm.sampled_s);
  arm.cap_records[i].delivered_during = delivered.rate;
  arm.cap_records[i].busy_share = delivered.busy_share;
  const Resource resource = arm.plans[i].demand.resource;
  const double owed = arm.record.work.of(resource) * arm.launches_timed();
  if (delivered.charged && std::abs(*delivered.charged / owed - 1.0) > kUnderchargeTolerance)
    arm.complaints.push_back(
        fmt::format("the kernel charged {:.4g} {} of {} where the work is {:.4g}", *delivered.charged,
                    unit_of(resource), to_string(resource), owed));
  const double launch_s = arm.sampled_s / arm.launches_timed();
  if (const auto complaint = too_short_for_timer(delivered, launch_s, arm.caps[i]->tolerance()))
    arm.complaints.push_back(fmt::format("{} cap: {}", to_string(resource), *complaint));
}

}  // namespace

void CapProbes::before(Arm& arm) {
  for (std::size_t i = 0; i < arm.plans.size(); ++i) {
    arm.cap_records[i].delivered_before = delivered(arm, i, arm.plans[i]);
    if (!arm.is_clock(i)) continue;
    double worst = 0.0;
    for (double share : {0.5, 0.75}) {
      CapPlan other = arm.plans[i];
      other.requested *= share;
      worst = std::max(worst, std::abs(delivered(arm, i, other) / other.requested - 1.0));
    }
    arm.cap_records[i].linearity_error = worst;
  }
}

void CapProbes::after(Arm& arm) {
  for (std::size_t i = 0; i < arm.plans.size(); ++i)
    arm.cap_records[i].delivered_after = delivered(arm, i, arm.plans[i]);
}

double CapProbes::delivered(const Arm& arm, std::size_t i, const CapPlan& plan) {
  const bool beside_others = plan.native && acts_on_the_device(arm);
  const auto key = std::tuple(plan.demand.resource, plan.requested, plan.latency_s, beside_others ? &arm : nullptr);
  if (const auto found = probes_.find(key); found != probes_.end()) return found->second;
  const double seconds = device_.facts().own_memory ? kGpuProbe_s : kProbe_s;
  const auto probe = [&] { return prober_.delivered(plan, dtype_, seconds, kProbes, arm.mechanisms[i]); };
  if (!beside_others) return probes_[key] = probe();
  struct Release {
    const Contender& contender;
    ~Release() { release_caps(contender, true); }
  };
  const Contender contender = arm.contender();
  // Once without: it allocates what it needs, which nothing may while traffic flows.
  if (ready_.insert(plan.demand.resource).second) probe();
  const Release release{contender};
  engage_caps(contender, true);
  return probes_[key] = probe();
}

void note_delivered(Arm& arm) {
  for (std::size_t i = 0; i < arm.caps.size(); ++i)
    if (arm.caps[i]) note_delivered_by(arm, i);
}

}  // namespace chokepoint
