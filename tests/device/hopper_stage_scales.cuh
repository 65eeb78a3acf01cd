// Do fp8 products scale and add up as they should? Bring-up stages (hopper_stages.cuh) of whole numbers with powers of
// two as scales, in every block another.
#pragma once

#include <vector>

#include "kernels/common/cuda/hopper/product.hpp"
#include "tests/device/hopper_stage_values.hpp"

namespace chokepoint::hopper::stages {

struct ScaledCase {
  ProductTileName name;
  bool kn;
  int m, n, k;
  int cuts = 1, multiprocessors = 132;
};

inline float scale_of(int i, int step) { return static_cast<float>(1 << (i + 2 * step) % 3); }

inline std::uint8_t* fp8_matrix(std::int64_t rows, std::int64_t columns, int seed) {
  auto* values = common<std::uint8_t>(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows * columns; ++i) values[i] = e4m3_of(number(i, seed));
  return values;
}

inline ProductScales scales_of(const ScaledCase& test) {
  const int steps = tiles_along(test.k, kScaleBlock), blocks = tiles_along(test.n, kScaleBlock);
  const auto pitch = static_cast<int>(scale_pitch(test.m));
  auto* a = common<float>(static_cast<std::size_t>(steps * pitch));
  auto* b = common<float>(static_cast<std::size_t>(steps * blocks));
  for (int step = 0; step < steps; ++step) {
    for (int row = 0; row < pitch; ++row) a[step * pitch + row] = scale_of(row, step);
    for (int block = 0; block < blocks; ++block) b[block * steps + step] = scale_of(2 * block + 1, step);
  }
  return {.a = a, .a_pitch = pitch, .b = b, .b_step = 1, .b_block = steps};
}

inline std::string check_scaled_product(const ScaledCase& test) {
  ProductTask task{.m = test.m, .n = test.n, .k = test.k};
  task.a = fp8_matrix(test.m, test.k, 5);
  task.b = test.kn ? fp8_matrix(test.k, test.n, 6) : fp8_matrix(test.n, test.k, 6);
  task.b_is_kn = test.kn;
  task.fp8 = true;
  task.scales = scales_of(test);
  auto* c = common<float>(static_cast<std::size_t>(test.m) * test.n);
  task.c = c;
  task.c_is_f32 = true;
  const ProductPlan plan = product_plan_with(test.name, test.cuts, task, {.multiprocessors = test.multiprocessors});
  if (plan.workspace_bytes() > 0) task.workspace = common_memory(static_cast<std::size_t>(plan.workspace_bytes()));
  const Product product(task, plan);
  bring_memory();
  product.enqueue(nullptr);
  product.enqueue(nullptr);
  const std::string name = fmt::format("tile {} {} m={} n={} k={} cuts={}", tile_name(test.name),
                                       test.kn ? "kn" : "nk", test.m, test.n, test.k, test.cuts);
  if (const std::string trouble = finish(); !trouble.empty()) return name + ": " + trouble;
  for (int row = 0; row < test.m; ++row)
    for (int column = 0; column < test.n; ++column) {
      float sum = 0.0F;
      for (int k = 0; k < test.k; ++k)
        sum += number(std::int64_t{row} * test.k + k, 5) *
               number(test.kn ? std::int64_t{k} * test.n + column : std::int64_t{column} * test.k + k, 6) *
               scale_of(row, k / kScaleBlock) * scale_of(2 * (column / kScaleBlock) + 1, k / kScaleBlock);
      if (const float got = c[std::int64_t{row} * test.n + column]; got != sum)
        return fmt::format("{}: row {} column {} is {} instead of {}", name, row, column, got, sum);
    }
  return "";
}

inline std::string check_scaled_products(const std::vector<ScaledCase>& cases) {
  for (const ScaledCase& test : cases)
    if (std::string wrong = check_scaled_product(test); !wrong.empty()) return wrong;
  return "";
}

inline std::string scaled_blocks() {
  constexpr auto kLow = ProductTileName::fp8_low;
  return check_scaled_products({{kLow, false, 64, 128, 128, 1, 1},
                                {kLow, false, 64, 128, 128 * 9, 1, 1},
                                {kLow, false, 70, 264, 1008, 5},
                                {kLow, false, 3, 131, 200, 1, 2},
                                {kLow, true, 5, 130, 260}});
}
inline std::string scaled_clusters() {
  constexpr auto kWide = ProductTileName::fp8_wide;
  return check_scaled_products({{kWide, false, 256, 192, 128, 1, 2},
                                {kWide, false, 256, 384, 640, 1, 2},
                                {kWide, false, 385, 520, 400, 1, 4},
                                {kWide, false, 1, 8, 16}});
}

}  // namespace chokepoint::hopper::stages
