// Runs the tiles of a plan on all workers: pack, multiply, write, and charge every step on the clocks.
#include "kernels/common/gemm.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <vector>

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

thread_local WorkerScratch scratch;

PlanMachine this_machine() {
  const long l2_bytes = ::sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the system does not say
  PlanMachine machine{.workers = parallel_workers(),
                      .lanes = lanes_per_vector(),
                      .cols_per_panel = cols_per_panel(),
                      .rows_per_panel = rows_per_panel()};
  if (l2_bytes > 0) machine.l2_bytes = l2_bytes;
  return machine;
}

ProductShape shape_of(const Group& group) {
  return {.m = group.a.rows,
          .n = group.b.cols,
          .k = group.a.cols,
          .b_along_k = group.b.row_stride == 1,
          .c_is_f32 = group.c.dtype == Dtype::f32,
          .a_bytes = bytes_of(group.a.dtype),
          .b_bytes = bytes_of(group.b.dtype),
          .c_bytes = bytes_of(group.c.dtype)};
}

void run_tile(const Group& group, const ProductPlan& plan, const Tile& tile, const Charge* charges,
              PacedLoop& pace) {
  const Matrix x = plan.exchanged ? transposed(group.b) : group.a;
  const Matrix y = plan.exchanged ? group.a : transposed(group.b);
  const bool direct = !plan.exchanged && group.c.dtype == Dtype::f32;
  const std::int64_t ld = direct ? group.c.row_stride : plan.block_y;
  float* panels = scratch.panels.at_least(packed_b_floats(plan.block_k, plan.block_y));
  float* strip = scratch.strip.at_least(strip_floats(plan.block_k));
  float* c = direct ? static_cast<float*>(group.c.data) + tile.x0 * ld + tile.y0
                    : scratch.block.at_least(plan.block_x * plan.block_y);
  for (std::int64_t step = 0; step < plan.k_steps(); ++step) {
    const std::int64_t k0 = step * plan.block_k, k = std::min(plan.block_k, plan.k - k0);
    if (charges != nullptr) pace.begin(charges[tile.first_step + step]);
    pack_panels(y, tile.y0, tile.count_y, k0, k, panels);
    multiply_block(x, tile.x0, tile.count_x, k0, k, panels, tile.count_y, c, ld, step > 0, strip);
  }
  if (direct) return;
  const std::int64_t row = plan.exchanged ? tile.y0 : tile.x0, col = plan.exchanged ? tile.x0 : tile.y0;
  write_block(c, ld, tile.count_x, tile.count_y, plan.exchanged, group.c, row, col);
}

}  // namespace

void gemm(const Matrix& a, const Matrix& b, const Destination& c, const Pace& pace, double memory_bytes) {
  const Group group{a, b, c};
  grouped_gemm(&group, 1, pace, memory_bytes);
}

void grouped_gemm(const Group* groups, std::int64_t count, const Pace& pace, double memory_bytes) {
  std::vector<ProductShape> shapes;
  for (std::int64_t i = 0; i < count; ++i) shapes.push_back(shape_of(groups[i]));
  const Plan plan = make_plan(shapes, this_machine());
  const bool paced = pace.memory != nullptr || pace.compute != nullptr;
  const std::vector<Charge> charges =
      paced ? make_charges(plan, shapes, memory_bytes) : std::vector<Charge>();
  std::atomic<std::size_t> next{0};
  parallel_run([&](int) {
    PacedLoop loop(pace, kStepsAhead);
    for (std::size_t i; (i = next.fetch_add(1)) < plan.tiles.size();) {
      const Tile& tile = plan.tiles[i];
      run_tile(groups[tile.product], plan.products[static_cast<std::size_t>(tile.product)], tile,
               paced ? charges.data() : nullptr, loop);
    }
    loop.drain();
  });
}

}  // namespace chokepoint::gemm
