// How is a product cut into tiles, and what does each step of a tile charge? Pure arithmetic, no clock, no
// thread.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/pace.hpp"

namespace chokepoint::gemm {

struct ProductShape {
  std::int64_t m = 0, n = 0, k = 0;
  bool b_along_k = false;  // B is contiguous along k (weights stored as [n, k])
  bool c_is_f32 = true;
  std::int64_t a_bytes = 4, b_bytes = 4, c_bytes = 4;  // per element, for the charges
};

struct PlanMachine {
  int workers = 1;
  std::int64_t lanes = 8;  // floats per vector
  std::int64_t cols_per_panel = 16;
  std::int64_t rows_per_panel = 6;
  std::int64_t l2_bytes = 512 * 1024;
};

// C[x, y] = sum over k of X[x, k] Y[y, k]. X is the operand that is read in place or converted in passing, Y
// the one that is packed. Exchanged: X is B^T and Y is A, so that the smaller of the two gets packed; C is
// then transposed.
struct ProductPlan {
  bool exchanged = false;
  bool share_y = false;  // Y is packed once for all tiles; otherwise each tile packs what it needs
  std::int64_t rows_x = 0, rows_y = 0, k = 0;
  std::int64_t block_x = 0, block_y = 0, block_k = 0;

  std::int64_t k_steps() const { return k == 0 ? 1 : (k + block_k - 1) / block_k; }
};

struct Tile {
  std::int64_t product = 0, x0 = 0, count_x = 0, y0 = 0, count_y = 0;
  std::int64_t first_step = 0;  // steps are numbered through all tiles; a tile has one per k-block
};

struct Plan {
  std::vector<ProductPlan> products;
  std::vector<Tile> tiles;
  std::int64_t steps = 0;
};

Plan make_plan(const std::vector<ProductShape>& shapes, const PlanMachine& machine);

// What each step charges: FLOP of its block, and of `memory_bytes` the share that it touches first. Whole
// numbers that add up to `memory_bytes` (rounded to a byte) and to 2 m n k.
std::vector<Charge> make_charges(const Plan& plan, const std::vector<ProductShape>& shapes,
                                 double memory_bytes);

}  // namespace chokepoint::gemm
