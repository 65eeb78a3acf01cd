#include "harness/device/multiprocessors.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace chokepoint {
namespace {

constexpr std::size_t kSharedWithOthers = 2;

}  // namespace

int nearest_partition(double wanted, int total) {
  const int steps = std::max(1, static_cast<int>(std::lround(wanted / kMultiprocessorStep)));
  const int even = std::min(steps * kMultiprocessorStep, total / kMultiprocessorStep * kMultiprocessorStep);
  return even == 0 || std::abs(total - wanted) < std::abs(even - wanted) ? total : even;
}

double half_step(int granted) { return 0.5 * kMultiprocessorStep / granted; }

std::vector<int> ids_in(std::span<const std::uint32_t> mask) {
  std::vector<int> ids;
  for (std::size_t word = 0; word < mask.size(); ++word)
    for (int bit = 0; bit < 32; ++bit)
      if ((mask[word] >> bit & 1U) != 0) ids.push_back(static_cast<int>(word) * 32 + bit);
  return ids;
}

bool within_partition(std::span<const int> ran_on, int granted) {
  return !ran_on.empty() && ran_on.size() <= static_cast<std::size_t>(granted) + kSharedWithOthers;
}

std::optional<LaneShares> lane_shares(int total, int wire_wanted, int step) {
  if (total < 2 * step) return std::nullopt;
  const int wanted = std::min(wire_wanted, total / 2);
  const int nearest = (total - wanted + step / 2) / step * step;
  const int compute = std::clamp(nearest, step, (total - step) / step * step);
  return LaneShares{.compute = compute, .wire = total - compute};
}

bool are_apart(std::span<const int> a, std::span<const int> b) {
  std::vector<int> common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common.size() <= kSharedWithOthers;
}

}  // namespace chokepoint
