// Which tile does this block compute next? All that the warps of a product know of order, rows, cuts and clusters.
//
//   DenseWalk<kBlockM, kBlockN, kCluster> walk(order, m, steps);
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
  int cut;    // of those along k
  int index;  // among walk.tiles()
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
            .index = at_ * kCluster + seat_.rank};
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

}  // namespace chokepoint::hopper
