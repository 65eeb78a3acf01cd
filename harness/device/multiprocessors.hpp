// How many multiprocessors of a GPU, and which? Arithmetic over counts and over the set that a kernel was seen on.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace chokepoint {

// Partitions come in multiples of this on compute capability 9.0; earlier ones split finer (CUDA driver API 13.0,
// green contexts).
inline constexpr int kMultiprocessorStep = 8;

// A partition of a device with `total` multiprocessors that comes closest to `wanted` of them: a multiple of the
// step, at least one step, or all.
int nearest_partition(double wanted, int total);

// Half the way to the next partition, relative to one of `granted` multiprocessors.
double half_step(int granted);

// Positions of the bits that are set, ascending: bit i of word w is 32 w + i.
std::vector<int> ids_in(std::span<const std::uint32_t> mask);

// A partition may share two multiprocessors with others once code with dynamic parallelism is loaded (CUDA driver
// API 13.0, green contexts); more than that is no partition.
bool within_partition(std::span<const int> ran_on, int granted);

}  // namespace chokepoint
