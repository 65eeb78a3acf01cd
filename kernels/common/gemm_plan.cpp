#include "kernels/common/gemm_plan.hpp"

#include <algorithm>
#include <cmath>

namespace chokepoint::gemm {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

constexpr std::int64_t kTilesPerWorker = 8;
constexpr std::int64_t kBlockK = 512;

// Packing an element of Y takes about as long as 6 rows of X need with it (0.4 cycles against 1/16 a row), so
// the operand with fewer rows is packed, unless its last vector would be mostly empty.
bool better_exchanged(const ProductShape& shape, const PlanMachine& machine) {
  if (!shape.b_along_k) return false;
  const double packing = 6.0;
  const double straight = static_cast<double>(shape.n) * (static_cast<double>(shape.m) + packing);
  const double exchanged =
      static_cast<double>(round_up(shape.m, machine.lanes)) * static_cast<double>(shape.n) +
      packing * static_cast<double>(shape.m);
  return exchanged < straight;
}

ProductPlan plan_product(const ProductShape& shape, const PlanMachine& machine, std::int64_t tiles_wanted) {
  ProductPlan plan;
  plan.exchanged = better_exchanged(shape, machine);
  plan.rows_x = plan.exchanged ? shape.n : shape.m;
  plan.rows_y = plan.exchanged ? shape.m : shape.n;
  plan.k = shape.k;
  const std::int64_t k_blocks = std::max<std::int64_t>(1, ceil_div(shape.k, kBlockK));
  plan.block_k = std::max<std::int64_t>(1, round_up(ceil_div(shape.k, k_blocks), 16));
  // Y block: half of L2, in whole panels, spread evenly.
  const std::int64_t panel = machine.cols_per_panel;
  const std::int64_t most_y = std::max(panel, machine.l2_bytes / 2 / 4 / plan.block_k / panel * panel);
  const std::int64_t y_blocks = std::max<std::int64_t>(1, ceil_div(plan.rows_y, most_y));
  plan.block_y = std::max(panel, round_up(ceil_div(plan.rows_y, y_blocks), panel));
  // X block: as tall as leaves enough tiles.
  const std::int64_t x_blocks =
      ceil_div(tiles_wanted, std::max<std::int64_t>(1, ceil_div(plan.rows_y, plan.block_y)));
  plan.block_x =
      std::clamp(round_up(ceil_div(plan.rows_x, std::max<std::int64_t>(1, x_blocks)), machine.rows_per_panel),
                 machine.rows_per_panel, std::int64_t{1020});
  return plan;
}

}  // namespace

Plan make_plan(const std::vector<ProductShape>& shapes, const PlanMachine& machine) {
  Plan plan;
  double total = 0.0;
  const auto flop = [](const ProductShape& s) {
    return static_cast<double>(s.m) * static_cast<double>(s.n) *
           static_cast<double>(std::max<std::int64_t>(1, s.k));
  };
  for (const ProductShape& shape : shapes) total += flop(shape);
  for (const ProductShape& shape : shapes) {
    const double share = total > 0.0 ? flop(shape) / total : 0.0;
    const auto wanted =
        static_cast<std::int64_t>(std::ceil(share * static_cast<double>(kTilesPerWorker * machine.workers)));
    const ProductPlan product = plan_product(shape, machine, std::max<std::int64_t>(1, wanted));
    const auto index = static_cast<std::int64_t>(plan.products.size());
    for (std::int64_t y = 0; y < product.rows_y; y += product.block_y)
      for (std::int64_t x = 0; x < product.rows_x; x += product.block_x) {
        plan.tiles.push_back({.product = index,
                              .x0 = x,
                              .count_x = std::min(product.block_x, product.rows_x - x),
                              .y0 = y,
                              .count_y = std::min(product.block_y, product.rows_y - y),
                              .first_step = plan.steps});
        plan.steps += product.k_steps();
      }
    plan.products.push_back(product);
  }
  return plan;
}

std::vector<Charge> make_charges(const Plan& plan, const std::vector<ProductShape>& shapes,
                                 double memory_bytes) {
  std::vector<Charge> charges;
  std::vector<double> touched;  // bytes by plain count, before they are scaled to `memory_bytes`
  charges.reserve(static_cast<std::size_t>(plan.steps));
  double total = 0.0;
  for (const Tile& tile : plan.tiles) {
    const ProductPlan& product = plan.products[static_cast<std::size_t>(tile.product)];
    const ProductShape& shape = shapes[static_cast<std::size_t>(tile.product)];
    const std::int64_t x_bytes = product.exchanged ? shape.b_bytes : shape.a_bytes;
    const std::int64_t y_bytes = product.exchanged ? shape.a_bytes : shape.b_bytes;
    for (std::int64_t step = 0; step < product.k_steps(); ++step) {
      const std::int64_t k = std::min(product.block_k, product.k - step * product.block_k);
      std::int64_t bytes = 0;
      if (tile.y0 == 0) bytes += tile.count_x * k * x_bytes;
      if (tile.x0 == 0) bytes += tile.count_y * k * y_bytes;
      if (step + 1 == product.k_steps()) bytes += tile.count_x * tile.count_y * shape.c_bytes;
      total += static_cast<double>(bytes);
      touched.push_back(total);
      charges.push_back(
          {.flop = 2.0 * static_cast<double>(tile.count_x * tile.count_y) * static_cast<double>(k)});
    }
  }
  double charged = 0.0;
  for (std::size_t i = 0; i < charges.size(); ++i) {
    const double until =
        i + 1 == charges.size() ? memory_bytes : std::floor(memory_bytes * (touched[i] / total));
    charges[i].memory_bytes = until - charged;
    charged = until;
  }
  return charges;
}

}  // namespace chokepoint::gemm
