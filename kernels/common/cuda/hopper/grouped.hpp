// How do kernels for Hopper multiply the rows of each group with that group's matrix? Experts of a mixture, in bf16 or
// fp8 (e4m3) with f32 sums:
//   C[r, :] = A[r, :] x B[g]^T, for the rows r of group g                            B[g] is [n, k]
//   C[r, i] = silu(P[r, i]) P[r, n/2 + i], where P is that product                   with `gated`: C has n/2 columns
// C is bf16; with `gated` in fp8 it is codes and a scale for each 128 of a row, max(largest, 1e-4) / 448.
// The task, its plan, and a launch that is prepared once. The kernel is in grouped.cuh; it reads how many rows a group
// has when it runs, so routing may be decided on the device before it, on the same stream. Rows need no padding: groups
// may have any number of them, 0 too.
//
//   const std::int64_t bytes = grouped_workspace_bytes(task);     memory of that size goes into task.workspace
//   GroupedLaunch product(task);                                  encodes tensor maps; throws Error{unsupported}
//   product.enqueue(stream);                                      again and again; can be captured into a graph
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {

struct GroupedTask {
  std::int64_t m = 0;  // rows of A and C: of all groups together, or groups x the rows each has room for
  std::int64_t n = 0, k = 0, groups = 0;
  bool fp8 = false;
  const void* a = nullptr;  // [m, k], row-major; addresses are multiples of 16
  const void* b = nullptr;  // [groups, n, k]
  const float* a_scale = nullptr;  // fp8: [m, ceil(k / 128)]
  const float* b_scale = nullptr;  // fp8: [groups, ceil(n / 128), ceil(k / 128)]
  bool gated = false;
  void* c = nullptr;         // [m, n], or [m, n / 2] when gated; rows that belong to no group are not touched
  float* c_scale = nullptr;  // fp8, gated: [m, n / 256]
  // In device memory, one of the two. Contiguous: rows of group g are [group_begin[g], group_begin[g + 1]). Masked: the
  // first group_rows[g] of the m / groups rows it has room for.
  const std::int32_t* group_begin = nullptr;
  const std::int32_t* group_rows = nullptr;
  std::int64_t rows_per_group = 0;  // what to expect of a group that has rows, for the choice of tiles; 0: m / groups
  void* workspace = nullptr;        // grouped_workspace_bytes(task)
  int multiprocessors = 0;          // that launches reach, for the plan; 0: all of the current device's
  // Charged in all, spread evenly over the tiles; 2 n k FLOP a row are charged besides. Nothing without rows.
  double memory_bytes = 0.0;
  DevicePace pace = {};

  constexpr std::int64_t columns() const { return gated ? n / 2 : n; }  // of C
  constexpr int element_bytes() const { return fp8 ? 1 : 2; }            // of A and B
  constexpr int depth() const { return kTileRowBytes / element_bytes(); }  // elements of k per step
};

// Two of a product's tiles: wide, and low for groups of up to 64 rows in bf16. Half of a tile's columns of B are one
// box of TMA, so that with `gated` the halves are those of g and u for the same columns of C; of wide tiles they are as
// many columns as a scale of fp8 is for.
inline constexpr ProductTileName kGroupedTileNames[] = {ProductTileName::low, ProductTileName::wide};

// A number for each group lies behind a product's shared memory.
inline constexpr int kMostGroups = 640;
constexpr std::int64_t grouped_shared_bytes(const ProductTile& tile) {
  return product_shared_bytes(tile) + kMostGroups * 4;
}

struct GroupedPlan {
  ProductTileName name = ProductTileName::wide;
  int column_block = 0;  // columns of C in a tile
  int columns = 0;       // tiles along them
  int group = 1;         // rows of a group of the order
  int grid = 0;          // blocks
  int steps = 0;         // of k
  bool store_by_tma = false;
  // Rows that TMA cannot reach are copied to this pitch first (elements; 0: read where they are).
  std::int64_t pitch = 0, a_bytes = 0, b_bytes = 0;

  constexpr ProductTile tile() const { return product_tile(name); }
  constexpr std::int64_t workspace_bytes() const { return a_bytes + b_bytes; }
};

// The tile that should take the least time. Pure: sizes and the rows to expect decide.
GroupedPlan grouped_plan(const GroupedTask& task, const ProductMachine& machine);
// The same with a tile of the caller's choice.
GroupedPlan grouped_plan_with(ProductTileName name, const GroupedTask& task, const ProductMachine& machine);
// Clock cycles that grouped_plan expects of a plan, where all groups have the rows to expect.
double grouped_cycles(const GroupedPlan& plan, const GroupedTask& task, const ProductMachine& machine);

// Why this product is out of reach; empty when it is not. Sizes alone decide.
std::optional<std::string> grouped_obstacle(const GroupedTask& task);

// What the kernel reads, by value, besides its tensor maps.
struct GroupedArgs {
  GroupOrder order;
  int k = 0, steps = 0;
  int columns = 0;  // of C
  int b_half = 0;   // rows of B from a tile's first half to its second
  bool gated = false, store_by_tma = false;
  void* c = nullptr;
  const float *a_scale = nullptr, *b_scale = nullptr;
  float* c_scale = nullptr;
  std::int64_t memory_bytes = 0;
  DevicePace pace = {};
};
using GroupedEntry = void (*)(TensorMap a, TensorMap b, TensorMap c, GroupedArgs args);

constexpr int grouped_grid(const GroupedPlan& plan, int multiprocessors) {
  return blocks_within(plan.grid, plan.tile().cluster, multiprocessors);
}

// Of the current device.
std::int64_t grouped_workspace_bytes(const GroupedTask& task);

class GroupedLaunch {
 public:
  explicit GroupedLaunch(const GroupedTask& task);
  GroupedLaunch(const GroupedTask& task, const GroupedPlan& plan);

  // With blocks for `multiprocessors` and no more, where the stream reaches fewer than planned with; 0: as planned.
  void enqueue(void* stream, int multiprocessors = 0) const;
  const GroupedPlan& plan() const { return plan_; }

 private:
  GroupedTask task_;
  GroupedPlan plan_;
  GroupedArgs args_;
  TensorMap a_, b_, c_;
  void* a_copy_ = nullptr;
  void* b_copy_ = nullptr;
};

}  // namespace chokepoint::hopper
