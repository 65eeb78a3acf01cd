// Which tiles suit a grouped product on Hopper?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/cuda/hopper/cycle_model.hpp"
#include "kernels/common/cuda/hopper/grouped.hpp"

namespace chokepoint::hopper {
namespace {

std::int64_t bytes_of_copy(std::int64_t rows, std::int64_t pitch) {
  constexpr std::int64_t kAlignment = 1024;
  return (rows * pitch * 2 + kAlignment - 1) / kAlignment * kAlignment;
}

// Of a group that has rows, and how many groups have.
struct ExpectedRows {
  std::int64_t rows, groups;
};
ExpectedRows expected_rows(const GroupedTask& task) {
  const std::int64_t even = (task.m + task.groups - 1) / std::max<std::int64_t>(1, task.groups);
  const std::int64_t rows = std::max<std::int64_t>(1, task.rows_per_group > 0 ? task.rows_per_group : even);
  return {rows, std::clamp<std::int64_t>((task.m + rows - 1) / rows, 1, std::max<std::int64_t>(1, task.groups))};
}

// What wide tiles have to promise: low ones compute less for nothing where memory is the bound of both.
constexpr double kWideWorthwhile = 0.98;

int multiprocessors_for(const GroupedTask& task, const ProductMachine& machine) {
  return task.multiprocessors > 0 ? std::min(task.multiprocessors, machine.multiprocessors) : machine.multiprocessors;
}

}  // namespace

std::optional<std::string> grouped_obstacle(const GroupedTask& task) {
  const std::int64_t m = task.m, n = task.n, k = task.k, groups = task.groups;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max() / 2;  // coordinates and numbers of tiles are int
  for (const auto& [name, length] : {std::pair{"m", m}, {"n", n}, {"k", k}})
    if (length < 1 || length > kMost) return fmt::format("{} is {}, this kernel takes 1 to {}", name, length, kMost);
  if (groups < 1 || groups > kMostGroups)
    return fmt::format("there are {} groups, this kernel takes 1 to {}", groups, kMostGroups);
  if (groups * n > kMost) return fmt::format("B has {} rows, this kernel takes {}", groups * n, kMost);
  if ((tiles_along(m, 64) + groups) * tiles_along(n, 64) > kMost)
    return fmt::format("m x n = {} x {} has more tiles than this kernel can count", m, n);
  if (task.gated && n % 2 != 0) return fmt::format("n is {}: there are no halves to gate", n);
  if (task.fp8 && std::max(m, groups * tiles_along(n, kScaleBlock)) * tiles_along(k, kScaleBlock) > kMost)
    return fmt::format("A or B has more scales than this kernel can count: {} groups, m x n x k = {} x {} x {}",
                       groups, m, n, k);
  if (task.fp8 && k % kTmaAlignment != 0)
    return fmt::format("k is {}: fp8 rows have to be a multiple of {} bytes", k, kTmaAlignment);
  if (task.fp8 && task.gated && n % (2 * kScaleBlock) != 0)
    return fmt::format("half of n is {}: fp8 results that are gated have to be a multiple of {} columns", n / 2,
                       kScaleBlock);
  return std::nullopt;
}

GroupedPlan grouped_plan_with(ProductTileName name, const GroupedTask& task, const ProductMachine& machine) {
  GroupedPlan plan;
  plan.name = name;
  const ProductTile tile = plan.tile();
  plan.steps = tiles_along(task.k, task.depth());
  plan.column_block = task.gated ? tile.block_n / 2 : tile.block_n;
  plan.columns = tiles_along(task.columns(), plan.column_block);
  const int clusters = std::max(1, multiprocessors_for(task, machine) / tile.cluster);
  const int cluster_rows = tile.block_m * tile.cluster;
  plan.group = best_group(tiles_along(expected_rows(task).rows, cluster_rows), plan.columns, cluster_rows, tile.block_n,
                          clusters);
  const std::int64_t most_tiles = (tiles_along(task.m, tile.block_m) + task.groups) * plan.columns;
  plan.grid = static_cast<int>(std::min<std::int64_t>(clusters, most_tiles)) * tile.cluster;
  plan.store_by_tma = !(task.fp8 && task.gated) && tma_can_reach(task.columns() * 2);
  if (!tma_can_reach(task.k * task.element_bytes())) {
    constexpr std::int64_t kUnit = kTmaAlignment / 2;  // elements
    plan.pitch = (task.k + kUnit - 1) / kUnit * kUnit;
    plan.a_bytes = bytes_of_copy(task.m, plan.pitch);
    plan.b_bytes = bytes_of_copy(task.groups * task.n, plan.pitch);
  }
  return plan;
}

double grouped_cycles(const GroupedPlan& plan, const GroupedTask& task, const ProductMachine& machine) {
  const ProductTile tile = plan.tile();
  const int sms = multiprocessors_for(task, machine);
  const auto [rows, groups] = expected_rows(task);
  const double row_tiles = tiles_along(rows, tile.block_m);
  // Tiles of pairs load half of B; a last odd one loads all.
  const double in_pairs = tile.cluster > 1 ? std::floor(row_tiles / 2) * 2 / row_tiles : 0.0;
  const double loaded = tile.a_bytes() + tile.b_bytes() * (1.0 - in_pairs / 2);
  const double tiles = static_cast<double>(groups) * row_tiles * plan.columns;
  const double at_work =
      kFillCycles + std::ceil(tiles / plan.grid) * (plan.steps * step_cycles(tile, loaded, sms) + kTileCycles);
  const double n = static_cast<double>(task.n), k = static_cast<double>(task.k);
  const double all_rows = static_cast<double>(groups * rows);
  const double bytes = task.element_bytes() * (static_cast<double>(groups) * n * k + all_rows * k) +
                       (task.fp8 && task.gated ? 1.0 : 2.0) * all_rows * static_cast<double>(task.columns());
  return both_cycles(at_work, bytes / kMemoryBytes);
}

GroupedPlan grouped_plan(const GroupedTask& task, const ProductMachine& machine) {
  GroupedPlan best;
  for (const ProductTileName name : kGroupedTileNames) {
    if (grouped_shared_bytes(product_tile(name)) > machine.shared_bytes) continue;
    if (task.fp8 && name != ProductTileName::wide) continue;
    const GroupedPlan plan = grouped_plan_with(name, task, machine);
    const double worthwhile = name == ProductTileName::wide ? kWideWorthwhile : 1.0;
    if (best.grid == 0 || grouped_cycles(plan, task, machine) < worthwhile * grouped_cycles(best, task, machine))
      best = plan;
  }
  return best;
}

}  // namespace chokepoint::hopper
