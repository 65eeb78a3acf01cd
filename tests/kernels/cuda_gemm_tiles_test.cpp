// The plan of a product on a GPU: each part of the output once, tiles that fit, no more cuts than there is
// room for.
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "kernels/common/cuda/gemm_tiles.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

constexpr GemmMachine kH100{.multiprocessors = 132, .shared_bytes = 232448};

GemmPlan plan_of(Dtype dtype, std::int64_t m, std::int64_t n, std::int64_t k,
                 const GemmMachine& machine = kH100) {
  return gemm_plan({.dtype = dtype, .m = m, .n = n, .k = k}, machine, GemmCuts::as_wanted);
}

TEST(cuda_gemm_tiles, each_tile_and_cut_has_one_place) {
  for (const int rows : {1, 2, 7, 16, 33})
    for (const int columns : {1, 5, 12})
      for (const int cuts : {1, 3})
        for (const int band : {1, 4, 16, 50}) {
          std::map<std::tuple<int, int, int>, int> seen;
          for (int i = 0; i < rows * columns * cuts; ++i) {
            const GemmPlace place = gemm_place(i, rows, columns, cuts, band);
            EXPECT_TRUE(place.row >= 0 && place.row < rows && place.column >= 0 && place.column < columns);
            ++seen[{place.row, place.column, place.cut}];
          }
          EXPECT_EQ(seen.size(), static_cast<std::size_t>(rows * columns * cuts));
        }
}

TEST(cuda_gemm_tiles, cuts_cover_the_steps_and_shares_add_up) {
  for (const int steps : {0, 1, 7, 256})
    for (const int cuts : {1, 2, 5, 32}) {
      EXPECT_EQ(gemm_cut(0, cuts, steps), 0);
      EXPECT_EQ(gemm_cut(cuts, cuts, steps), steps);
      for (int c = 0; c < cuts; ++c) EXPECT_LE(gemm_cut(c, cuts, steps), gemm_cut(c + 1, cuts, steps));
    }
  for (const std::int64_t bytes : {0LL, 1LL, 999LL, 1LL << 40}) {
    std::int64_t sum = 0;
    for (int i = 0; i < 77; ++i) sum += gemm_share(bytes, i, 77);
    EXPECT_EQ(sum, bytes);
  }
}

TEST(cuda_gemm_tiles, large_products_take_large_tiles_and_few_rows_thin_ones) {
  EXPECT_EQ(plan_of(Dtype::bf16, 8192, 8192, 8192).tile_name, GemmTileName::wide);
  EXPECT_EQ(plan_of(Dtype::bf16, 64, 7168, 16384).tile_name, GemmTileName::low);
  EXPECT_EQ(plan_of(Dtype::bf16, 1, 7168, 16384).tile_name, GemmTileName::thin);
  EXPECT_EQ(plan_of(Dtype::fp8_e4m3, 4096, 7168, 16384).tile_name, GemmTileName::square_fp8);
  EXPECT_EQ(plan_of(Dtype::f32, 4096, 4096, 4096).tile_name, GemmTileName::large_f32);
  EXPECT_EQ(plan_of(Dtype::f32, 64, 64, 64).tile_name, GemmTileName::small_f32);
  // The probe of compute: 8 tiles, cut until 128 blocks have work.
  EXPECT_EQ(plan_of(Dtype::bf16, 512, 512, 1 << 20).tile_name, GemmTileName::wide);
  EXPECT_EQ(plan_of(Dtype::bf16, 512, 512, 1 << 20).cuts, 16);
  // What Ampere's smaller chips lack is shared memory.
  EXPECT_EQ(plan_of(Dtype::bf16, 8192, 8192, 8192, {.multiprocessors = 84}).tile_name, GemmTileName::square);
}

// Of 132 multiprocessors, the 56 tiles of 64 x 7168 would use fewer than half.
TEST(cuda_gemm_tiles, products_of_few_tiles_are_cut_until_all_multiprocessors_stream) {
  const GemmPlan plan = plan_of(Dtype::bf16, 64, 7168, 16384);
  EXPECT_EQ(plan.cuts, 264 / 56);
  EXPECT_GE(plan.grid, 132);
  EXPECT_EQ(plan.workspace_bytes, kGemmCounterBytes + 56 * 4 * 64 * 128 * 4);
  EXPECT_EQ(plan_of(Dtype::bf16, 8192, 8192, 8192).cuts, 1);
  EXPECT_EQ(plan_of(Dtype::bf16, 64, 128, 64).cuts, 1) << "one step cannot be cut";
}

TEST(cuda_gemm_tiles, without_room_nothing_is_cut) {
  GemmTask task{.dtype = Dtype::bf16, .m = 64, .n = 7168, .k = 16384};
  EXPECT_EQ(gemm_plan(task, kH100, GemmCuts::as_workspace_allows).cuts, 1);
  alignas(16) static std::byte room[16];
  task.workspace = room;
  task.workspace_bytes = gemm_plan(task, kH100, GemmCuts::as_wanted).workspace_bytes - 1;
  EXPECT_EQ(gemm_plan(task, kH100, GemmCuts::as_workspace_allows).cuts, 1);
  ++task.workspace_bytes;
  EXPECT_EQ(gemm_plan(task, kH100, GemmCuts::as_workspace_allows).cuts, 4);
}

TEST(cuda_gemm_tiles, blocks_fit_their_multiprocessor) {
  for (int i = 0; i <= static_cast<int>(GemmTileName::small_f32); ++i) {
    const auto name = static_cast<GemmTileName>(i);
    const GemmTile tile = gemm_tile(name);
    const Dtype dtype = name >= GemmTileName::large_f32 ? Dtype::f32 : Dtype::bf16;
    const std::int32_t groups[1] = {};
    const GemmPlan plan = gemm_plan_with(
        name, 1,
        {.dtype = dtype, .m = 64, .n = 64, .k = 64, .group_begin = groups, .groups = kMostGemmGroups}, kH100);
    EXPECT_LE(plan.shared_bytes, 232448);
    EXPECT_LE(tile.blocks * (plan.shared_bytes + 1024), 233472)
        << i;                                     // of a multiprocessor; 1 KiB per block is taken
    EXPECT_LE(tile.threads() * 255, 65536) << i;  // launch bounds see to the other blocks
  }
}

TEST(cuda_gemm_tiles, alignment_decides_how_operands_are_loaded) {
  const auto async = [](Dtype dtype, std::int64_t n, std::int64_t k, GemmLayout layout) {
    return gemm_plan({.dtype = dtype, .m = 64, .n = n, .k = k, .b_layout = layout}, kH100,
                     GemmCuts::as_wanted)
        .async;
  };
  EXPECT_TRUE(async(Dtype::bf16, 7, 64, GemmLayout::nk));
  EXPECT_FALSE(async(Dtype::bf16, 8, 63, GemmLayout::nk));
  EXPECT_FALSE(async(Dtype::bf16, 7, 64, GemmLayout::kn));
  EXPECT_TRUE(async(Dtype::bf16, 8, 64, GemmLayout::kn));
  EXPECT_TRUE(async(Dtype::fp8_e4m3, 7, 16, GemmLayout::nk));
  EXPECT_FALSE(async(Dtype::fp8_e4m3, 16, 8, GemmLayout::nk));
  EXPECT_FALSE(async(Dtype::fp8_e4m3, 16, 16, GemmLayout::kn));
}

TEST(cuda_gemm_tiles, what_cannot_be_computed_is_refused) {
  const auto message = [](const GemmTask& task) {
    return error_text([&] { gemm_plan(task, kH100, GemmCuts::as_wanted); });
  };
  EXPECT_NE(message({.m = 1LL << 31, .n = 1, .k = 1}).find("m is 2147483648"), std::string::npos);
  EXPECT_NE(message({.m = 1, .n = 1, .k = 1, .groups = 2}).find("group_begin"), std::string::npos);
  EXPECT_NE(message({.m = 1, .n = 1, .k = 1, .groups = 1025}).find("at most 1024"), std::string::npos);
  EXPECT_NE(message({.m = 1, .n = 1, .k = 1, .c_dtype = Dtype::fp8_e4m3}).find("output dtype"),
            std::string::npos);
}

}  // namespace
}  // namespace chokepoint
