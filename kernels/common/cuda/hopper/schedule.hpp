// Which tile comes next? Persistent blocks take tiles in an order that keeps L2 warm. Pure arithmetic, for host and
// device.
//
//   const TileOrder order{.rows = 8, .columns = 30, .group = best_group(...)};
//   for (int i = cluster; i < order.count(); i += clusters) { const TilePlace at = order.place(i); ... }
// With clusters of two, a row of this order is a pair of tiles, of which each block computes one: the order does not
// know, and both blocks of a cluster take as many tiles. A last pair may have but one tile inside the matrix; the other
// loads zeros and stores nothing.
#pragma once

#include <cstdint>

namespace chokepoint::hopper {

struct TilePlace {
  int row = 0, column = 0, cut = 0;
  constexpr bool operator==(const TilePlace&) const = default;
};

// All cuts of a tile follow each other, then the tiles of a column within a group of rows, then the next column, then
// the next group: whoever computes at the same time shares `group` rows of A and few columns of B.
struct TileOrder {
  int rows = 0, columns = 0;
  int cuts = 1;   // parts along k, each a tile of its own
  int group = 1;  // rows

  constexpr int count() const { return rows * columns * cuts; }
  constexpr TilePlace place(int index) const {
    const int cut = index % cuts, tile = index / cuts;
    const int first_row = tile / (group * columns) * group;
    const int in_group = tile - first_row * columns;
    const int group_rows = rows - first_row < group ? rows - first_row : group;
    return {first_row + in_group % group_rows, in_group / group_rows, cut};
  }
};

// Steps of cut c are [cut_begin(c), cut_begin(c + 1)): as even as whole steps allow.
constexpr int cut_begin(int cut, int cuts, int steps) {
  return static_cast<int>(std::int64_t{cut} * steps / cuts);
}

constexpr int tiles_along(std::int64_t length, int block) { return static_cast<int>((length + block - 1) / block); }

// The group of rows for which `at_once` tiles together read the fewest rows of A and columns of B (DeepGEMM's rule,
// csrc/jit_kernels/heuristics/common.hpp@54e2261, here with every size up to 16).
constexpr int best_group(int rows, int columns, int block_m, int block_n, int at_once) {
  constexpr int kMostRows = 16;
  int best = 1;
  std::int64_t least = -1;
  for (int group = 1; group <= kMostRows && group <= rows; ++group) {
    const int wide = tiles_along(at_once, group) < columns ? tiles_along(at_once, group) : columns;
    const int high = tiles_along(at_once, wide) > group ? tiles_along(at_once, wide) : group;
    const std::int64_t read = std::int64_t{high} * block_m + std::int64_t{wide} * block_n;
    if (least >= 0 && read >= least) continue;
    least = read;
    best = group;
  }
  return best;
}

// Where the rows of each group are, such as those that go to one expert; in the device's memory, so that routing may
// run there. Contiguous: groups follow each other without gaps. Masked: each has room for `capacity` rows, and the
// first of them are there.
struct GroupRows {
  const std::int32_t* begin = nullptr;  // contiguous: [groups + 1]
  const std::int32_t* count = nullptr;  // masked: [groups]
  int capacity = 0;

  constexpr int first(int group) const { return count == nullptr ? begin[group] : group * capacity; }
  constexpr int end(int group) const {
    return count == nullptr ? begin[group + 1] : group * capacity + count[group];
  }
};

// All groups' tiles, group after group.
struct GroupOrder {
  GroupRows rows;
  int groups = 0;
  int columns = 0, column_block = 0;  // tiles along the columns of C, and what one of them covers
  int b_rows = 0;                     // of B for each group
  int group = 1;                      // rows of a group of the order
};

// The tiles of one group as clusters take them. Two blocks share the columns of two neighbours along the rows; where
// the number of rows is odd, the last one's tiles are taken two neighbours along the columns at a time, which share
// nothing: no block is idle because a group has few rows.
struct GroupPlace {
  int row = 0, column = 0;
  bool alone = true;
  constexpr bool operator==(const GroupPlace&) const = default;
};
template <int kCluster>
struct GroupTiles {
  static_assert(kCluster == 1 || kCluster == 2, "pairs at most");
  int rows = 0, columns = 0, group = 1;

  constexpr int in_pairs() const { return rows / kCluster * columns; }
  constexpr int count() const { return in_pairs() + (rows % kCluster * columns + kCluster - 1) / kCluster; }
  // Of block `rank` of the cluster; its column may lie outside.
  constexpr GroupPlace place(int index, int rank) const {
    if (index >= in_pairs()) return {rows - 1, (index - in_pairs()) * kCluster + rank, true};
    const TileOrder order{.rows = rows / kCluster, .columns = columns, .group = group};
    const TilePlace at = order.place(index);
    return {at.row * kCluster + rank, at.column, kCluster == 1};
  }
};

// The group of tile `index`, where the tiles of group g end at end[g]; groups without tiles are none's.
constexpr int group_of(const int* end, int groups, int index) {
  int low = 0, high = groups - 1;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (end[middle] > index)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

// Whole bytes of tile `index` of `tiles`; they add up to `bytes`.
constexpr std::int64_t tile_share(std::int64_t bytes, int index, int tiles) {
  return bytes / tiles + (index < bytes % tiles ? 1 : 0);
}

}  // namespace chokepoint::hopper
