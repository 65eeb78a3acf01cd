// Samples whose dependence is known, for the tests of estimates.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "harness/base/random.hpp"

namespace chokepoint {

using Samples = std::vector<double>;

// 1..n in an order whose neighbours are far apart on every level: worth n independent samples.
inline Samples scattered(std::size_t n) {
  Samples order(n), samples(n);
  std::iota(order.begin(), order.end(), 0.0);
  const auto place = [](double i) { return std::fmod(i * 0.6180339887498949, 1.0); };
  std::sort(order.begin(), order.end(), [&](double a, double b) { return place(a) < place(b); });
  for (std::size_t rank = 0; rank < n; ++rank)
    samples[static_cast<std::size_t>(order[rank])] = 1.0 + static_cast<double>(rank);
  return samples;
}

inline Samples independent(std::size_t n, std::uint64_t seed = 1) {
  Samples samples(n);
  for (std::size_t i = 0; i < n; ++i) samples[i] = random_unit(seed, 0, i);
  return samples;
}

// x' = phi x + sqrt(1 - phi^2) e, whose time is (1 + phi)/(1 - phi). e is uniform with deviation 1.
inline Samples autoregressive(std::size_t n, double phi, std::uint64_t seed = 1) {
  Samples samples(n);
  double x = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    x = phi * x + std::sqrt(1 - phi * phi) * std::sqrt(12.0) * (random_unit(seed, 0, i) - 0.5);
    samples[i] = x;
  }
  return samples;
}

}  // namespace chokepoint
