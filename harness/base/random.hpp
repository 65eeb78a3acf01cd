// Where do random numbers come from? A counter, a seed and a stream: the same everywhere, in any order, on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/tensor.hpp"

namespace chokepoint {

// 64 random bits for (seed, stream, index). splitmix64 finaliser (Steele, Lea, Flood 2014) over a mixed key.
std::uint64_t random_bits(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);

// Uniform in [0, 1) and in [0, below).
double random_unit(std::uint64_t seed, std::uint64_t stream, std::uint64_t index);
std::uint64_t random_below(std::uint64_t seed, std::uint64_t stream, std::uint64_t index, std::uint64_t below);

// Names a suite may ask for. normal: mean 0, deviation 1. uniform: [-1, 1). zeros: all 0 (power differs: say so).
const std::vector<std::string>& input_distributions();

// Fills `tensor` with `scale` times the distribution, rounded to its dtype. The stream is derived from the tensor's
// role, so that two arrays of one problem differ. Throws Error{config} for an unknown distribution.
void fill(Tensor& tensor, std::string_view distribution, std::uint64_t seed, double scale = 1.0);

}  // namespace chokepoint
