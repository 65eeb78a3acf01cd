#include "harness/model/emulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

// Rounding slack, so that a dilation computed as a boundary counts as inside it.
constexpr double kSlack = 1e-9;

bool is_native(const TargetDemands& target, double requested, double ceiling) {
  return target.same_silicon &&
         std::abs(requested / ceiling - 1.0) <= kNativeTolerance * (1.0 + kSlack) + kSlack;
}

double least_headroom(const TargetDemands& target, const Demand& demand) {
  return target.same_silicon ? demand.least_headroom : std::max(demand.least_headroom, kPacingHeadroom);
}

bool is_held(double requested, double ceiling, double headroom) {
  return requested * headroom <= ceiling * (1.0 + kSlack);
}

double ceiling_of(const TargetDemands& target, const Demand& demand,
                  const PerResource<std::optional<double>>& ceilings) {
  if (const std::optional<double>& ceiling = ceilings[demand.resource]) return *ceiling;
  throw Error(
      Fault::unsupported,
      fmt::format("{} needs {}, whose ceiling is not known here", target.target, to_string(demand.resource)),
      "run `chokepoint calibrate` to see which resources this device offers");
}

// Empty when `dilation` works for all demands, else why it does not.
std::string obstacle(std::span<const TargetDemands> targets,
                     const PerResource<std::optional<double>>& ceilings, double dilation) {
  for (const TargetDemands& target : targets)
    for (const Demand& demand : target.demands) {
      const double ceiling = ceiling_of(target, demand, ceilings), requested = demand.target_rate / dilation;
      const double headroom = least_headroom(target, demand);
      if (!is_native(target, requested, ceiling) && !is_held(requested, ceiling, headroom)) {
        const std::string unit = fmt::format("{}/s", unit_of(demand.resource));
        return fmt::format(
            "{} of {} would need {} at dilation {:.4g}, but this device delivers {} ({:.2f}x, {}x needed)",
            to_string(demand.resource), target.target, with_unit(requested, unit), dilation,
            with_unit(ceiling, unit), ceiling / requested, headroom);
      }
    }
  return {};
}

}  // namespace

EmulationPlan plan_emulation(std::span<const TargetDemands> targets,
                             const PerResource<std::optional<double>>& ceilings,
                             std::optional<double> pinned_dilation) {
  EmulationPlan plan;
  if (pinned_dilation) {
    if (!(*pinned_dilation >= 1.0))
      throw Error(Fault::config, fmt::format("a dilation of {} is below 1", *pinned_dilation),
                  "a machine cannot play a target faster than itself; use 1 or more");
    plan.dilation = *pinned_dilation;
    if (const std::string why = obstacle(targets, ceilings, plan.dilation); !why.empty())
      throw Error(Fault::unsupported, why, "raise --dilation, or leave it out");
  } else {
    // The smallest d lies at 1 or where some resource becomes native or held.
    std::vector<double> candidates = {1.0};
    for (const TargetDemands& target : targets)
      for (const Demand& demand : target.demands) {
        const double ratio = demand.target_rate / ceiling_of(target, demand, ceilings);
        for (double candidate : {ratio / (1.0 + kNativeTolerance), ratio * least_headroom(target, demand)})
          if (candidate > 1.0) candidates.push_back(candidate);
      }
    std::sort(candidates.begin(), candidates.end());
    const auto found = std::find_if(candidates.begin(), candidates.end(), [&](double candidate) {
      return obstacle(targets, ceilings, candidate).empty();
    });
    if (found ==
        candidates.end())  // the largest candidate holds everything, so this is about an empty ceiling
      throw Error(Fault::unsupported, obstacle(targets, ceilings, candidates.back()), "choose other targets");
    plan.dilation = *found;
  }
  for (const TargetDemands& target : targets) {
    std::vector<CapPlan>& caps = plan.caps.emplace_back();
    for (const Demand& demand : target.demands) {
      CapPlan cap{demand, demand.target_rate / plan.dilation, demand.latency_s * plan.dilation,
                  ceiling_of(target, demand, ceilings), false};
      cap.native = is_native(target, cap.requested, cap.ceiling);
      caps.push_back(cap);
    }
  }
  return plan;
}

}  // namespace chokepoint
