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

// Whole bytes of tile `index` of `tiles`; they add up to `bytes`.
constexpr std::int64_t tile_share(std::int64_t bytes, int index, int tiles) {
  return bytes / tiles + (index < bytes % tiles ? 1 : 0);
}

}  // namespace chokepoint::hopper
