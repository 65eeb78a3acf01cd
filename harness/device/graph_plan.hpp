// How are launches spread over captured graphs, so that each sample is long enough to be timed and all launches have their
// turn?
#pragma once

#include <cstddef>
#include <vector>

namespace chokepoint {

// Below this a launch is timed in batches: event readings are good to about 0.5 us (CUDA Runtime API, event
// management), 2 % of it.
inline constexpr double kShortLaunch_s = 25e-6;
inline constexpr int kMostLaunchesPerSample = 64;
inline constexpr std::size_t kMostGraphs = 256;

// Launches per sample for launches that take about `launch_s`.
int launches_per_sample(double launch_s);

// Which launches each of the graphs holds, so that replaying them in turn goes through `launches` evenly:
// graph g holds launches (g * per_sample + i) mod `launches`. As few graphs as that takes, `most` at most.
std::vector<std::vector<std::size_t>> rotation(std::size_t launches, int per_sample, std::size_t most = kMostGraphs);

}  // namespace chokepoint
