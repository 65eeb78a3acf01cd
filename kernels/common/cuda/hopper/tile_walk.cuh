// Which tile does this block compute next? All that the warps of a product know of order, rows, cuts and clusters.
//
//   DenseWalk<kBlockM, kBlockN, kCluster> walk(order, m, steps);
//   GroupedWalk<kBlockM, kCluster> walk(order, tile_end, steps);
//   for (ProductWork work; walk.next(work);) ...
// Each role of a block (loads, paces, computes) walks by itself, and all see the same tiles in the same order. The
// blocks of a cluster take as many tiles each, at the same time; a tile may lie outside the matrix.
#pragma once

#include "kernels/common/cuda/hopper/ptx.cuh"
#include "kernels/common/cuda/hopper/schedule.hpp"

namespace chokepoint::hopper {

// One tile of this block: rows of A and C, columns of C, steps of k.
struct ProductWork {
  int row, row_end;  // rows from row_end on are not this tile's to write
  int column;
  int step, step_end;
  int cut;     // of those along k
  int index;   // among walk.tiles()
  int group;   // whose rows they are
  bool alone;  // shares nothing with the other block of its cluster
};

// This block's cluster among the others, and its rank in it.
template <int kCluster>
struct Seat {
  int rank = kCluster == 1 ? 0 : static_cast<int>(cluster_rank());
  int cluster = static_cast<int>(blockIdx.x) / kCluster, clusters = static_cast<int>(gridDim.x) / kCluster;
};

// Of one matrix. A row of the order is the tiles of a whole cluster.
template <int kBlockM, int kBlockN, int kCluster>
class DenseWalk {
 public:
  // `order` outlives it.
  __device__ __forceinline__ DenseWalk(const TileOrder& order, int rows, int steps)
      : order_(order), rows_(rows), steps_(steps), at_(seat_.cluster) {}

  __device__ __forceinline__ bool next(ProductWork& work) {
    if (at_ >= order_.count()) return false;
    const TilePlace place = order_.place(at_);
    work = {.row = (place.row * kCluster + seat_.rank) * kBlockM,
            .row_end = rows_,
            .column = place.column * kBlockN,
            .step = cut_begin(place.cut, order_.cuts, steps_),
            .step_end = cut_begin(place.cut + 1, order_.cuts, steps_),
            .cut = place.cut,
            .index = at_ * kCluster + seat_.rank,
            .group = 0,
            .alone = kCluster == 1};
    at_ += seat_.clusters;
    return true;
  }

  // Of all blocks.
  __device__ __forceinline__ int tiles() const { return order_.count() * kCluster; }

 private:
  const TileOrder& order_;
  int rows_, steps_;
  Seat<kCluster> seat_;
  int at_;
};

// Of groups of rows, one after the other.
template <int kBlockM, int kCluster>
class GroupedWalk {
 public:
  // Both outlive it; tile_end as count_tiles leaves it.
  __device__ __forceinline__ GroupedWalk(const GroupOrder& order, const int* tile_end, int steps)
      : order_(order), tile_end_(tile_end), steps_(steps), at_(Seat<kCluster>{}.cluster) {}

  // Into shared memory, [groups]; by one whole block, which then has to meet.
  __device__ static void count_tiles(const GroupOrder& order, int* tile_end) {
    for (int group = static_cast<int>(threadIdx.x); group < order.groups; group += static_cast<int>(blockDim.x))
      tile_end[group] = tiles_of(order, group).count();
    __syncthreads();
    if (threadIdx.x < 32) add_up(tile_end, order.groups);
  }

  __device__ __forceinline__ bool next(ProductWork& work) {
    if (at_ >= count()) return false;
    const Seat<kCluster> seat;  // asked for again, since sums leave few registers
    const int group = group_of(tile_end_, order_.groups, at_);
    const int before = group == 0 ? 0 : tile_end_[group - 1];
    const GroupPlace place = tiles_of(order_, group).place(at_ - before, seat.rank);
    work = {.row = order_.rows.first(group) + place.row * kBlockM,
            .row_end = order_.rows.end(group),
            .column = place.column * order_.column_block,
            .step = 0,
            .step_end = steps_,
            .cut = 0,
            .index = at_ * kCluster + seat.rank,
            .group = group,
            .alone = place.alone};
    at_ += seat.clusters;
    return true;
  }

  __device__ __forceinline__ int tiles() const { return count() * kCluster; }

 private:
  __device__ __forceinline__ int count() const { return tile_end_[order_.groups - 1]; }  // of clusters

  __device__ static GroupTiles<kCluster> tiles_of(const GroupOrder& order, int group) {
    return {.rows = tiles_along(order.rows.end(group) - order.rows.first(group), kBlockM),
            .columns = order.columns,
            .group = order.group};
  }

  // Running sums, by one warp.
  __device__ static void add_up(int* values, int count) {
    int before = 0;
    for (int first = 0; first < count; first += 32) {
      const int lane = static_cast<int>(lane_id()), i = first + lane;
      int sum = i < count ? values[i] : 0;
#pragma unroll
      for (int distance = 1; distance < 32; distance *= 2) {
        const int other = __shfl_up_sync(0xffffffffU, sum, static_cast<unsigned>(distance));
        if (lane >= distance) sum += other;
      }
      sum += before;
      if (i < count) values[i] = sum;
      before = __shfl_sync(0xffffffffU, sum, 31);
    }
  }

  const GroupOrder& order_;
  const int* tile_end_;
  int steps_;
  int at_;
};

}  // namespace chokepoint::hopper
