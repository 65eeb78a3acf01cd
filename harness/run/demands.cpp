#include "harness/run/demands.hpp"

#include "harness/run/plan.hpp"

namespace chokepoint {
namespace {

// Empty where the profile's own figure has to do.
std::optional<double> rate_on_own_silicon(const Target& target, Resource resource, Dtype dtype, const Profile* host,
                                          const PerResource<std::optional<double>>& ceilings) {
  const bool of_the_chip = resource == Resource::compute || resource == Resource::memory;
  if (!of_the_chip || host == nullptr || host->architecture != target.profile->architecture ||
      target.overrides.contains(resource) || !ceilings[resource])
    return std::nullopt;
  const std::optional<double> ratio = rate_ratio(*target.profile, *host, resource, dtype);
  return ratio ? std::optional(*ratio * *ceilings[resource]) : std::nullopt;
}

}  // namespace

std::vector<Demand> demands_of(const Target& target, const Work& work, Dtype dtype, const Profile* host,
                               const PerResource<std::optional<double>>& ceilings) {
  std::vector<Demand> demands;
  if (target.is_host()) return demands;
  for (Resource resource : resources_of(work)) {
    const Figure rate = target_rate(target, resource, dtype);
    const std::optional<Figure> alpha = latency(*target.profile, resource);
    const std::optional<double> own = rate_on_own_silicon(target, resource, dtype, host, ceilings);
    demands.push_back({.resource = resource,
                       .target_rate = own.value_or(rate.value),
                       .latency_s = alpha ? alpha->value : 0.0,
                       .rate_kind = own ? "ratio" : rate.kind,
                       .verified = rate.verified && (!alpha || alpha->verified)});
  }
  return demands;
}

}  // namespace chokepoint
