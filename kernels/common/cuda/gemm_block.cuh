// Which tile of C does a block compute next, what does it charge, and where does the result go? Shared by all
// matrix products; GemmTile and GemmArgs are those of gemm_tiles.hpp.
//
// Blocks stay and take every gridDim.x-th tile. With groups, each block adds up the rows of tiles that come
// before each group and finds the group of a tile by bisection. Tiles that are cut along k leave their sums
// in the workspace; the last to arrive adds them in order, so that the result is the same every time.
#pragma once

#include "kernels/common/cuda/device_clock.cuh"
#include "kernels/common/cuda/gemm_tiles.hpp"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint {

// One tile of one group: rows [row, row_end) of the product, columns from `column` on, steps [step, step_end)
// of k.
struct GemmTileWork {
  int group, row, row_end, column, step, step_end;
  int cut_tile;  // number of the tile among those that are cut
  int cut;
};

// What a block keeps in shared memory behind its operands. The pace is there to save registers: one thread
// needs it.
struct GemmNotes {
  __device__ GemmNotes(unsigned char* at, const DevicePace& clocks)
      : pace(reinterpret_cast<BlockPace<2>*>(at)),
        told(reinterpret_cast<int*>(at + sizeof(BlockPace<2>))),
        row_tiles(reinterpret_cast<int*>(at + kGemmNoteBytes)) {
    static_assert(sizeof(BlockPace<2>) + sizeof(int) <= kGemmNoteBytes, "the notes have room");
    if (threadIdx.x == 0) *pace = BlockPace<2>(clocks);
  }
  BlockPace<2>* pace;
  int* told;
  int* row_tiles;  // of groups
};

template <GemmTileName kName>
class GemmWalk {
 public:
  static constexpr GemmTile kTile = gemm_tile(kName);

  // `row_tiles` has room for groups + 1 numbers where there are groups. All threads; ends with a barrier.
  __device__ GemmWalk(const GemmArgs& args, int* row_tiles) : args_(args), row_tiles_(row_tiles) {
    if (args.group_begin == nullptr) {
      row_tiles_total_ = (args.m + kTile.block_m - 1) / kTile.block_m;
      return;
    }
    count_row_tiles();
    row_tiles_total_ = row_tiles_[args.groups];
  }

  __device__ int tiles() const { return row_tiles_total_ * args_.tile_columns * args_.cuts; }

  __device__ GemmTileWork at(int tile) const {
    GemmTileWork work;
    int first_row_tile = 0, row_tiles = row_tiles_total_, begin = 0;
    work.group = 0;
    work.row_end = args_.m;
    if (args_.group_begin != nullptr) {
      work.group = group_of(tile / (args_.tile_columns * args_.cuts));
      first_row_tile = row_tiles_[work.group];
      row_tiles = row_tiles_[work.group + 1] - first_row_tile;
      begin = __ldg(args_.group_begin + work.group);
      work.row_end = __ldg(args_.group_begin + work.group + 1);
    }
    const int first = first_row_tile * args_.tile_columns * args_.cuts;
    const GemmPlace place = gemm_place(tile - first, row_tiles, args_.tile_columns, args_.cuts, args_.band);
    work.row = begin + place.row * kTile.block_m;
    if (work.row_end > work.row + kTile.block_m) work.row_end = work.row + kTile.block_m;
    work.column = place.column * kTile.block_n;
    work.cut = place.cut;
    work.cut_tile = (tile - first) / args_.cuts;
    work.step = gemm_cut(place.cut, args_.cuts, args_.steps);
    work.step_end = gemm_cut(place.cut + 1, args_.cuts, args_.steps);
    return work;
  }

  // What the tile costs: 2 FLOP per product, and its share of the bytes. For one thread.
  __device__ void charge(BlockPace<2>& pace, int tile, const GemmTileWork& work, int depth) const {
    const int k_begin = work.step * depth;
    const int k_end = work.step_end * depth < args_.k ? work.step_end * depth : args_.k;
    const int columns = args_.n - work.column < kTile.block_n ? args_.n - work.column : kTile.block_n;
    const double elements = static_cast<double>(work.row_end - work.row) * columns;
    pace.begin(static_cast<double>(gemm_share(args_.memory_bytes, tile, tiles())),
               2.0 * elements * (k_end - k_begin));
  }

 private:
  static constexpr int kPerThread =
      static_cast<int>((kMostGemmGroups + kTile.threads() - 1) / kTile.threads());

  // row_tiles_[g]: row tiles of the groups before g, by doubling strides.
  __device__ void count_row_tiles() {
    const int groups = args_.groups;
    for (int g = static_cast<int>(threadIdx.x); g <= groups; g += kTile.threads()) {
      const int rows = g == 0 ? 0 : __ldg(args_.group_begin + g) - __ldg(args_.group_begin + g - 1);
      row_tiles_[g] = (rows + kTile.block_m - 1) / kTile.block_m;
    }
    __syncthreads();
    for (int stride = 1; stride <= groups; stride *= 2) {
      int before[kPerThread];
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
        const int g = static_cast<int>(threadIdx.x) + i * kTile.threads() + 1;
        before[i] = g <= groups && g >= stride ? row_tiles_[g - stride] : 0;
      }
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
        const int g = static_cast<int>(threadIdx.x) + i * kTile.threads() + 1;
        if (g <= groups) row_tiles_[g] += before[i];
      }
      __syncthreads();
    }
  }

  // The last group that begins at or before this row tile: groups without rows are passed over.
  __device__ int group_of(int row_tile) const {
    int low = 0, high = args_.groups;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (row_tiles_[middle] <= row_tile)
        low = middle;
      else
        high = middle;
    }
    return low;
  }

  const GemmArgs& args_;
  int* row_tiles_;
  int row_tiles_total_ = 0;
};

// Elements (row, column) and (row, column + 1) of C; the second may lie beyond the last column.
__device__ inline void gemm_store_pair(const GemmArgs& args, int row, int column, float first, float second) {
  if (column >= args.n) return;
  const bool both = column + 1 < args.n;
  const std::int64_t at = row * args.c_stride + column;
  if (args.c_is_f32) {
    float* c = static_cast<float*>(args.c) + at;
    if (args.accumulate) {
      first += c[0];
      if (both) second += c[1];
    }
    if (both && args.c_pairs) {
      *reinterpret_cast<float2*>(c) = make_float2(first, second);
    } else {
      c[0] = first;
      if (both) c[1] = second;
    }
    return;
  }
  std::uint16_t* c = static_cast<std::uint16_t*>(args.c) + at;
  if (args.accumulate) {
    first += bf16_to_float(c[0]);
    if (both) second += bf16_to_float(c[1]);
  }
  const std::uint32_t pair = pack_bf16(first, second);
  if (both && args.c_pairs) {
    *reinterpret_cast<std::uint32_t*>(c) = pair;
  } else {
    c[0] = static_cast<std::uint16_t>(pair & 0xffffU);
    if (both) c[1] = static_cast<std::uint16_t>(pair >> 16);
  }
}

// Adds up the sums of a tile's cuts. True for the block that arrives last: its `sums` are then those of the
// whole tile. All threads; `told` is a word of shared memory.
template <GemmTileName kName, int kSums>
__device__ bool gemm_join_cuts(const GemmArgs& args, const GemmTileWork& work, float (&sums)[kSums],
                               int* told) {
  constexpr GemmTile kTile = gemm_tile(kName);
  static_assert(kSums * kTile.threads() == kTile.block_m * kTile.block_n,
                "each thread holds its part of the tile");
  constexpr std::int64_t kTileSums = std::int64_t{kTile.block_m} * kTile.block_n;
  float* tile = args.partials + (std::int64_t{work.cut_tile} * args.cuts) * kTileSums + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kSums; ++i) tile[work.cut * kTileSums + i * kTile.threads()] = sums[i];
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0)
    *told = atomicAdd(args.counters + work.cut_tile, 1U) == static_cast<unsigned>(args.cuts) - 1 ? 1 : 0;
  __syncthreads();
  if (*told == 0) return false;
  __threadfence();
#pragma unroll
  for (int i = 0; i < kSums; ++i) sums[i] = 0.0F;
  for (int cut = 0; cut < args.cuts; ++cut)
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] += tile[cut * kTileSums + i * kTile.threads()];
  if (threadIdx.x == 0) args.counters[work.cut_tile] = 0;
  return true;
}

}  // namespace chokepoint
