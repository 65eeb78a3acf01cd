#include "harness/device/graph_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace chokepoint {

int launches_per_sample(double launch_s) {
  if (launch_s >= kShortLaunch_s) return 1;
  return std::clamp(static_cast<int>(std::ceil(kShortLaunch_s / std::max(launch_s, 1e-7))), 1,
                    kMostLaunchesPerSample);
}

std::vector<std::vector<std::size_t>> rotation(std::size_t launches, int per_sample, std::size_t most) {
  const auto each = static_cast<std::size_t>(per_sample);
  const std::size_t graphs = std::min(most, launches / std::gcd(launches, each));
  std::vector<std::vector<std::size_t>> plan(graphs);
  for (std::size_t g = 0; g < graphs; ++g)
    for (std::size_t i = 0; i < each; ++i) plan[g].push_back((g * each + i) % launches);
  return plan;
}

}  // namespace chokepoint
