// Which tile does a product on Hopper get, and does what is chosen fit the machine?
#include <gtest/gtest.h>

#include "kernels/common/cuda/hopper/grouped.hpp"

namespace chokepoint::hopper {
namespace {

constexpr ProductMachine kH100{};  // 132 multiprocessors, 227 KiB

ProductPlan plan_of(std::int64_t m, std::int64_t n, std::int64_t k, bool kn = false) {
  return product_plan({.m = m, .n = n, .k = k, .b_is_kn = kn}, kH100);
}
ProductPlan fp8_plan_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  return product_plan({.m = m, .n = n, .k = k, .fp8 = true}, kH100);
}

void expect_covered(const ProductPlan& plan, std::int64_t m, std::int64_t n, std::int64_t k) {
  const ProductTile tile = plan.tile();
  ASSERT_GT(plan.grid, 0);
  EXPECT_EQ(plan.grid % tile.cluster, 0);
  EXPECT_LE(plan.grid, 132);
  EXPECT_GE(std::int64_t{plan.order.rows} * tile.block_m * tile.cluster, m);
  EXPECT_GE(std::int64_t{plan.order.columns} * tile.block_n, n);
  EXPECT_GE(std::int64_t{plan.steps} * tile.depth(), k);
  EXPECT_LE(plan.order.cuts, plan.steps);
  if (tile.cluster > 1) {
    EXPECT_EQ(plan.order.cuts, 1) << "clusters do not join cuts";
  }
  EXPECT_EQ(plan.counter_bytes % 16 + plan.partial_bytes % 16 + plan.a_bytes % 16, 0) << "copies are aligned";
}

TEST(hopper_plan, every_tile_fits_shared_memory_and_registers) {
  for (const bool fp8 : {false, true})
    for (const ProductTileName name : fp8 ? kFp8TileNames : kProductTileNames) {
      const ProductTile tile = product_tile(name);
      EXPECT_EQ(tile.fp8, fp8);
      EXPECT_LE(product_shared_bytes(tile), kH100.shared_bytes) << tile_name(name);
      EXPECT_EQ(tile.block_m % 64, 0);
      EXPECT_GE(tile.stages, 3);
      EXPECT_EQ(tile.b_bytes() / tile.cluster % kTileAlignment, 0);
      EXPECT_LE(40 + tile.consumers() * 232, 512);
      EXPECT_LE((fp8 ? 2 : 1) * tile.block_n / 2, 192) << "sums leave registers for addresses and factors";
    }
  // wide: 4 x (16 + 32) KiB of stages, 2 x 16 KiB of stores, 512 B of notes.
  EXPECT_EQ(product_shared_bytes(product_tile(ProductTileName::wide)), 4 * 49152 + 2 * 16384 + 512);
  // fp8_wide: 4 x (16 + 24) KiB, and 4 x 128 scales.
  EXPECT_EQ(product_shared_bytes(product_tile(ProductTileName::fp8_wide)), 4 * (40960 + 512) + 2 * 16384 + 512);
}

TEST(hopper_plan, large_products_take_wide_tiles_and_all_multiprocessors) {
  for (const std::int64_t side : {4096, 8192}) {
    const ProductPlan plan = plan_of(side, side, side);
    EXPECT_EQ(plan.name, ProductTileName::wide);
    EXPECT_EQ(plan.grid, 132);
    EXPECT_EQ(plan.order.cuts, 1);
    EXPECT_EQ(plan.order.count(), side / 256 * (side / 256));
    EXPECT_TRUE(plan.store_by_tma);
    EXPECT_EQ(plan.workspace_bytes(), 0);
  }
}

// 4096 x 2112: 16 pairs of rows; 9 columns of 256 are 144 tiles for 66 clusters, in 3 waves; 11 of 192 are 176, in 3
// waves of three quarters of the work.
TEST(hopper_plan, medium_tiles_fill_waves_that_wide_ones_do_not) {
  const ProductPlan plan = plan_of(4096, 2112, 7168);
  EXPECT_EQ(plan.name, ProductTileName::medium);
  EXPECT_EQ(plan.order.count(), 176);
}

TEST(hopper_plan, few_rows_take_tiles_of_64_cut_until_multiprocessors_are_busy) {
  for (const auto& [n, k] : {std::pair{2112, 7168}, {7168, 2048}, {4096, 7168}, {576, 7168}})
    for (const ProductPlan& plan : {plan_of(64, n, k), fp8_plan_of(64, n, k), plan_of(1, n, k), fp8_plan_of(1, n, k)}) {
      EXPECT_EQ(plan.tile().block_m, 64) << n;
      EXPECT_GE(plan.grid, 100) << n;
      // Sums per tile and cut.
      const std::int64_t sums = plan.tile().block_m * plan.tile().block_n * 4;
      EXPECT_EQ(plan.partial_bytes, plan.order.cuts == 1 ? 0 : plan.order.columns * plan.order.cuts * sums);
    }
}

// 2112 columns are 33 tiles of 64, four cuts of which are one wave; 17 of 128 would take seven, and join more sums.
TEST(hopper_plan, narrow_tiles_need_fewer_cuts) {
  const ProductPlan plan = fp8_plan_of(16, 2112, 7168);
  EXPECT_EQ(plan.name, ProductTileName::fp8_narrow);
  EXPECT_EQ(plan.order.cuts, 4);
  EXPECT_EQ(plan.grid, 132);
}

// Layers of DeepSeek-V3 with more weights than 8 MB; a clock takes 1970 bytes from memory.
TEST(hopper_plan, few_rows_are_expected_to_run_at_three_quarters_of_memorys_rate) {
  for (const std::int64_t m : {1, 16, 64, 128})
    for (const auto& [n, k] :
         {std::pair{2112, 7168}, {24576, 1536}, {32768, 512}, {7168, 16384}, {4096, 7168}, {7168, 2048}})
      for (const bool fp8 : {false, true}) {
        if (fp8 && m == 128 && n == 2112) continue;  // 16 MB, of which the join of 7 cuts takes a third
        const ProductTask task{.m = m, .n = n, .k = k, .fp8 = fp8};
        const double bytes = (fp8 ? 1.0 : 2.0) * static_cast<double>(m * k + n * k) + 2.0 * static_cast<double>(m * n);
        EXPECT_GE(bytes / 1970.0 / product_cycles(product_plan(task, kH100), task, kH100), 0.74)
            << m << ' ' << n << ' ' << k << (fp8 ? " fp8" : " bf16");
      }
}

TEST(hopper_plan, large_fp8_products_take_wide_tiles_in_clusters) {
  // 16 pairs of rows: 38 columns of 192 are 608 tiles in 10 waves of 66; 45 of 160 are 720 in 11, of less work each.
  EXPECT_EQ(fp8_plan_of(4096, 7168, 16384).name, ProductTileName::fp8_medium);
  EXPECT_EQ(fp8_plan_of(8192, 8192, 8192).name, ProductTileName::fp8_wide);
  EXPECT_EQ(fp8_plan_of(8192, 8192, 8192).steps, 64);
}

// Fp8 that is [k, n] is turned whatever its pitch; 100 bytes of k are copied to 112.
TEST(hopper_plan, fp8_is_read_along_k_alone) {
  const ProductPlan kn = product_plan({.m = 64, .n = 256, .k = 128, .b_is_kn = true, .fp8 = true}, kH100);
  EXPECT_EQ(kn.b_pitch, 128);
  EXPECT_EQ(kn.b_bytes, 256 * 128);
  EXPECT_EQ(kn.a_pitch, 0);
  const ProductPlan nk = fp8_plan_of(64, 256, 100);
  EXPECT_EQ(nk.a_pitch, 112);
  EXPECT_EQ(nk.b_pitch, 112);
}

TEST(hopper_plan, rows_that_tma_cannot_reach_are_copied_to_whole_units) {
  const ProductPlan nk = plan_of(100, 200, 101);  // 202 bytes; 104 elements are 208
  EXPECT_EQ(nk.a_pitch, 104);
  EXPECT_EQ(nk.b_pitch, 104);
  EXPECT_GE(nk.a_bytes, 100 * 208);
  EXPECT_TRUE(nk.store_by_tma);
  const ProductPlan kn = plan_of(100, 201, 104, true);
  EXPECT_EQ(kn.a_pitch, 0);
  EXPECT_EQ(kn.b_pitch, 208);
  EXPECT_FALSE(kn.store_by_tma);
}

// A green context of 80 or 81: 40 pairs of blocks. Of 1: a pair all the same, or nothing would be computed.
TEST(hopper_plan, a_launch_has_no_more_blocks_than_multiprocessors_it_reaches) {
  const ProductPlan wide = plan_of(4096, 4096, 4096);
  EXPECT_EQ(product_grid(wide, 0), 132);
  EXPECT_EQ(product_grid(wide, 132), 132);
  EXPECT_EQ(product_grid(wide, 80), 80);
  EXPECT_EQ(product_grid(wide, 81), 80);
  EXPECT_EQ(product_grid(wide, 1), 2);
  EXPECT_EQ(product_grid(plan_of(64, 64, 64), 80), 1) << "not more than there are tiles";
}

TEST(hopper_plan, every_shape_gets_a_plan_that_covers_it) {
  for (const std::int64_t m : {1, 17, 64, 65, 128, 129, 1000, 4096})
    for (const std::int64_t n : {1, 8, 127, 2112, 32768})
      for (const std::int64_t k : {1, 64, 65, 512, 16384}) {
        expect_covered(plan_of(m, n, k), m, n, k);
        expect_covered(fp8_plan_of(m, n, k), m, n, k);
      }
}

TEST(hopper_plan, what_cannot_be_counted_is_refused_with_a_reason) {
  EXPECT_EQ(product_obstacle(1, 1, 1), std::nullopt);
  EXPECT_EQ(product_obstacle(1 << 20, 1 << 20, 64), std::nullopt);
  EXPECT_NE(product_obstacle(std::int64_t{1} << 30, 1 << 20, 64), std::nullopt);
  EXPECT_NE(product_obstacle(1, 1, std::int64_t{1} << 31), std::nullopt);
}

GroupedTask grouped(std::int64_t groups, std::int64_t rows, std::int64_t n, std::int64_t k, bool gated) {
  return {.m = groups * rows, .n = n, .k = k, .groups = groups, .gated = gated, .rows_per_group = rows};
}

TEST(hopper_plan, groups_of_many_rows_take_wide_tiles_and_groups_of_few_take_low_ones) {
  for (const std::int64_t rows : {128, 256, 512, 8192})
    EXPECT_EQ(grouped_plan(grouped(8, rows, 4096, 7168, true), kH100).name, ProductTileName::wide) << rows;
  for (const std::int64_t rows : {1, 16, 64}) {
    EXPECT_EQ(grouped_plan(grouped(8, rows, 4096, 7168, true), kH100).name, ProductTileName::low) << rows;
    EXPECT_EQ(grouped_plan(grouped(8, rows, 7168, 2048, false), kH100).name, ProductTileName::low) << rows;
  }
}

TEST(hopper_plan, every_grouped_product_fits_its_machine_and_is_covered) {
  for (const ProductTileName name : kGroupedTileNames) {
    const ProductTile tile = product_tile(name);
    EXPECT_LE(grouped_shared_bytes(tile), kH100.shared_bytes);
    EXPECT_EQ(tile.b_bytes() / 2 % kTileAlignment, 0) << "halves of B are boxes of TMA";
    for (const std::int64_t n : {2, 8, 4096, 4098})
      for (const std::int64_t k : {1, 64, 7168})
        for (const bool gated : {false, true}) {
          const GroupedTask task = grouped(3, 100, n, k, gated);
          const GroupedPlan plan = grouped_plan_with(name, task, kH100);
          EXPECT_GE(plan.columns * plan.column_block, task.columns());
          EXPECT_EQ(plan.column_block, gated ? tile.block_n / 2 : tile.block_n);
          EXPECT_GE(plan.steps * kProductDepth, k);
          EXPECT_EQ(plan.grid % tile.cluster, 0);
          EXPECT_LE(plan.grid, 132);
          EXPECT_EQ(plan.a_bytes > 0, k % 8 != 0);
        }
  }
}

TEST(hopper_plan, grouped_products_in_fp8_take_half_the_steps_of_wide_tiles) {
  for (const std::int64_t rows : {1, 64, 8192}) {
    GroupedTask task = grouped(8, rows, 4096, 7168, true);
    task.fp8 = true;
    const GroupedPlan plan = grouped_plan(task, kH100);
    EXPECT_EQ(plan.name, ProductTileName::wide);
    EXPECT_EQ(plan.steps, 56);
    EXPECT_FALSE(plan.store_by_tma) << "codes";
  }
}

TEST(hopper_plan, grouped_products_keep_to_the_multiprocessors_they_are_given) {
  GroupedTask task = grouped(8, 1024, 4096, 7168, true);
  task.multiprocessors = 112;
  EXPECT_EQ(grouped_plan(task, kH100).grid, 112);
  const GroupedPlan all = grouped_plan(grouped(8, 1024, 4096, 7168, true), kH100);
  EXPECT_EQ(grouped_grid(all, 112), 112);
  EXPECT_EQ(grouped_grid(all, 113), 112) << "whole clusters";
  EXPECT_EQ(grouped_grid(all, 1), 2);
  EXPECT_EQ(grouped_grid(all, 0), all.grid) << "as planned";
  task.multiprocessors = 1;
  EXPECT_GE(grouped_plan(task, kH100).grid, 1);
}

TEST(hopper_plan, grouped_products_that_cannot_be_counted_are_refused_with_a_reason) {
  const auto obstacle = [](std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t groups, bool gated = false,
                           bool fp8 = false) {
    return grouped_obstacle({.m = m, .n = n, .k = k, .groups = groups, .fp8 = fp8, .gated = gated});
  };
  EXPECT_EQ(obstacle(1, 1, 1, 1), std::nullopt);
  EXPECT_EQ(obstacle(32768, 4096, 7168, 256), std::nullopt);
  EXPECT_NE(obstacle(1, 1, 1, kMostGroups + 1), std::nullopt);
  EXPECT_NE(obstacle(1, 1, 1, 0), std::nullopt);
  EXPECT_NE(obstacle(1 << 20, 1 << 22, 64, 600), std::nullopt);
  EXPECT_NE(obstacle(1, 3, 1, 1, true), std::nullopt) << "halves";
  EXPECT_EQ(obstacle(1, 4096, 7168, 1, true, true), std::nullopt);
  EXPECT_NE(obstacle(1, 4096, 7160, 1, true, true), std::nullopt) << "rows of 7160 bytes";
  EXPECT_NE(obstacle(1, 4096 - 128, 7168, 1, true, true), std::nullopt) << "half a block of scales";
}

}  // namespace
}  // namespace chokepoint::hopper
