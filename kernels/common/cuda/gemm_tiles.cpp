// Which tiles suit a product on a GPU, and what do its kernels need to know?
#include "kernels/common/cuda/gemm_tiles.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <span>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

using enum GemmTileName;
constexpr std::array kBf16Tiles = {wide, square, low};
constexpr std::array kFp8Tiles = {square_fp8, low};
constexpr std::array kLowTiles = {low}, kThinTiles = {thin};
constexpr std::array kF32Tiles = {large_f32, small_f32};
constexpr std::array kScalarTiles = {low};

constexpr std::int64_t kMostCuts = 32, kLeastStepsPerCut = 4;
constexpr std::int64_t kVectorBytes = 16;

std::int64_t up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t a_stride(const GemmTask& task) { return task.a_stride != 0 ? task.a_stride : task.k; }
std::int64_t c_stride(const GemmTask& task) { return task.c_stride != 0 ? task.c_stride : task.n; }
std::int64_t b_row(const GemmTask& task) { return task.b_layout == GemmLayout::nk ? task.k : task.n; }

bool whole_vectors(std::int64_t bytes) { return bytes % kVectorBytes == 0; }
bool aligned(const void* pointer, std::int64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % static_cast<std::uintptr_t>(bytes) == 0;
}

// A row of either operand starts on a vector and ends with a whole one.
bool vectors_fit(const GemmTask& task) {
  const std::int64_t element = bytes_of(task.dtype);
  return whole_vectors(task.k * element) && whole_vectors(a_stride(task) * element) &&
         whole_vectors(b_row(task) * element) && aligned(task.a, kVectorBytes) &&
         aligned(task.b, kVectorBytes);
}

// ldmatrix turns 16-bit elements: fp8 as [k, n] has to be gathered.
bool can_copy(const GemmTask& task) {
  const bool fp8_kn = task.dtype == Dtype::fp8_e4m3 && task.b_layout == GemmLayout::kn;
  return task.dtype != Dtype::f32 && vectors_fit(task) && !fp8_kn;
}

std::int64_t rows_per_group(const GemmTask& task) {
  if (task.rows_per_group > 0) return task.rows_per_group;
  return std::max<std::int64_t>(1, up(task.m, std::max<std::int64_t>(1, task.groups)));
}

std::int64_t expected_tiles(const GemmTask& task, const GemmTile& tile) {
  return task.groups * up(rows_per_group(task), tile.block_m) * up(task.n, tile.block_n);
}

std::int64_t shared_bytes(const GemmTask& task, const GemmTile& tile) {
  const std::int64_t groups = task.group_begin != nullptr || task.groups > 1 ? (task.groups + 1) * 4 : 0;
  const std::int64_t buffers = task.dtype == Dtype::f32 ? std::int64_t{tile.stages} * kSimtDepth *
                                                              (tile.block_m + tile.block_n + 2 * kSimtPad) * 4
                                                        : std::int64_t{tile.stages} * tile.stage_bytes();
  return buffers + kGemmNoteBytes + groups;
}

struct Choice {
  GemmTileName name = low;
  int cuts = 1;
};

int most_cuts(const GemmTask& task, const GemmTile& tile, int multiprocessors) {
  if (task.groups != 1 || task.group_begin != nullptr || task.m == 0 || task.n == 0) return 1;
  const std::int64_t tiles = up(task.m, tile.block_m) * up(task.n, tile.block_n);
  if (tiles > kMostGemmCounters) return 1;
  const std::int64_t deepest = gemm_steps(task.k, task.dtype) / kLeastStepsPerCut;
  return static_cast<int>(
      std::clamp<std::int64_t>(std::min(multiprocessors * tile.blocks / tiles, deepest), 1, kMostCuts));
}

// Multiprocessors work through the tiles in rounds; a round takes as long as one tile. Writing and reading a
// sum for another block to add takes as long as kJoinDepth elements of k: 8 bytes at 40 GB/s against 2 FLOP
// at 3.5 TFLOP/s, an H100's L2 and tensor cores per multiprocessor.
double expected_cost(const GemmTask& task, const Choice& choice, int multiprocessors) {
  constexpr double kJoinDepth = 350.0;
  const GemmTile tile = gemm_tile(choice.name);
  const auto rounds = static_cast<double>(up(expected_tiles(task, tile) * choice.cuts, multiprocessors));
  const double depth = static_cast<double>(task.k) / choice.cuts + (choice.cuts > 1 ? kJoinDepth : 0.0);
  return rounds * tile.block_m * tile.block_n * depth / tile.flop_share;
}

// Tiles no taller than the rows need: with few rows B is what is moved, and taller tiles only take memory
// from it.
std::span<const GemmTileName> choices(const GemmTask& task, bool async) {
  if (task.dtype == Dtype::f32) return kF32Tiles;
  if (!async) return kScalarTiles;
  if (rows_per_group(task) <= gemm_tile(thin).block_m) return kThinTiles;
  if (rows_per_group(task) <= gemm_tile(low).block_m) return kLowTiles;
  return task.dtype == Dtype::bf16 ? std::span<const GemmTileName>(kBf16Tiles)
                                   : std::span<const GemmTileName>(kFp8Tiles);
}

Choice choose(const GemmTask& task, bool async, const GemmMachine& machine, bool may_cut) {
  std::optional<Choice> best;
  double least = std::numeric_limits<double>::infinity();
  const bool few_rows = task.dtype != Dtype::f32 && rows_per_group(task) <= gemm_tile(low).block_m;
  for (const GemmTileName name : choices(task, async)) {
    if (shared_bytes(task, gemm_tile(name)) > machine.shared_bytes) continue;
    const int most = may_cut ? most_cuts(task, gemm_tile(name), machine.multiprocessors) : 1;
    for (int cuts = few_rows ? most : 1; cuts <= most;
         ++cuts) {  // few rows: as many streams as there is room for
      const double cost = expected_cost(task, {name, cuts}, machine.multiprocessors);
      if (best && cost >= least) continue;
      least = cost;
      best = {name, cuts};
    }
  }
  if (!best)
    throw Error(Fault::unsupported,
                fmt::format("cuda_gemm: no tile fits the {} bytes of shared memory a block may have",
                            machine.shared_bytes),
                "use a GPU of compute capability 8.0 or above");
  return *best;
}

// A wave of blocks touches band * block_m rows of A and ceil(blocks / band) * block_n rows of B: the band
// that makes the sum smallest keeps L2 busiest with what it holds.
int choose_band(const GemmTile& tile, int blocks) {
  int best = 1;
  for (int band = 1; band <= 64; ++band) {
    const auto footprint = [&](int rows) { return rows * tile.block_m + up(blocks, rows) * tile.block_n; };
    if (footprint(band) < footprint(best)) best = band;
  }
  return best;
}

void check(const GemmTask& task) {
  const auto reject = [](const std::string& what, const char* remedy) {
    throw Error(Fault::unsupported, "cuda_gemm: " + what, remedy);
  };
  if (task.dtype != Dtype::f32 && task.dtype != Dtype::bf16 && task.dtype != Dtype::fp8_e4m3)
    reject("dtype " + std::string(to_string(task.dtype)), "use f32, bf16 or fp8_e4m3");
  if (task.c_dtype != Dtype::f32 && task.c_dtype != Dtype::bf16)
    reject("output dtype " + std::string(to_string(task.c_dtype)), "use f32 or bf16");
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max() / 2;
  for (const auto& [name, size] : {std::pair{"m", task.m}, {"n", task.n}, {"k", task.k}})
    if (size < 0 || size > kMost)
      reject(fmt::format("{} is {}, outside 0 .. {}", name, size, kMost), "make it smaller");
  if (task.groups < 0 || task.groups > kMostGemmGroups)
    reject(fmt::format("{} groups, at most {}", task.groups, kMostGemmGroups), "use fewer groups");
  if (task.groups > 1 && task.group_begin == nullptr) reject("groups without group_begin", "give their rows");
  if (up(task.m, gemm_tile(thin).block_m) * up(task.n, gemm_tile(small_f32).block_n) > kMost)
    reject("too many tiles to count", "make m or n smaller");
}

}  // namespace

GemmPlan gemm_plan_with(GemmTileName wanted, int cuts, const GemmTask& task, const GemmMachine& machine) {
  const GemmTileName name = task.dtype == Dtype::f32 || can_copy(task) ? wanted : low;
  const GemmTile tile = gemm_tile(name);
  const std::int64_t columns = up(task.n, tile.block_n), rows = up(task.m, tile.block_m);
  const bool one_group = task.groups == 1 && task.group_begin == nullptr;
  const int slots = machine.multiprocessors * tile.blocks;
  GemmPlan plan{.tile_name = name, .async = can_copy(task), .cuts = cuts, .band = choose_band(tile, slots)};
  // Each group may end in a tile of its own.
  const std::int64_t tiles = task.m == 0 ? 0
                             : one_group ? rows * columns * cuts
                                         : (rows + task.groups) * columns;
  plan.grid = static_cast<int>(std::min<std::int64_t>(tiles, slots));
  plan.shared_bytes = shared_bytes(task, tile);
  if (cuts > 1) plan.workspace_bytes = kGemmCounterBytes + tiles * tile.block_m * tile.block_n * 4;
  return plan;
}

GemmPlan gemm_plan(const GemmTask& task, const GemmMachine& machine, GemmCuts cuts) {
  check(task);
  const auto plan = [&](bool may_cut) {
    const Choice choice = choose(task, can_copy(task), machine, may_cut);
    return gemm_plan_with(choice.name, choice.cuts, task, machine);
  };
  const GemmPlan cut = plan(true);
  const bool room = task.workspace != nullptr && task.workspace_bytes >= cut.workspace_bytes;
  return cuts == GemmCuts::as_wanted || cut.cuts == 1 || room ? cut : plan(false);
}

GemmArgs gemm_args(const GemmTask& task, const GemmPlan& plan) {
  GemmArgs args{.a = task.a,
                .a_scale = task.a_scale,
                .a_rows = task.a_rows,
                .b = task.b,
                .b_scale = task.b_scale,
                .group_begin = task.group_begin,
                .c = task.c,
                .a_stride = a_stride(task),
                .c_stride = c_stride(task),
                .b_stride_n = task.b_layout == GemmLayout::nk ? task.k : 1,
                .b_stride_k = task.b_layout == GemmLayout::nk ? 1 : task.n,
                .memory_bytes = static_cast<std::int64_t>(std::llround(task.memory_bytes)),
                .pace = task.pace,
                .m = static_cast<int>(task.m),
                .n = static_cast<int>(task.n),
                .k = static_cast<int>(task.k),
                .groups = static_cast<int>(task.groups),
                .tile_columns = static_cast<int>(up(task.n, plan.tile().block_n)),
                .steps = static_cast<int>(gemm_steps(task.k, task.dtype)),
                .cuts = plan.cuts,
                .band = plan.band,
                .c_is_f32 = task.c_dtype == Dtype::f32,
                .accumulate = task.accumulate};
  const std::int64_t pair_bytes = 2 * bytes_of(task.c_dtype);
  args.c_pairs = args.c_stride % 2 == 0 && aligned(task.c, pair_bytes);
  args.vectors = vectors_fit(task);
  if (plan.cuts > 1) {
    args.counters = static_cast<std::uint32_t*>(task.workspace);
    args.partials = reinterpret_cast<float*>(static_cast<std::byte*>(task.workspace) + kGemmCounterBytes);
  }
  return args;
}

}  // namespace chokepoint
