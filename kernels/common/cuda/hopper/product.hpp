// How do kernels for Hopper multiply matrices of bf16, or of fp8 with scales? C[m, n] = A[m, k] x B: the task, how it
// is cut into tiles, and a launch that is prepared once. The kernel itself is in product.cuh, what fp8 adds to it in
// scaled_product.cuh.
//
//   const std::int64_t bytes = product_workspace_bytes(task);     zeroed memory of that size goes into task.workspace
//   Product product(task);                                        encodes tensor maps; throws Error{unsupported}
//   product.enqueue(stream);                                      again and again; can be captured into a graph
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/common/cuda/hopper/schedule.hpp"
#include "kernels/common/cuda/hopper/tensor_map.hpp"
#include "kernels/pace.hpp"

namespace chokepoint::hopper {

// A tile of C and how it is computed. `consumers` warpgroups take 64 rows each; one more warpgroup loads and paces.
// `stages` steps along k are in flight, of 128 bytes each: 64 bf16, or 128 fp8 that have one scale in each row of A and
// for 128 columns of B. Two blocks of a cluster share the columns of B: each loads half of them for both.
struct ProductTile {
  int block_m = 0, block_n = 0, stages = 0, cluster = 1;
  bool fp8 = false;
  constexpr int depth() const { return kTileRowBytes / (fp8 ? 1 : 2); }  // elements of k per step
  constexpr int consumers() const { return block_m / 64; }
  constexpr int threads() const { return 128 * (1 + consumers()); }
  constexpr int a_bytes() const { return block_m * kTileRowBytes; }  // per stage
  constexpr int b_bytes() const { return block_n * kTileRowBytes; }
  constexpr int scale_bytes() const { return fp8 ? block_m * 4 : 0; }  // of A's rows
  // That empty a stage: each consumer's warpgroup once, or each of its warps where threads read scales themselves.
  constexpr int arrivals() const { return (fp8 ? 4 : 1) * consumers() * cluster; }
  constexpr bool operator==(const ProductTile&) const = default;
};

// wide: 128 x 256, the widest that two warpgroups' registers hold (128 sums a thread); with half of B from the other
// block it asks L2 for 32 B a clock, of about 47 that it has for each of 132 multiprocessors.
// medium: where 192 columns fill the last wave better. square: where clusters would leave multiprocessors idle. low:
// few rows; the weights are what is moved. narrow: the same with few columns, so that fewer cuts along k occupy all
// multiprocessors and fewer partial sums are moved.
// fp8_*: a second set of sums for the step at hand leaves room for 192 columns (96 + 96 sums a thread) at most; tensor
// cores take half the time for the same bytes, so that both wide tiles share B (37 and 42 B a clock of L2's 47).
enum class ProductTileName { wide, medium, square, low, narrow, fp8_wide, fp8_medium, fp8_square, fp8_low, fp8_narrow };
inline constexpr ProductTileName kProductTileNames[] = {ProductTileName::wide, ProductTileName::medium,
                                                        ProductTileName::square, ProductTileName::low,
                                                        ProductTileName::narrow};
inline constexpr ProductTileName kFp8TileNames[] = {ProductTileName::fp8_wide, ProductTileName::fp8_medium,
                                                    ProductTileName::fp8_square, ProductTileName::fp8_low,
                                                    ProductTileName::fp8_narrow};

constexpr ProductTile product_tile(ProductTileName name) {
  switch (name) {
    case ProductTileName::wide:
      return {128, 256, 4, 2};
    case ProductTileName::medium:
      return {128, 192, 4, 2};
    case ProductTileName::square:
      return {128, 128, 6, 1};
    case ProductTileName::low:
      return {64, 128, 8, 1};
    case ProductTileName::narrow:
      return {64, 64, 12, 1};
    case ProductTileName::fp8_wide:
      return {128, 192, 4, 2, true};
    case ProductTileName::fp8_medium:
      return {128, 160, 5, 2, true};
    case ProductTileName::fp8_square:
      return {128, 128, 5, 1, true};
    case ProductTileName::fp8_low:
      return {64, 128, 8, 1, true};
    case ProductTileName::fp8_narrow:
      return {64, 64, 12, 1, true};
  }
  return {};
}
const char* tile_name(ProductTileName name);
inline constexpr int kProductDepth = 64;  // of tiles of bf16

// Elements of k, and columns of B, that have a scale in common (DeepSeek-V3 report, section 3.3.2).
inline constexpr int kScaleBlock = 128;

// What fp8 values are multiplied by. A's scales come k first, for the tile's rows are loaded together:
// a[step * a_pitch + row]. B's: b[step * b_step + block * b_block].
struct ProductScales {
  const float* a = nullptr;  // 16-byte aligned
  std::int64_t a_pitch = 0;  // scale_pitch(m), or another multiple of 4
  const float* b = nullptr;
  std::int64_t b_step = 0, b_block = 0;
};
constexpr std::int64_t scale_pitch(std::int64_t m) { return (m + 3) / 4 * 4; }  // whole units of TMA

struct ProductTask {
  std::int64_t m = 0, n = 0, k = 0;
  const void* a = nullptr;  // [m, k], row-major; addresses are multiples of 16
  const void* b = nullptr;  // [n, k], or [k, n] when b_is_kn
  bool b_is_kn = false;
  bool fp8 = false;  // a and b are e4m3 with scales, instead of bf16
  ProductScales scales = {};
  void* c = nullptr;        // [m, n], bf16 or f32
  bool c_is_f32 = false;
  void* workspace = nullptr;  // product_workspace_bytes(task), ZEROED before the first use
  double memory_bytes = 0.0;  // charged in all, spread evenly over the tiles; 2 m n k FLOP are charged besides
  int multiprocessors = 0;    // that launches reach, for the plan; 0: all of the current device's
  DevicePace pace = {};
};

struct ProductMachine {
  int multiprocessors = 132;
  std::int64_t shared_bytes = 232448;  // at most for one block
};

// Shared memory: stages of A and B, then a store of two slices for each consumer, scales, then barriers and notes.
inline constexpr int kProductNoteBytes = 512;
constexpr std::int64_t product_shared_bytes(const ProductTile& tile) {
  return std::int64_t{tile.stages} * (tile.a_bytes() + tile.b_bytes() + tile.scale_bytes()) +
         std::int64_t{tile.consumers()} * 2 * 64 * kTileRowBytes + kProductNoteBytes;
}

struct ProductPlan {
  ProductTileName name = ProductTileName::wide;
  TileOrder order;  // of clusters' tiles
  int grid = 0;     // blocks
  int steps = 0;    // of k
  bool store_by_tma = false;
  // Rows that TMA cannot reach are copied to this pitch first (elements; 0: read where they are); so is all of a fp8 B
  // that is [k, n], for tensor cores take fp8 along k only.
  std::int64_t a_pitch = 0, b_pitch = 0;
  // Workspace: counters and partial sums of tiles that are cut, then the copies.
  std::int64_t counter_bytes = 0, partial_bytes = 0, a_bytes = 0, b_bytes = 0;

  constexpr ProductTile tile() const { return product_tile(name); }
  constexpr std::int64_t workspace_bytes() const { return counter_bytes + partial_bytes + a_bytes + b_bytes; }
};

// The tile and cuts that should take the least time. Pure; sizes alone decide.
ProductPlan product_plan(const ProductTask& task, const ProductMachine& machine);
// The same with tile and cuts of the caller's choice.
ProductPlan product_plan_with(ProductTileName name, int cuts, const ProductTask& task, const ProductMachine& machine);
// Clock cycles that product_plan expects of a plan.
double product_cycles(const ProductPlan& plan, const ProductTask& task, const ProductMachine& machine);

// Why this product is out of reach; empty when it is not.
std::optional<std::string> product_obstacle(std::int64_t m, std::int64_t n, std::int64_t k);

// What the kernel reads, by value, besides its tensor maps.
struct ProductArgs {
  int m = 0, n = 0, k = 0, steps = 0;
  TileOrder order;
  void* c = nullptr;
  bool c_is_f32 = false, store_by_tma = false;
  float* partials = nullptr;
  unsigned* counters = nullptr;
  std::int64_t memory_bytes = 0;
  ProductScales scales = {};
  TensorMap a_scales = {};
  DevicePace pace = {};
};
using ProductEntry = void (*)(TensorMap a, TensorMap b, TensorMap c, ProductArgs args);

// Of the current device, of which launches reach `multiprocessors`; 0: all.
ProductMachine product_machine(int multiprocessors = 0);
// Blocks of a launch that reaches `multiprocessors` (0: as many as were planned with): persistent ones beyond that
// would begin when others have done their share, and double the time.
constexpr int blocks_within(int planned, int cluster, int multiprocessors) {
  if (multiprocessors <= 0 || multiprocessors >= planned) return planned;
  const int clusters = multiprocessors / cluster;
  return (clusters > 0 ? clusters : 1) * cluster;
}
constexpr int product_grid(const ProductPlan& plan, int multiprocessors) {
  return blocks_within(plan.grid, plan.tile().cluster, multiprocessors);
}
std::int64_t product_workspace_bytes(const ProductTask& task);

class Product {
 public:
  explicit Product(const ProductTask& task);
  Product(const ProductTask& task, const ProductPlan& plan);

  // With blocks for `multiprocessors` and no more, where the stream reaches fewer than were planned with; 0: as
  // planned.
  void enqueue(void* stream, int multiprocessors = 0) const;
  const ProductPlan& plan() const { return plan_; }

 private:
  ProductTask task_;
  ProductPlan plan_;
  ProductArgs args_;
  TensorMap a_, b_, c_;
  void* a_copy_ = nullptr;
  void* b_copy_ = nullptr;
};

}  // namespace chokepoint::hopper
