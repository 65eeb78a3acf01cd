// How is a product cut into tiles on a GPU, which tiles suit it, and who computes which? Pure arithmetic,
// shared by the launcher, the kernels and their tests.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/cuda/gemm.hpp"

namespace chokepoint {

// A block's tile of C and how its warps share it. Tensor-core kernels step through k by 128 bytes of a row
// (64 bf16 or 128 fp8: one scale block), `stages` steps in flight.
struct GemmTile {
  int block_m = 0, block_n = 0, warp_m = 0, warp_n = 0;
  int stages = 1;
  int blocks = 1;           // resident on one multiprocessor
  double flop_share = 0.0;  // of what the largest tile reaches on a full multiprocessor; for the choice only
  constexpr int threads() const { return block_m / warp_m * (block_n / warp_n) * 32; }
  constexpr int stage_bytes() const { return (block_m + block_n) * 128; }
  constexpr bool operator==(const GemmTile&) const = default;
};

// 64 x 64 per warp keeps shared memory below its rate; 128 x 256 keeps L2 below its rate at 500 TFLOP/s on
// 132 multiprocessors. fp8 has two sums per element (of the scale block, of all), so its warps take half.
// `thin` is for few rows, where the weights are what is moved. f32: 16 x 16 threads, steps of kSimtDepth
// along k, two buffers.
enum class GemmTileName { wide, square, square_fp8, low, thin, large_f32, small_f32 };

constexpr GemmTile gemm_tile(GemmTileName name) {
  switch (name) {
    case GemmTileName::wide:
      return {128, 256, 64, 64, 3, 1, 1.0};
    case GemmTileName::square:
      return {128, 128, 64, 64, 3, 2, 0.85};
    case GemmTileName::square_fp8:
      return {128, 128, 64, 32, 4, 1, 1.0};
    case GemmTileName::low:
      return {64, 128, 64, 32, 4, 2, 0.55};
    case GemmTileName::thin:
      return {16, 128, 16, 32, 5, 2, 0.15};
    case GemmTileName::large_f32:
      return {128, 128, 32, 64, 2, 1, 1.0};
    case GemmTileName::small_f32:
      return {64, 64, 16, 32, 2, 2, 0.6};
  }
  return {};
}
inline constexpr int kGemmNoteBytes = 64;  // of shared memory, behind the operands
inline constexpr int kSimtDepth = 16;
inline constexpr int kSimtPad =
    4;  // floats after each row of a buffer, so that columns fall into other banks

constexpr int gemm_depth(Dtype dtype) {  // elements of k per step
  return dtype == Dtype::f32 ? kSimtDepth : dtype == Dtype::bf16 ? 64 : 128;
}

constexpr std::int64_t gemm_steps(std::int64_t k, Dtype dtype) {
  return (k + gemm_depth(dtype) - 1) / gemm_depth(dtype);
}

struct GemmMachine {
  int multiprocessors = 1;
  std::int64_t shared_bytes = 101376;  // at most for one block
};

struct GemmPlan {
  GemmTileName tile_name = GemmTileName::wide;
  bool async = false;  // 16-byte copies past the registers; else element by element
  int cuts = 1;        // parts along k, each a tile of its own
  int band = 1;        // rows of tiles that share columns of B before the next columns come
  int grid = 0;        // blocks to launch
  std::int64_t shared_bytes = 0;
  std::int64_t workspace_bytes = 0;

  constexpr GemmTile tile() const { return gemm_tile(tile_name); }
};

// A workspace begins with counters, in the same place for every product that shares it.
inline constexpr std::int64_t kMostGemmCounters = 4096, kGemmCounterBytes = 4 * kMostGemmCounters;

// Tiles of one group, or of the whole product: `cuts` parts of a tile follow each other, then come the tiles
// of a column within a band of rows, then the next column, then the next band.
struct GemmPlace {
  int row = 0, column = 0, cut = 0;  // in tiles
};
constexpr GemmPlace gemm_place(int index, int tile_rows, int tile_columns, int cuts, int band) {
  const int cut = index % cuts, tile = index / cuts;
  const int first_row = tile / (band * tile_columns) * band;
  const int rest = tile - first_row * tile_columns;
  const int rows = tile_rows - first_row < band ? tile_rows - first_row : band;
  return {first_row + rest % rows, rest / rows, cut};
}

// Steps of cut c are [gemm_cut(c), gemm_cut(c + 1)).
constexpr int gemm_cut(int cut, int cuts, int steps) {
  return static_cast<int>(static_cast<std::int64_t>(cut) * steps / cuts);
}

// Whole bytes of tile `index` of `tiles`; they add up to `bytes`.
constexpr std::int64_t gemm_share(std::int64_t bytes, int index, int tiles) {
  return bytes / tiles + (index < bytes % tiles ? 1 : 0);
}

// What kernels read, by value.
struct GemmArgs {
  const void* a = nullptr;
  const float* a_scale = nullptr;
  const std::int32_t* a_rows = nullptr;
  const void* b = nullptr;
  const float* b_scale = nullptr;
  const std::int32_t* group_begin = nullptr;
  void* c = nullptr;
  std::uint32_t* counters = nullptr;  // one per tile that is cut
  float* partials = nullptr;          // [tile, cut, block_m x block_n]
  std::int64_t a_stride = 0, c_stride = 0;
  std::int64_t b_stride_n = 0, b_stride_k = 0;
  std::int64_t memory_bytes = 0;
  DevicePace pace = {};
  int m = 0, n = 0, k = 0, groups = 1;
  int tile_columns = 0, steps = 0, cuts = 1, band = 1;
  bool c_is_f32 = false, accumulate = false;
  bool c_pairs = false;  // two neighbours of C can be written at once
  bool vectors = false;  // f32: rows of A and B can be read 16 bytes at a time
};

// Cut along k as speed wants it, or no more than the task's workspace has room for.
enum class GemmCuts { as_wanted, as_workspace_allows };

// Alignment is judged by the pointers that the task has. Throws Error{unsupported} for what is out of reach.
GemmPlan gemm_plan(const GemmTask& task, const GemmMachine& machine, GemmCuts cuts);
// The same with tiles and cuts of the caller's choice, as far as there is a choice: elements one by one go
// into `low`.
GemmPlan gemm_plan_with(GemmTileName name, int cuts, const GemmTask& task, const GemmMachine& machine);
GemmArgs gemm_args(const GemmTask& task, const GemmPlan& plan);

}  // namespace chokepoint
