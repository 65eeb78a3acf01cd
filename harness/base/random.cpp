#include "harness/base/random.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

// Two normal numbers from one draw (Box and Muller 1958); the upper half is never 0, so the logarithm is finite.
void normal_pair(std::uint64_t bits, float& first, float& second) {
  const float u = (static_cast<float>(bits >> 40) + 0.5F) * 0x1p-24F;
  const float v = static_cast<float>(bits & 0xffffffU) * 0x1p-24F;
  const float radius = std::sqrt(-2.0F * std::log(u)), angle = 2.0F * std::numbers::pi_v<float> * v;
  first = radius * std::cos(angle);
  second = radius * std::sin(angle);
}

}  // namespace

std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  const std::uint64_t key = mix(seed * kGolden + mix(stream + kGolden));
  return mix(key + (index + 1) * kGolden);
}

double random_unit(std::uint64_t seed, std::uint64_t stream, std::uint64_t index) {
  return static_cast<double>(random_bits(seed, stream, index) >> 11) * 0x1p-53;
}

std::uint64_t random_below(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::uint64_t below) {
  __extension__ using Wide = unsigned __int128;  // multiply-high: bias below 2^-32 for the sizes used here
  return static_cast<std::uint64_t>(Wide{random_bits(seed, stream, index)} * below >> 64);
}

const std::vector<std::string>& input_distributions() {
  static const std::vector<std::string> names = {"normal", "uniform", "zeros"};
  return names;
}

void fill(Tensor& tensor, std::string_view distribution, std::uint64_t seed, double scale) {
  const std::uint64_t stream = fnv1a(tensor.role());
  const std::int64_t pairs = (tensor.count() + 1) / 2;
  const bool normal = distribution == "normal", uniform = distribution == "uniform";
  if (!normal && !uniform && distribution != "zeros")
    throw Error(Fault::config, fmt::format("input distribution \"{}\" is unknown", distribution),
                suggestion(distribution, input_distributions()));
  parallel_for(pairs, 1 << 14, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t pair = begin; pair < end; ++pair) {
      float values[2] = {0.0F, 0.0F};
      const std::uint64_t bits = random_bits(seed, stream, static_cast<std::uint64_t>(pair));
      if (normal) normal_pair(bits, values[0], values[1]);
      if (uniform) {
        values[0] = static_cast<float>(bits >> 40) * 0x1p-23F - 1.0F;
        values[1] = static_cast<float>(bits & 0xffffffU) * 0x1p-23F - 1.0F;
      }
      tensor.set(2 * pair, scale * values[0]);
      if (2 * pair + 1 < tensor.count()) tensor.set(2 * pair + 1, scale * values[1]);
    }
  });
}

}  // namespace chokepoint
