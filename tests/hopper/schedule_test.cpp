// In which order do persistent blocks of Hopper kernels take tiles? Each tile once, whatever the sizes.
#include "kernels/common/cuda/hopper/schedule.hpp"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

namespace chokepoint::hopper {
namespace {

TEST(hopper_schedule, every_tile_is_taken_once_by_every_number_of_clusters) {
  for (const int rows : {1, 2, 3, 7, 16})
    for (const int columns : {1, 2, 5, 13})
      for (const int cuts : {1, 3})
        for (const int group : {1, 2, 5, 16})
          for (const int clusters : {1, 2, 7, 66}) {
            const TileOrder order{.rows = rows, .columns = columns, .cuts = cuts, .group = group};
            std::set<std::tuple<int, int, int>> seen;
            int taken = 0;
            for (int cluster = 0; cluster < clusters; ++cluster)
              for (int i = cluster; i < order.count(); i += clusters, ++taken) {
                const TilePlace at = order.place(i);
                ASSERT_TRUE(at.row >= 0 && at.row < rows && at.column >= 0 && at.column < columns && at.cut >= 0 &&
                            at.cut < cuts);
                seen.insert({at.row, at.column, at.cut});
              }
            ASSERT_EQ(taken, rows * columns * cuts);
            ASSERT_EQ(seen.size(), static_cast<std::size_t>(taken));
          }
}

TEST(hopper_schedule, tiles_of_a_group_come_column_by_column_and_cuts_follow_each_other) {
  const TileOrder order{.rows = 3, .columns = 2, .cuts = 2, .group = 2};
  const TilePlace expected[] = {{0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {1, 0, 1}, {0, 1, 0}, {0, 1, 1},
                                {1, 1, 0}, {1, 1, 1}, {2, 0, 0}, {2, 0, 1}, {2, 1, 0}, {2, 1, 1}};
  for (int i = 0; i < 12; ++i) EXPECT_EQ(order.place(i), expected[i]) << i;
}

template <int kCluster>
void expect_every_tile_of_a_group_once(int rows, int columns, int group) {
  const GroupTiles<kCluster> tiles{.rows = rows, .columns = columns, .group = group};
  std::set<std::pair<int, int>> seen;
  int outside = 0;
  for (int i = 0; i < tiles.count(); ++i) {
    const GroupPlace first = tiles.place(i, 0), last = tiles.place(i, kCluster - 1);
    if (kCluster == 2 && !first.alone) {
      EXPECT_EQ(first.column, last.column) << "they share it";
    }
    EXPECT_EQ(first.alone, last.alone) << "or one would wait for what the other does not send";
    for (int rank = 0; rank < kCluster; ++rank) {
      const GroupPlace at = tiles.place(i, rank);
      EXPECT_TRUE(at.row >= 0 && at.row < rows && at.column >= 0 && at.column <= columns);
      if (at.column == columns)
        ++outside;
      else
        EXPECT_TRUE(seen.insert({at.row, at.column}).second);
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns));
  EXPECT_LE(outside, 1) << "one block without work, of a group with odd rows and columns";
}

TEST(hopper_schedule, every_tile_of_a_group_is_taken_once_and_clusters_have_the_same_columns_or_nothing_in_common) {
  for (const int rows : {0, 1, 2, 3, 8, 9})
    for (const int columns : {1, 2, 7, 16})
      for (const int group : {1, 2, 5}) {
        expect_every_tile_of_a_group_once<1>(rows, columns, group);
        expect_every_tile_of_a_group_once<2>(rows, columns, group);
      }
}

// Groups of 0, 3, 0, 0, 1, 0 tiles.
TEST(hopper_schedule, a_tile_belongs_to_the_first_group_that_ends_behind_it) {
  const int end[] = {0, 3, 3, 3, 4, 4};
  for (int tile = 0; tile < 3; ++tile) EXPECT_EQ(group_of(end, 6, tile), 1) << tile;
  EXPECT_EQ(group_of(end, 6, 3), 4);
  const int one[] = {5};
  EXPECT_EQ(group_of(one, 1, 4), 0);
}

TEST(hopper_schedule, rows_of_groups_follow_each_other_or_have_room) {
  const std::int32_t begin[] = {0, 3, 3, 10}, count[] = {2, 0, 5};
  const GroupRows contiguous{.begin = begin}, masked{.count = count, .capacity = 8};
  EXPECT_EQ(contiguous.first(2), 3);
  EXPECT_EQ(contiguous.end(2), 10);
  EXPECT_EQ(contiguous.first(1), contiguous.end(1));
  EXPECT_EQ(masked.first(2), 16);
  EXPECT_EQ(masked.end(2), 21);
  EXPECT_EQ(masked.first(1), masked.end(1));
}

TEST(hopper_schedule, cuts_share_all_steps_as_evenly_as_they_can) {
  for (const int steps : {1, 7, 16, 113})
    for (const int cuts : {1, 2, 5}) {
      EXPECT_EQ(cut_begin(0, cuts, steps), 0);
      EXPECT_EQ(cut_begin(cuts, cuts, steps), steps);
      for (int cut = 0; cut < cuts; ++cut) {
        const int length = cut_begin(cut + 1, cuts, steps) - cut_begin(cut, cuts, steps);
        EXPECT_TRUE(length == steps / cuts || length == steps / cuts + 1);
      }
    }
}

TEST(hopper_schedule, shares_of_a_charge_add_up) {
  for (const int tiles : {1, 3, 528}) {
    std::int64_t sum = 0;
    for (int i = 0; i < tiles; ++i) sum += tile_share(100'003, i, tiles);
    EXPECT_EQ(sum, 100'003);
  }
}

// 66 clusters with tiles of 256 x 256: 6 rows and 11 columns read 17 blocks, as 8 and 9 do; 16 and 5, 21; 1 and 66, 67.
TEST(hopper_schedule, the_group_keeps_the_working_set_small) {
  EXPECT_EQ(best_group(16, 100, 256, 256, 66), 6);
  EXPECT_EQ(best_group(16, 16, 256, 256, 66), 6);  // a group of 1 would take 16 columns, and 5 rows all the same
  EXPECT_EQ(best_group(1, 100, 256, 256, 66), 1);
  EXPECT_EQ(best_group(100, 1, 128, 128, 132), 1);  // one column: any group is as good, so the smallest
}

}  // namespace
}  // namespace chokepoint::hopper
