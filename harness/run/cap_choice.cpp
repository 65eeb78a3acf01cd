#include "harness/run/cap_choice.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

void choose_cap(const Kernel& kernel, Dtype dtype, const DeviceFacts& facts, Prober& prober, Arm& arm, CapPlan& plan) {
  arm.mechanisms.push_back(nullptr);
  if (plan.native) return;
  const auto mechanisms = mechanisms_for(kernel, plan.demand.resource, facts);
  const auto [mechanism, tuned] = prober.first_that_holds(plan, dtype, mechanisms);
  plan = tuned;
  arm.mechanisms.back() = mechanism;
}

}  // namespace

std::vector<const Cap*> mechanisms_for(const Kernel& kernel, Resource resource, const DeviceFacts& facts) {
  return find_caps(resource, facts.kind, kernel.charges(resource));
}

// Why this kernel cannot play this target here; empty when it can.
std::optional<std::string> cap_obstacle(const Kernel& kernel, const Target& target,
                                        const std::vector<CapPlan>& plans, const DeviceFacts& facts) {
  for (const CapPlan& plan : plans) {
    if (plan.native) continue;
    const Resource resource = plan.demand.resource;
    if (!mechanisms_for(kernel, resource, facts).empty()) continue;
    if (find_cap(resource, facts.kind) == nullptr)
      return fmt::format("there is no cap for {} on {}", to_string(resource), facts.kind);
    if (!kernel.charges(resource))
      return fmt::format("kernel {} does not pace {}, which {} caps at {} here", kernel.name,
                         to_string(resource), target.id,
                         rate_text(plan.requested, resource));
  }
  return std::nullopt;
}

void choose_caps(const Kernel& kernel, Dtype dtype, const DeviceFacts& facts, Prober& prober, std::vector<Arm>& arms,
                 std::vector<Record>& left_out) {
  std::optional<Error> last;
  std::erase_if(arms, [&](Arm& arm) {
    try {
      for (CapPlan& plan : arm.plans) choose_cap(kernel, dtype, facts, prober, arm, plan);
      return false;
    } catch (const Error& error) {
      if (!is_out_of_reach(error)) throw;
      last = error;
    }
    arm.record.status = Status::unsupported;
    arm.record.reason = last->what();
    left_out.push_back(std::move(arm.record));
    return true;
  });
  if (arms.empty()) throw *last;
}

void install_caps(Arm& arm, Device& device) {
  for (std::size_t i = 0; i < arm.plans.size(); ++i) {
    const CapPlan& plan = arm.plans[i];
    CapRecord& cap = arm.cap_records.emplace_back();
    cap.resource = plan.demand.resource;
    cap.target_rate = plan.demand.target_rate;
    cap.target_rate_kind = plan.demand.rate_kind;
    cap.target_rate_verified = plan.demand.verified;
    cap.requested = plan.requested;
    cap.latency_s = plan.latency_s;
    cap.ceiling = plan.ceiling;
    cap.headroom = plan.headroom();
    auto& installed = arm.caps.emplace_back();
    if (const Cap* mechanism = arm.mechanisms[i]) {
      installed = mechanism->install(plan, device, arm.pace);
      cap.mechanism = installed->mechanism().value_or(mechanism->mechanism);
      cap.tolerance = installed->tolerance();
    } else {
      cap.mechanism = "native";
      cap.tolerance = kNativeTolerance;
    }
  }
}

bool acts_on_the_device(const Arm& arm) {
  return std::any_of(arm.caps.begin(), arm.caps.end(), [](const auto& cap) { return cap && cap->device_wide(); });
}

}  // namespace chokepoint
