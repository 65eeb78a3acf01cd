// Which tiles suit a product on Hopper? A model of what tensor cores, L2 and memory need, in clock cycles.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kernels/common/cuda/hopper/cycle_model.hpp"
#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {
namespace {

// From a tile's last product until its cuts' sums are known to be there: a fence, an atomic, the way back.
constexpr double kJoinCycles = 2000.0;
// What medium tiles have to promise, which take more from shared memory and L2 than wide ones for the same product.
constexpr double kMediumWorthwhile = 0.98;
constexpr int kMostCuts = 16, kLeastStepsPerCut = 4;
constexpr std::int64_t kWorkspaceAlignment = 1024;

std::int64_t rounded_up(std::int64_t value, std::int64_t to) { return (value + to - 1) / to * to; }

std::int64_t pitch_of_copy(std::int64_t row_length, std::int64_t element_bytes, bool in_any_case = false) {
  const std::int64_t unit = kTmaAlignment / element_bytes;
  return row_length % unit == 0 && !in_any_case ? 0 : rounded_up(row_length, unit);
}

void add_workspace(ProductPlan& plan, const ProductTask& task) {
  const ProductTile tile = plan.tile();
  if (plan.order.cuts > 1) {
    const std::int64_t tiles = std::int64_t{plan.order.rows} * plan.order.columns * tile.cluster;
    plan.counter_bytes = rounded_up(tiles * 4, kWorkspaceAlignment);
    plan.partial_bytes = tiles * plan.order.cuts * tile.block_m * tile.block_n * 4;
  }
  const std::int64_t element_bytes = task.fp8 ? 1 : 2;
  const bool kn = task.b_is_kn && !task.fp8;  // as the kernel reads it
  plan.a_pitch = pitch_of_copy(task.k, element_bytes);
  plan.b_pitch = pitch_of_copy(kn ? task.n : task.k, element_bytes, task.b_is_kn && task.fp8);
  plan.a_bytes = rounded_up(plan.a_pitch * task.m * element_bytes, kWorkspaceAlignment);
  plan.b_bytes = rounded_up(plan.b_pitch * (kn ? task.k : task.n) * element_bytes, kWorkspaceAlignment);
}

}  // namespace

const char* tile_name(ProductTileName name) {
  constexpr const char* kNames[] = {"wide",     "medium",     "square",     "low",     "narrow",
                                    "fp8_wide", "fp8_medium", "fp8_square", "fp8_low", "fp8_narrow"};
  return kNames[static_cast<int>(name)];
}

std::optional<std::string> product_obstacle(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kMost = std::numeric_limits<int>::max() / 2;  // coordinates and tile edges are int
  for (const auto& [name, length] : {std::pair{"m", m}, {"n", n}, {"k", k}})
    if (length < 1 || length > kMost) return fmt::format("{} is {}, this kernel takes 1 to {}", name, length, kMost);
  const std::int64_t tiles = std::int64_t{tiles_along(m, 64)} * tiles_along(n, 64);
  if (tiles > kMost) return fmt::format("m x n has {} tiles, more than this kernel can count", tiles);
  return std::nullopt;
}

ProductPlan product_plan_with(ProductTileName name, int cuts, const ProductTask& task, const ProductMachine& machine) {
  ProductPlan plan;
  plan.name = name;
  const ProductTile tile = plan.tile();
  plan.steps = tiles_along(task.k, tile.depth());
  plan.order.rows = tiles_along(task.m, tile.block_m * tile.cluster);
  plan.order.columns = tiles_along(task.n, tile.block_n);
  const int most_cuts = tile.cluster > 1 ? 1 : std::min(kMostCuts, plan.steps);  // clusters join none
  plan.order.cuts = std::clamp(cuts, 1, most_cuts);
  const int clusters = std::max(1, machine.multiprocessors / tile.cluster);
  plan.order.group =
      best_group(plan.order.rows, plan.order.columns, tile.block_m * tile.cluster, tile.block_n, clusters);
  plan.grid = std::min(clusters, plan.order.count()) * tile.cluster;
  plan.store_by_tma = !task.c_is_f32 && tma_can_reach(task.n * 2);
  add_workspace(plan, task);
  return plan;
}

double product_cycles(const ProductPlan& plan, const ProductTask& task, const ProductMachine& machine) {
  const ProductTile tile = plan.tile();
  const double waves = (plan.order.count() * tile.cluster + plan.grid - 1) / plan.grid;
  // Rows beyond the matrix become zeros on the way into shared memory.
  const double rows = static_cast<double>(std::min<std::int64_t>(tile.block_m, task.m)) / tile.block_m;
  // fp8: adding a step's sums up is hidden, by the other consumer's products, or by L2 where there is but one.
  const double step = step_cycles(tile, rows * tile.a_bytes() + static_cast<double>(tile.b_bytes()) / tile.cluster,
                                  machine.multiprocessors);
  const double steps = (plan.steps + plan.order.cuts - 1) / plan.order.cuts;
  const double sums_bytes = 2.0 * rows * static_cast<double>(plan.partial_bytes);
  const double join = plan.order.cuts > 1 ? kJoinCycles + sums_bytes / kL2BytesOfAll : 0.0;
  const double at_work = kFillCycles + waves * (steps * step + kTileCycles) + join;
  const double m = static_cast<double>(task.m), n = static_cast<double>(task.n), k = static_cast<double>(task.k);
  const double operands = (task.fp8 ? 1.0 : 2.0) * (m * k + n * k), sums = (task.c_is_f32 ? 4.0 : 2.0) * m * n;
  return both_cycles(at_work, (operands + sums) / kMemoryBytes);
}

ProductPlan product_plan(const ProductTask& task, const ProductMachine& machine) {
  ProductPlan best;
  double least = 0.0;
  for (const ProductTileName name : task.fp8 ? kFp8TileNames : kProductTileNames) {
    if (product_shared_bytes(product_tile(name)) > machine.shared_bytes) continue;
    if (product_tile(name).block_m > 64 && task.m <= 64) continue;  // the second warpgroup would multiply zeros
    for (int cuts = 1; cuts <= kMostCuts; ++cuts) {
      const ProductPlan plan = product_plan_with(name, cuts, task, machine);
      // Only products that leave multiprocessors idle are cut, and into pieces worth a tile.
      if (cuts > 1 && (plan.order.cuts < cuts || plan.steps / cuts < kLeastStepsPerCut ||
                       plan.order.rows * plan.order.columns * plan.tile().cluster >= machine.multiprocessors))
        break;
      const double cycles = product_cycles(plan, task, machine);
      const bool medium = name == ProductTileName::medium || name == ProductTileName::fp8_medium;
      const double worthwhile = medium ? kMediumWorthwhile : 1.0;
      if (best.grid != 0 && cycles >= worthwhile * least) continue;
      least = cycles;
      best = plan;
    }
  }
  return best;
}

}  // namespace chokepoint::hopper
