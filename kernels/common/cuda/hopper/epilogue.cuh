// How do the sums of a warpgroup get to global memory? Through shared memory with stmatrix and TMA where rows allow it,
// else straight from registers; sums of tiles that were cut along k are added up first.
//
//   SliceStore store(staging, barrier_id);           kStoreBytes of shared memory, aligned to 1024; one per warpgroup
//   store.tile<kN>(&map, d, column, row, columns);   map: bf16, box {64, 64}, 128-byte swizzle
//   store.finish();                                  before the warpgroup returns
// The store of a tile goes on while the next is computed. All 128 threads call each of these; no bank conflicts.
#pragma once

#include "kernels/common/cuda/hopper/barrier.cuh"
#include "kernels/common/cuda/hopper/layout.hpp"

namespace chokepoint::hopper {

inline constexpr int kSliceColumns = 64;                           // of bf16: 128 bytes
inline constexpr int kSliceBytes = 64 * kTileRowBytes;             // 64 rows
inline constexpr int kStoreSlices = 2;                             // one is written while the other is stored
inline constexpr int kStoreBytes = kStoreSlices * kSliceBytes;

class SliceStore {
 public:
  // `barrier` is a named barrier (1 to 15) of this warpgroup's own.
  __device__ SliceStore(unsigned char* staging, unsigned barrier)
      : staging_(staging), barrier_(barrier), thread_(static_cast<int>(threadIdx.x % 128)) {}

  // The 64 x kN sums at (row, column) of the output; slices that begin at or beyond `columns` are left out. Boxes are
  // whole slices: where those do not divide the tile, the last one begins earlier and stores some columns again, or it
  // would write over the next tile's.
  template <int kN>
  __device__ void tile(const TensorMap* map, const float (&d)[kN / 2], int column, int row, int columns) {
    static_assert(kN % 16 == 0 && kN >= kSliceColumns, "pairs of column groups, a slice at least");
#pragma unroll
    for (int slice = 0; slice < (kN + kSliceColumns - 1) / kSliceColumns; ++slice) {
      if (column + slice * kSliceColumns >= columns) return;
      const int begin = slice * kSliceColumns < kN - kSliceColumns ? slice * kSliceColumns : kN - kSliceColumns;
      unsigned char* target = staging_ + slot_ * kSliceBytes;
      if (thread_ == 0) tma_store_wait_read<kStoreSlices - 1>();
      barrier_sync(barrier_, 128);
#pragma unroll
      for (int j = 0; j < kSliceColumns / 16; ++j) {
        const int first = begin / 2 + j * 8;  // register
        const std::uint32_t pairs[4] = {pack_bf16(d[first], d[first + 1]), pack_bf16(d[first + 2], d[first + 3]),
                                        pack_bf16(d[first + 4], d[first + 5]), pack_bf16(d[first + 6], d[first + 7])};
        stmatrix_x4(target + stmatrix_offset(thread_, j), pairs);
      }
      fence_proxy_async();
      barrier_sync(barrier_, 128);
      if (thread_ == 0) {
        tma_store_2d(map, target, column + begin, row);
        tma_store_commit();
      }
      slot_ = slot_ + 1 == kStoreSlices ? 0 : slot_ + 1;
    }
  }

  __device__ void finish() const {
    if (thread_ == 0) tma_store_wait<0>();
  }

 private:
  unsigned char* staging_;
  unsigned barrier_;
  int thread_;
  int slot_ = 0;
};

// An output that is written from registers: any pitch, bf16 or f32.
struct DirectOutput {
  void* data = nullptr;
  std::int64_t pitch = 0;  // elements
  int rows = 0, columns = 0;
  bool is_f32 = false;
  bool pairs = false;  // two neighbours of a row may be written at once: even pitch, aligned data
};

__device__ inline void store_pair(const DirectOutput& out, int row, int column, float first, float second) {
  if (row >= out.rows || column >= out.columns) return;
  const bool both = column + 1 < out.columns;
  const std::int64_t at = row * out.pitch + column;
  if (out.is_f32) {
    float* to = static_cast<float*>(out.data) + at;
    if (both && out.pairs) {
      *reinterpret_cast<float2*>(to) = make_float2(first, second);
    } else {
      to[0] = first;
      if (both) to[1] = second;
    }
    return;
  }
  std::uint16_t* to = static_cast<std::uint16_t*>(out.data) + at;
  const std::uint32_t pair = pack_bf16(first, second);
  if (both && out.pairs) {
    *reinterpret_cast<std::uint32_t*>(to) = pair;
  } else {
    to[0] = static_cast<std::uint16_t>(pair & 0xffffU);
    if (both) to[1] = static_cast<std::uint16_t>(pair >> 16);
  }
}

template <int kCount>
__device__ inline void store_direct(const DirectOutput& out, const float (&d)[kCount], int column, int row) {
  const int thread = static_cast<int>(threadIdx.x % 128);
#pragma unroll
  for (int i = 0; i < kCount; i += 2)
    store_pair(out, row + accumulator_row(thread, i), column + accumulator_column(thread, i), d[i], d[i + 1]);
}

// Tiles cut along k: every cut leaves its sums in `partials`, and the last to arrive adds them up in order, so that
// the result is the same every time. True for that one, whose `d` is then the whole tile's. `consumers` threads of the
// block take part, all with the same work; `thread` counts them from 0. `told` is a word of shared memory, `barrier` a
// named barrier of theirs. Counters are zero before, and again afterwards. Rows from `rows` on are left out: with few
// rows, partial sums would be most of what is moved.
struct CutTile {
  float* partials = nullptr;     // [cuts][kCount][consumers]: of this tile
  unsigned* counter = nullptr;
  int cut = 0, cuts = 1;
};

template <int kCount>
__device__ bool join_cuts(const CutTile& tile, float (&d)[kCount], int* told, unsigned barrier, int thread,
                          int consumers, int rows) {
  const int row = thread / 128 * 64 + accumulator_row(thread % 128, 0);
  const bool counts[2] = {row < rows, row + 8 < rows};
  float* own = tile.partials + std::int64_t{tile.cut} * kCount * consumers + thread;
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    if (counts[i / 2 % 2]) own[i * consumers] = d[i];
  __threadfence();
  barrier_sync(barrier, static_cast<unsigned>(consumers));
  if (thread == 0) *told = atomicAdd(tile.counter, 1U) + 1 == static_cast<unsigned>(tile.cuts) ? 1 : 0;
  barrier_sync(barrier, static_cast<unsigned>(consumers));
  if (*told == 0) return false;
  __threadfence();
#pragma unroll
  for (int i = 0; i < kCount; ++i) d[i] = 0.0F;
  for (int cut = 0; cut < tile.cuts; ++cut) {
    const float* from = tile.partials + std::int64_t{cut} * kCount * consumers + thread;
#pragma unroll
    for (int i = 0; i < kCount; ++i)
      if (counts[i / 2 % 2]) d[i] += from[i * consumers];
  }
  if (thread == 0) *tile.counter = 0;
  return true;
}

}  // namespace chokepoint::hopper
