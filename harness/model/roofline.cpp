#include "harness/model/roofline.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

// Seconds this resource alone needs; absent where it has no rate.
std::optional<double> seconds_of(Resource resource, const Work& work, const Roof& roof) {
  const double amount = work.of(resource);
  if (!(amount >= 0.0) || !std::isfinite(amount))
    throw Error(Fault::config,
                fmt::format("work on {} is {} {}", to_string(resource), amount, unit_of(resource)),
                "check the work counts of the operation");
  const std::optional<double>& rate = roof.rate[resource];
  if (!rate) return std::nullopt;
  if (!(*rate > 0.0) || !std::isfinite(*rate))
    throw Error(Fault::config,
                fmt::format("rate of {} is {} {}/s and has to be above 0", to_string(resource), *rate,
                            unit_of(resource)),
                "leave the rate out where the resource is no limit");
  return amount / *rate;
}

struct Bound {
  double seconds = 0.0;
  std::optional<Resource> resource;
};

Bound slowest(const Work& work, const Roof& roof) {
  Bound bound;
  for (Resource resource : kResources)
    if (const std::optional<double> seconds = seconds_of(resource, work, roof);
        seconds && *seconds > bound.seconds)
      bound = {*seconds, resource};
  return bound;
}

}  // namespace

double roofline_time_s(const Work& work, const Roof& roof) { return slowest(work, roof).seconds; }

std::optional<Resource> bound_by(const Work& work, const Roof& roof) { return slowest(work, roof).resource; }

}  // namespace chokepoint
