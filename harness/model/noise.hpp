// What do timings look like whose true median is known? Synthetic noise for tests and `selftest`.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace chokepoint {

// A stationary process of positive samples around 1 (scale as needed). `stream(seed)` yields its samples one
// by one; the same seed gives the same samples everywhere.
struct NoiseModel {
  std::string name;
  std::string summary;
  double true_median;
  std::string truth;  // how the median is known: by symmetry, or from the closed form of the distribution
  std::function<std::function<double()>(std::uint64_t seed)> stream;
};

// white, bimodal, heavy_tailed, autoregressive, throttle, bursts, sawtooth, quantised, warmed_up.
const std::vector<NoiseModel>& noise_models();

const NoiseModel& find_noise_model(const std::string& name);  // Error{config} naming the known ones

}  // namespace chokepoint
