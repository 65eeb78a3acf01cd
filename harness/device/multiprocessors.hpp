// How many multiprocessors of a GPU, and which? Arithmetic over counts and over the set that a kernel was seen on.
#pragma once

#include <cstdint>
#include <optional>
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

// How many a wire and the products beside it get.
struct LaneShares {
  int compute = 0, wire = 0;
  bool operator==(const LaneShares&) const = default;
};

// Of `total`, which are a device's or a cap's part of it: a multiple of `step` for the products, since only such
// partitions are sure to hold clusters of blocks, and the rest, as close to `wire_wanted` as that allows and to half of
// them at most, for the wire. Of two that are as close the products get more: 132 and 24 make 112 and 20. Empty where
// there are no two parts of a step each.
std::optional<LaneShares> lane_shares(int total, int wire_wanted, int step = kMultiprocessorStep);

// Whether sets of ids, both ascending, have no more in common than any two partitions may.
bool are_apart(std::span<const int> a, std::span<const int> b);

}  // namespace chokepoint
