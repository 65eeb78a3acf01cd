#include "kernels/common/gemm_plan.hpp"

#include <algorithm>
#include <cmath>

namespace chokepoint::gemm {
namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// Evens out workers that are slowed down, and keeps charges small. Below 10 us a tile, handing them out
// shows.
constexpr std::int64_t kTilesPerWorker = 8;
constexpr double kLeastTileFlop = 1 << 20;

// A strip of 6 rows of X takes 12 KiB of L1. Rows of B that lie along n are read in longer runs when k is
// short; with dot products long blocks of k spare sums across lanes.
constexpr std::int64_t kBlockK = 512, kAcrossBlockK = 128, kDotsBlockK = 2048;

// Rows of A below which B's arrival from memory shows.
constexpr std::int64_t kSmallM = 256;

// Of X in one step: bounds what it charges. Of packed Y that is shared, in all: should stay in the last-level
// cache.
constexpr std::int64_t kMostBlockXBytes = 1 << 20, kMostSharedBytes = 16 << 20;

// Splits `length` into equal parts of at most `most`, rounded up to whole multiples of `unit`.
std::int64_t even_block(std::int64_t length, std::int64_t most, std::int64_t unit) {
  const std::int64_t parts = std::max<std::int64_t>(1, ceil_div(length, std::max(unit, most)));
  return std::max(unit, round_up(ceil_div(length, parts), unit));
}

// The cheapest way for a B that is contiguous along k, in vector operations for each element of B, measured
// on Zen 4: packing one costs about as much as using it for 6 rows; a panel has whole vectors of rows of A;
// sums across lanes take about 8 operations. Otherwise B is copied into panels row by row.
Method method_for(const ProductShape& shape, const PlanMachine& machine) {
  if (!shape.b_along_k) return Method::straight;
  constexpr double kPackingRows = 6.0, kLaneSum = 8.0;
  const auto m = static_cast<double>(shape.m), n = static_cast<double>(shape.n);
  const auto lanes = static_cast<double>(machine.lanes);
  const double k = static_cast<double>(std::clamp<std::int64_t>(shape.k, 1, kDotsBlockK));
  const double straight = (m + kPackingRows) / lanes;
  const double exchanged =
      static_cast<double>(ceil_div(shape.m, machine.lanes)) + kPackingRows * m / n / lanes;
  const double dots = m / lanes * (1.1 + kLaneSum * lanes / k);
  if (shape.m <= kMostDotRows && dots < std::min(straight, exchanged)) return Method::dots;
  return exchanged < straight ? Method::exchanged : Method::straight;
}

ProductPlan plan_product(const ProductShape& shape, const PlanMachine& machine, std::int64_t tiles) {
  ProductPlan plan{.method = method_for(shape, machine), .k = shape.k};
  const bool straight = plan.method == Method::straight, dots = plan.method == Method::dots;
  plan.rows_x = straight ? shape.m : shape.n;
  plan.rows_y = straight ? shape.n : shape.m;
  plan.fetch_y = straight && shape.m <= kSmallM;
  const std::int64_t straight_k = plan.fetch_y && !shape.b_along_k ? kAcrossBlockK : kBlockK;
  plan.block_k = even_block(shape.k, dots ? kDotsBlockK : straight_k, 16);
  // Y's block takes half of L2, or a quarter where the next one has to arrive meanwhile.
  const std::int64_t y_floats = machine.l2_bytes / 4 / (plan.fetch_y ? 4 : 2);
  plan.block_y = dots ? shape.m : even_block(plan.rows_y, y_floats / plan.block_k, machine.cols_per_panel);
  // X's is as tall as leaves enough tiles.
  const std::int64_t y_parts =
      ceil_div(std::max<std::int64_t>(1, plan.rows_y), std::max<std::int64_t>(1, plan.block_y));
  const std::int64_t x_bytes = (straight ? shape.a_bytes : shape.b_bytes) * plan.block_k;
  const std::int64_t most_x =
      std::min(kMostBlockXBytes / x_bytes, ceil_div(plan.rows_x, ceil_div(tiles, y_parts)));
  plan.block_x = even_block(plan.rows_x, most_x, machine.rows_per_panel);
  return plan;
}

double flop_of(const ProductShape& shape) {
  return 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n) * static_cast<double>(shape.k);
}

void add_tiles(Plan& plan, std::int64_t index) {
  const ProductPlan& product = plan.products[static_cast<std::size_t>(index)];
  for (std::int64_t y = 0; y < product.rows_y; y += product.block_y)
    for (std::int64_t x = 0; x < product.rows_x; x += product.block_x) {
      plan.tiles.push_back({.product = index,
                            .x0 = x,
                            .count_x = std::min(product.block_x, product.rows_x - x),
                            .y0 = y,
                            .count_y = std::min(product.block_y, product.rows_y - y),
                            .first_step = plan.steps});
      plan.steps += product.steps();
    }
}

// Bytes that step `step` of `tile` touches before any other step does.
std::int64_t first_touched_bytes(const ProductPlan& product, const ProductShape& shape, const Tile& tile,
                                 std::int64_t step, std::int64_t k) {
  const bool straight = product.method == Method::straight;
  const std::int64_t x_bytes = straight ? shape.a_bytes : shape.b_bytes;
  const std::int64_t y_bytes = straight ? shape.b_bytes : shape.a_bytes;
  std::int64_t bytes = 0;
  if (tile.y0 == 0) bytes += tile.count_x * k * x_bytes;
  if (tile.x0 == 0) bytes += tile.count_y * k * y_bytes;
  if (step + 1 == product.steps()) bytes += tile.count_x * tile.count_y * shape.c_bytes;
  return bytes;
}

}  // namespace

Plan make_plan(const std::vector<ProductShape>& shapes, const PlanMachine& machine) {
  Plan plan;
  double total_flop = 0.0;
  std::int64_t shared_bytes = 0;
  for (const ProductShape& shape : shapes) total_flop += flop_of(shape);
  const double tile_flop =
      std::max(kLeastTileFlop, total_flop / static_cast<double>(kTilesPerWorker * machine.workers));
  for (const ProductShape& shape : shapes) {
    const auto tiles = static_cast<std::int64_t>(std::ceil(flop_of(shape) / tile_flop));
    ProductPlan product = plan_product(shape, machine, std::max<std::int64_t>(1, tiles));
    const std::int64_t packed_bytes = 4 * round_up(product.rows_y, machine.cols_per_panel) * product.k;
    if (product.method != Method::dots && product.rows_x > product.block_x &&
        shared_bytes + packed_bytes <= kMostSharedBytes) {
      product.share_y = true;
      shared_bytes += packed_bytes;
    }
    plan.products.push_back(product);
    add_tiles(plan, static_cast<std::int64_t>(plan.products.size()) - 1);
  }
  return plan;
}

std::vector<Charge> make_charges(const Plan& plan, const std::vector<ProductShape>& shapes,
                                 double memory_bytes) {
  std::vector<Charge> charges;
  std::vector<std::int64_t> touched_until;  // bytes by plain count, before they are scaled to `memory_bytes`
  std::int64_t touched = 0;
  for (const Tile& tile : plan.tiles) {
    const auto index = static_cast<std::size_t>(tile.product);
    const ProductPlan& product = plan.products[index];
    for (std::int64_t step = 0; step < product.steps(); ++step) {
      const std::int64_t k = std::min(product.block_k, product.k - step * product.block_k);
      touched += first_touched_bytes(product, shapes[index], tile, step, k);
      touched_until.push_back(touched);
      charges.push_back(
          {.flop = 2.0 * static_cast<double>(tile.count_x * tile.count_y) * static_cast<double>(k)});
    }
  }
  double charged = 0.0;
  for (std::size_t i = 0; i < charges.size(); ++i) {
    const bool last = i + 1 == charges.size();
    const double share = static_cast<double>(touched_until[i]) / static_cast<double>(touched);
    const double until = last ? memory_bytes : std::floor(memory_bytes * share);
    charges[i].memory_bytes = until - charged;
    charged = until;
  }
  return charges;
}

}  // namespace chokepoint::gemm
