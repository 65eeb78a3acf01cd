// How products are cut: every element once, charges that follow what is touched, steps small enough to pace.
#include "kernels/common/gemm_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

namespace chokepoint::gemm {
namespace {

constexpr PlanMachine kAvx2{.workers = 2, .lanes = 8, .cols_per_panel = 16, .l2_bytes = 512 * 1024};
constexpr PlanMachine kAvx512{.workers = 2, .lanes = 16, .cols_per_panel = 64, .l2_bytes = 1024 * 1024};

Method method_of(std::int64_t m, std::int64_t n, std::int64_t k, bool b_along_k, const PlanMachine& machine) {
  return make_plan({{.m = m, .n = n, .k = k, .b_along_k = b_along_k}}, machine).products[0].method;
}

TEST(gemm_plan, tiles_cover_every_element_of_the_product_once) {
  for (const PlanMachine& machine : {kAvx2, kAvx512})
    for (const bool along_k : {true, false})
      for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{1, 1, 1},
                                    {7, 300, 90},
                                    {64, 211, 716},
                                    {333, 127, 1031},
                                    {1030, 77, 64}}) {
        const Plan plan = make_plan({{.m = m, .n = n, .k = k, .b_along_k = along_k}}, machine);
        const ProductPlan& product = plan.products[0];
        ASSERT_EQ(product.rows_x * product.rows_y, m * n);
        std::vector<int> seen(static_cast<std::size_t>(m * n));
        std::int64_t steps = 0;
        for (const Tile& tile : plan.tiles) {
          EXPECT_EQ(tile.first_step, steps);
          steps += product.steps();
          for (std::int64_t x = tile.x0; x < tile.x0 + tile.count_x; ++x)
            for (std::int64_t y = tile.y0; y < tile.y0 + tile.count_y; ++y)
              ++seen[static_cast<std::size_t>(x * product.rows_y + y)];
        }
        EXPECT_EQ(steps, plan.steps);
        EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), m * n);
        EXPECT_GE(product.steps() * product.block_k, k);
        EXPECT_LT((product.steps() - 1) * product.block_k, k);
      }
}

TEST(gemm_plan, the_smaller_operand_is_packed_and_few_rows_are_not_packed_at_all) {
  for (const PlanMachine& machine : {kAvx2, kAvx512}) {
    EXPECT_EQ(method_of(1, 4096, 7168, true, machine), Method::dots);
    EXPECT_EQ(method_of(4, 4096, 7168, true, machine), Method::dots);
    EXPECT_EQ(method_of(64, 4096, 7168, true, machine), Method::exchanged);
    EXPECT_EQ(method_of(4096, 64, 7168, true, machine), Method::straight);
    EXPECT_EQ(method_of(64, 4096, 7168, false, machine),
              Method::straight);  // rows of B are panels as they lie
  }
}

TEST(gemm_plan, packing_is_shared_when_several_tiles_need_the_same_panels) {
  EXPECT_TRUE(make_plan({{.m = 64, .n = 4096, .k = 7168, .b_along_k = true}}, kAvx512).products[0].share_y);
  // 64 experts of 512 tokens: 7168 x 512 x 4 B x 64 = 940 MB do not fit what may be shared; the rest packs by
  // tile.
  const Plan many =
      make_plan(std::vector<ProductShape>(64, {.m = 512, .n = 4096, .k = 7168, .b_along_k = true}), kAvx512);
  double shared_bytes = 0.0;
  for (const ProductPlan& product : many.products)
    if (product.share_y) shared_bytes += 4.0 * static_cast<double>(product.rows_y * product.k);
  EXPECT_LE(shared_bytes, 16.0 * 1048576);
}

TEST(gemm_plan, empty_groups_have_no_tiles_and_tiles_follow_the_work) {
  const Plan plan = make_plan({{.m = 0, .n = 512, .k = 512, .b_along_k = true},
                               {.m = 8, .n = 512, .k = 512, .b_along_k = true},
                               {.m = 512, .n = 512, .k = 512, .b_along_k = true}},
                              kAvx512);
  std::vector<std::int64_t> tiles(3);
  for (const Tile& tile : plan.tiles) ++tiles[static_cast<std::size_t>(tile.product)];
  EXPECT_EQ(tiles[0], 0);
  EXPECT_GE(tiles[1], 1);
  EXPECT_GE(tiles[2], 8);
}

TEST(gemm_plan, large_products_have_many_steps_of_at_most_a_few_megabytes) {
  for (const PlanMachine& machine : {kAvx2, kAvx512})
    for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{64, 2112, 7168},
                                  {64, 32768, 512},
                                  {64, 7168, 16384},
                                  {1, 7168, 2048},
                                  {2048, 2048, 2048}}) {
      const std::vector<ProductShape> shapes = {{.m = m, .n = n, .k = k, .b_along_k = true}};
      const double bytes = 4.0 * static_cast<double>(m * k + k * n + m * n);
      const std::vector<Charge> charges = make_charges(make_plan(shapes, machine), shapes, bytes);
      EXPECT_GE(charges.size(), 32U) << m << ' ' << n << ' ' << k;
      double total_bytes = 0.0, total_flop = 0.0;
      for (const Charge& charge : charges) {
        EXPECT_GE(charge.memory_bytes, 0.0);
        EXPECT_LE(charge.memory_bytes, 2.5 * 1048576) << m << ' ' << n << ' ' << k;
        total_bytes += charge.memory_bytes;
        total_flop += charge.flop;
      }
      EXPECT_EQ(total_bytes, bytes);
      EXPECT_EQ(total_flop, 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k));
    }
}

// One tile of 64 x 64 over k = 1024 in two steps: each touches 2 x 64 x 512 floats, the last also writes 64
// x 64.
TEST(gemm_plan, a_step_is_charged_for_what_it_touches_first) {
  const std::vector<ProductShape> shapes = {{.m = 64, .n = 64, .k = 1024, .b_along_k = true}};
  PlanMachine one = kAvx512;
  one.workers = 1;
  Plan plan = make_plan(shapes, one);
  plan.products[0] = {.method = Method::straight,
                      .rows_x = 64,
                      .rows_y = 64,
                      .k = 1024,
                      .block_x = 64,
                      .block_y = 64,
                      .block_k = 512};
  plan.tiles = {{.product = 0, .x0 = 0, .count_x = 64, .y0 = 0, .count_y = 64, .first_step = 0}};
  const std::vector<Charge> charges =
      make_charges(plan, shapes, 2.0 * (262144 + 262144 + 16384));  // double of plain
  ASSERT_EQ(charges.size(), 2U);
  EXPECT_EQ(charges[0].memory_bytes, 2.0 * 262144);
  EXPECT_EQ(charges[1].memory_bytes, 2.0 * (262144 + 16384));
  EXPECT_EQ(charges[0].flop, 2.0 * 64 * 64 * 512);
}

// Four tiles of 64 x 64 over k = 512. Straight: X is a (bf16, 2 bytes), Y is b (f32, 4 bytes): the first row
// of tiles reads X, the first column Y, each tile writes its f32 block.
TEST(gemm_plan, operands_are_charged_to_the_first_tile_that_reads_them) {
  const std::vector<ProductShape> shapes = {
      {.m = 128, .n = 128, .k = 512, .a_bytes = 2, .b_bytes = 4, .c_bytes = 4}};
  Plan plan{.products = {{.method = Method::straight,
                          .rows_x = 128,
                          .rows_y = 128,
                          .k = 512,
                          .block_x = 64,
                          .block_y = 64,
                          .block_k = 512}},
            .steps = 4};
  for (std::int64_t y : {0, 64})
    for (std::int64_t x : {0, 64})
      plan.tiles.push_back({.x0 = x,
                            .count_x = 64,
                            .y0 = y,
                            .count_y = 64,
                            .first_step = static_cast<std::int64_t>(plan.tiles.size())});
  const double x = 64.0 * 512 * 2, y = 64.0 * 512 * 4, c = 64.0 * 64 * 4;
  const std::vector<double> straight = {x + y + c, x + c, y + c, c}, exchanged = {y + x + c, y + c, x + c, c};
  for (const Method method : {Method::straight, Method::exchanged}) {
    plan.products[0].method = method;
    const std::vector<Charge> charges = make_charges(plan, shapes, 2 * x + 2 * y + 4 * c);
    ASSERT_EQ(charges.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_EQ(charges[i].memory_bytes, (method == Method::straight ? straight : exchanged)[i]) << i;
  }
}

}  // namespace
}  // namespace chokepoint::gemm
