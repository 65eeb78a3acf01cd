// Runs the tiles of a plan on all workers: pack, multiply, write, and charge every step on the clocks.
#include "kernels/common/gemm.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "hwy/aligned_allocator.h"
#include "kernels/common/gemm_plan.hpp"
#include "kernels/common/gemm_simd.hpp"

namespace chokepoint::gemm {
namespace {

constexpr std::size_t kStepsAhead = 8;  // per worker: late wake-ups cost nothing while others are in flight

// Aligned floats that grow and stay: fresh pages cost more than a small product.
class Scratch {
 public:
  float* at_least(std::int64_t floats) {
    if (floats > size_) {
      data_ = hwy::AllocateAligned<float>(static_cast<std::size_t>(floats));
      size_ = floats;
    }
    return data_.get();
  }

 private:
  hwy::AlignedFreeUniquePtr<float[]> data_;
  std::int64_t size_ = 0;
};

struct WorkerScratch {
  Scratch panels, strip, block;
};

thread_local WorkerScratch worker_scratch;
thread_local Scratch shared_scratch;  // of the thread that calls; all workers read it

PlanMachine this_machine() {
  const long l2_bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the system does not say
  PlanMachine machine{.workers = parallel_workers(),
                      .lanes = lanes_per_vector(),
                      .rows_per_panel = rows_per_panel(),
                      .cols_per_panel = cols_per_panel()};
  if (l2_bytes > 0) machine.l2_bytes = l2_bytes;
  return machine;
}

ProductShape shape_of(const Group& group) {
  return {.m = group.a.rows,
          .n = group.b.cols,
          .k = group.a.cols,
          .b_along_k = group.b.row_stride == 1 && group.b.col_stride != 1,
          .a_bytes = bytes_of(group.a.dtype),
          .b_bytes = bytes_of(group.b.dtype),
          .c_bytes = bytes_of(group.c.dtype)};
}

[[noreturn]] void reject(const std::string& what, const std::string& remedy) {
  throw Error(Fault::unsupported, "matrix product: " + what, remedy);
}

bool is_operand(Dtype dtype) {
  return dtype == Dtype::f32 || dtype == Dtype::bf16 || dtype == Dtype::fp8_e4m3;
}

void check(const Group& group) {
  if (group.a.cols != group.b.rows)
    reject(fmt::format("A has {} columns, B {} rows", group.a.cols, group.b.rows), "give both the same k");
  if (!is_operand(group.a.dtype) || !is_operand(group.b.dtype))
    reject(fmt::format("operands are {} and {}", to_string(group.a.dtype), to_string(group.b.dtype)),
           "store them as f32, bf16 or fp8_e4m3");
  if (group.c.dtype != Dtype::f32 && group.c.dtype != Dtype::bf16)
    reject(fmt::format("the result is {}", to_string(group.c.dtype)), "ask for f32 or bf16");
  if (group.b.row_ids != nullptr) reject("B gathers rows", "only A can");
}

// One product on its way: the operands by role, and where its shared panels are.
struct Product {
  ProductPlan plan;
  Matrix x, y;  // both seen as [rows, k]
  Destination c;
  float* panels = nullptr;  // of all of Y, one block of k after the other; null when tiles pack their own

  Block y_block(std::int64_t row0, std::int64_t rows, std::int64_t step) const {
    const std::int64_t k0 = step * plan.block_k;
    return {.row0 = row0, .rows = rows, .k0 = k0, .k = std::min(plan.block_k, plan.k - k0)};
  }

  // Where the panels of `block` lie among the shared ones; its first row starts a panel.
  float* shared_panels(const Block& block) const {
    return panels + packed_b_floats(block.k0, plan.rows_y) + block.row0 * block.k;
  }
};

class GroupedProduct {
 public:
  GroupedProduct(const Group* groups, std::int64_t count, double memory_bytes, const Pace& pace)
      : pace_(pace), memory_bytes_(memory_bytes) {
    std::vector<ProductShape> shapes;
    for (std::int64_t i = 0; i < count; ++i) {
      check(groups[i]);
      shapes.push_back(shape_of(groups[i]));
    }
    Plan plan = make_plan(shapes, this_machine());
    if (pace.memory != nullptr || pace.compute != nullptr)
      charges_ = make_charges(plan, shapes, memory_bytes);
    for (std::int64_t i = 0; i < count; ++i) {
      const ProductPlan& product = plan.products[static_cast<std::size_t>(i)];
      const Group& group = groups[i];
      products_.push_back({.plan = product,
                           .x = product.method == Method::straight ? group.a : transposed(group.b),
                           .y = product.method == Method::straight ? transposed(group.b) : group.a,
                           .c = group.c});
    }
    tiles_ = std::move(plan.tiles);
  }

  void run() {
    // Nothing to multiply, but the caller's bytes still move.
    if (tiles_.empty()) charges_ = {{.memory_bytes = memory_bytes_}};
    const PacedSchedule schedule(pace_, charges_, kStepsAhead * static_cast<std::size_t>(parallel_workers()));
    pack_shared();
    std::atomic<std::size_t> next{0};
    parallel_run([&](int) {
      for (std::size_t i; (i = next.fetch_add(1)) < tiles_.size();) run_tile(tiles_[i], schedule);
    });
    schedule.finish();
  }

 private:
  void pack_shared() {
    struct Piece {
      const Product* product;
      Block block;
    };
    std::int64_t floats = 0;
    for (const Product& product : products_)
      if (product.plan.share_y) floats += packed_b_floats(product.plan.k, product.plan.rows_y);
    if (floats == 0) return;
    float* panels = shared_scratch.at_least(floats);
    std::vector<Piece> pieces;
    for (Product& product : products_) {
      if (!product.plan.share_y) continue;
      product.panels = panels;
      panels += packed_b_floats(product.plan.k, product.plan.rows_y);
      for (std::int64_t step = 0; step < product.plan.steps(); ++step)
        for (std::int64_t row = 0; row < product.plan.rows_y; row += cols_per_panel())
          pieces.push_back(
              {&product, product.y_block(row, std::min(cols_per_panel(), product.plan.rows_y - row), step)});
    }
    parallel_for(static_cast<std::int64_t>(pieces.size()), 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) {
        const auto& [product, block] = pieces[static_cast<std::size_t>(i)];
        pack_panels(product->y, block, product->shared_panels(block));
      }
    });
  }

  // B is what comes from memory (A is small, or used again and again): the strips of X to come, or the next
  // block of Y.
  static Fetch fetch_for(const Product& product, const Tile& tile, const Block& x, const Block& y,
                         std::int64_t step) {
    const ProductPlan& plan = product.plan;
    const std::int64_t micro_cols =
        plan.method == Method::dots ? cols_per_panel() / lanes_per_vector() : cols_per_panel();
    const std::int64_t strips = (x.rows + rows_per_panel() - 1) / rows_per_panel();
    const std::int64_t calls = strips * ((y.rows + micro_cols - 1) / micro_cols) * (x.k / kFetchEveryK);
    if (plan.method != Method::straight) {
      const std::int64_t first = std::min(x.rows, rows_per_panel());
      return {product.x, {.row0 = x.row0 + first, .rows = x.rows - first, .k0 = x.k0, .k = x.k}, calls};
    }
    if (!plan.fetch_y || plan.share_y || step + 1 == plan.steps()) return {};
    return {product.y, product.y_block(tile.y0, tile.count_y, step + 1), calls};
  }

  void run_tile(const Tile& tile, const PacedSchedule& schedule) {
    const Product& product = products_[static_cast<std::size_t>(tile.product)];
    const ProductPlan& plan = product.plan;
    const bool straight = plan.method == Method::straight, direct = straight && product.c.dtype == Dtype::f32;
    const std::int64_t ld = direct ? product.c.row_stride : plan.block_y;
    float* strip = worker_scratch.strip.at_least(strip_floats(plan.block_k));
    float* c = direct ? static_cast<float*>(product.c.data) + tile.x0 * ld + tile.y0
                      : worker_scratch.block.at_least(plan.block_x * plan.block_y);
    for (std::int64_t step = 0; step < plan.steps(); ++step) {
      if (!charges_.empty()) schedule.before(static_cast<std::size_t>(tile.first_step + step));
      const Block y = product.y_block(tile.y0, tile.count_y, step);
      const Block x{.row0 = tile.x0, .rows = tile.count_x, .k0 = y.k0, .k = y.k};
      const Fetch fetch = fetch_for(product, tile, x, y, step);
      if (plan.method == Method::dots)
        multiply_dots_block(product.x, x, plain_rows(product.y, y), c, ld, step > 0, strip, fetch);
      else
        multiply_block(product.x, x, panels_of(product, y), y.rows, c, ld, step > 0, strip, fetch);
    }
    if (direct) return;
    const std::int64_t row = straight ? tile.x0 : tile.y0, col = straight ? tile.y0 : tile.x0;
    write_block(c, ld, tile.count_x, tile.count_y, !straight, product.c, row, col);
  }

  static const float* panels_of(const Product& product, const Block& block) {
    if (product.panels != nullptr) return product.shared_panels(block);
    float* panels =
        worker_scratch.panels.at_least(packed_b_floats(product.plan.block_k, product.plan.block_y));
    pack_panels(product.y, block, panels);
    return panels;
  }

  // All rows of `y` as f32 that starts at block.k0: as they lie, or converted.
  static Matrix plain_rows(const Matrix& y, const Block& block) {
    Matrix rows = y;
    if (y.dtype == Dtype::f32 && y.scale == nullptr && y.col_stride == 1) {
      rows.data = static_cast<const float*>(y.data) + block.k0;
      return rows;
    }
    float* converted = worker_scratch.panels.at_least(packed_a_floats(block.rows, block.k));
    pack_a(y, 0, block.rows, block.k0, block.k, converted);
    return {.data = converted, .rows = block.rows, .cols = block.k, .row_stride = packed_stride(block.k)};
  }

  Pace pace_;
  double memory_bytes_;
  std::vector<Product> products_;
  std::vector<Tile> tiles_;
  std::vector<Charge> charges_;  // by step; empty when nothing is paced
};

}  // namespace

void gemm(const Matrix& a, const Matrix& b, const Destination& c, const Pace& pace, double memory_bytes) {
  const Group group{a, b, c};
  grouped_gemm(&group, 1, pace, memory_bytes);
}

void grouped_gemm(const Group* groups, std::int64_t count, const Pace& pace, double memory_bytes) {
  GroupedProduct(groups, count, memory_bytes, pace).run();
}

}  // namespace chokepoint::gemm
