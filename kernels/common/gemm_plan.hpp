// How is a product cut into tiles, and what does each step of a tile charge? Pure arithmetic, no clock, no
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/pace.hpp"

namespace chokepoint::gemm {

struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  bool b_along_k = false;                              // B is contiguous along k: weights stored as [n, k]
  std::int64_t a_bytes = 4, b_bytes = 4, c_bytes = 4;  // per element
};

struct PlanMachine {
  int workers = 1;
  std::int64_t lanes = 8;  // floats in a vector
  std::int64_t rows_per_panel = 6, cols_per_panel = 16;
  std::int64_t l2_bytes = 512 * 1024;
};

// C[x, y] = sum over k of X[x, k] Y[y, k]. X is read in place or converted in passing.
enum class Method {
  straight,   // X is A; Y is B^T, packed into panels
  exchanged,  // X is B^T; Y is A, packed into panels: less to pack. C comes out transposed
  dots,       // X is B^T; Y is A, nothing packed: sums along k, for few rows of A
};

struct ProductPlan {
  Method method = Method::straight;
  bool share_y =
      false;  // Y is packed once, before the tiles; otherwise each tile packs its part, step by step
  bool fetch_y = false;  // the next block of Y is fetched from memory while this one is used
  std::int64_t rows_x = 0, rows_y = 0, k = 0;
  std::int64_t block_x = 0, block_y = 0, block_k = 0;

  std::int64_t steps() const {
    return k == 0 ? 1 : (k + block_k - 1) / block_k;
  }  // of a tile: one per block of k
};

// Rows of A that `dots` takes at most.
inline constexpr std::int64_t kMostDotRows = 64;

struct Tile {
  std::int64_t product = 0, x0 = 0, count_x = 0, y0 = 0, count_y = 0;
  std::int64_t first_step = 0;  // steps are numbered through all tiles
};

struct Plan {
  std::vector<ProductPlan> products;
  std::vector<Tile> tiles;
  std::int64_t steps = 0;
};

// Tiles cover each product once; products without rows or columns have none.
Plan make_plan(const std::vector<ProductShape>& shapes, const PlanMachine& machine);

// What each step charges: the FLOP of its block and, of `memory_bytes`, the part that it touches first
// (operands when no earlier tile read them, the output with a tile's last step). Whole numbers that add up to
// `memory_bytes` and to 2 m n k.
std::vector<Charge> make_charges(const Plan& plan, const std::vector<ProductShape>& shapes,
                                 double memory_bytes);

}  // namespace chokepoint::gemm
