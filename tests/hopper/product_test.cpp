// Products of kernels/common/cuda/hopper as the emulator runs them, kernel and launch: against sums in double, on tiny,
// prime and ragged shapes, and what they charge.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "harness/base/tensor.hpp"
#include "kernels/common/cuda/hopper/product.hpp"

namespace chokepoint::hopper {
namespace {

constexpr ProductMachine kMachine{.multiprocessors = 4};

struct Sizes {
  std::int64_t m = 0, n = 0, k = 0;
};

Tensor random(std::int64_t rows, std::int64_t columns, Dtype dtype, unsigned seed) {
  Tensor tensor("values", {rows, columns}, dtype);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, normal(engine));
  return tensor;
}

class Checked {
 public:
  Checked(const Sizes& sizes, bool kn, bool f32, double memory_bytes = 0.0)
      : sizes_(sizes),
        a_(random(sizes.m, sizes.k, Dtype::bf16, 1)),
        b_(random(kn ? sizes.k : sizes.n, kn ? sizes.n : sizes.k, Dtype::bf16, 2)),
        c_("c", {sizes.m, sizes.n}, f32 ? Dtype::f32 : Dtype::bf16) {
    task_ = {.m = sizes.m,
             .n = sizes.n,
             .k = sizes.k,
             .a = a_.data(),
             .b = b_.data(),
             .b_is_kn = kn,
             .c = c_.data(),
             .c_is_f32 = f32,
             .memory_bytes = memory_bytes};
  }

  ProductTask& task() { return task_; }

  // Twice: a launch has to be repeatable, counters and all.
  void run(const ProductPlan& plan, int multiprocessors = 0) {
    std::vector<std::uint64_t> workspace(static_cast<std::size_t>(plan.workspace_bytes() / 8 + 2), 0);
    void* aligned = workspace.data();
    std::size_t room = workspace.size() * 8;
    task_.workspace = std::align(16, static_cast<std::size_t>(plan.workspace_bytes()), aligned, room);
    const Product product(task_, plan);
    for (int i = 0; i < 2; ++i) {
      c_.poison();
      product.enqueue(nullptr, multiprocessors);
    }
  }
  void run(ProductTileName name, int cuts = 1) { run(product_plan_with(name, cuts, task_, kMachine)); }

  void check(const std::string& what) const {
    const double rounding = task_.c_is_f32 ? 0.0 : 0x1p-8;
    for (std::int64_t row = 0; row < sizes_.m; ++row)
      for (std::int64_t column = 0; column < sizes_.n; ++column) {
        double sum = 0.0, size = 0.0;
        for (std::int64_t k = 0; k < sizes_.k; ++k) {
          const double product = a_.at(row * sizes_.k + k) *
                                 b_.at(task_.b_is_kn ? k * sizes_.n + column : column * sizes_.k + k);
          sum += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(c_.at(row * sizes_.n + column), sum, size * 4e-7 + std::abs(sum) * rounding)
            << what << " m=" << sizes_.m << " n=" << sizes_.n << " k=" << sizes_.k << " at " << row << ' ' << column;
      }
  }

 private:
  Sizes sizes_;
  Tensor a_, b_, c_;
  ProductTask task_;
};

std::string named(ProductTileName name, bool kn, bool f32) {
  return "tile " + std::to_string(static_cast<int>(name)) + (kn ? " kn" : " nk") + (f32 ? " f32" : " bf16");
}

constexpr Sizes kShapes[] = {{1, 1, 1},    {3, 5, 7},    {65, 130, 100}, {129, 64, 131},
                             {2, 257, 64}, {70, 72, 72}, {130, 264, 200}};

TEST(hopper_product, multiplies_tiny_prime_and_ragged_shapes_with_every_tile) {
  for (const ProductTileName name : kProductTileNames)
    for (const bool kn : {false, true})
      for (const Sizes& sizes : kShapes) {
        Checked product(sizes, kn, false);
        product.run(name);
        product.check(named(name, kn, false));
        if (HasFatalFailure()) return;
      }
}

TEST(hopper_product, writes_f32_where_asked) {
  for (const bool kn : {false, true})
    for (const Sizes& sizes : {Sizes{3, 5, 7}, Sizes{65, 132, 136}}) {
      Checked product(sizes, kn, true);
      product.run(ProductTileName::square);
      product.check(named(ProductTileName::square, kn, true));
      if (HasFatalFailure()) return;
    }
}

// Shorter than the ring, as long, one longer, and more than twice as long; fewer tiles than blocks and more.
TEST(hopper_product, any_number_of_steps_goes_through_the_ring) {
  for (const ProductTileName name : kProductTileNames)
    for (const int extra : {-1, 0, 1, 9}) {
      const std::int64_t steps = product_tile(name).stages + extra;
      Checked product({product_tile(name).block_m + 1, 8, 64 * steps - 8}, false, false);
      product.run(name);
      product.check(named(name, false, false) + " steps " + std::to_string(steps));
      if (HasFatalFailure()) return;
    }
}

// An odd number of tiles along m: the second block of the last cluster has nothing but zeros.
TEST(hopper_product, clusters_take_odd_numbers_of_tiles) {
  for (const ProductTileName name : {ProductTileName::wide, ProductTileName::medium})
    for (const bool kn : {false, true})
      for (const std::int64_t m : {1, 128, 257, 385}) {
        Checked product({m, 520, 72}, kn, false);
        product.run(name);
        product.check(named(name, kn, false));
        if (HasFatalFailure()) return;
      }
}

TEST(hopper_product, blocks_without_a_tile_leave_and_the_others_go_on) {
  for (const ProductTileName name : kProductTileNames) {
    DeviceClock memory;
    Checked product({3, 8, 72}, false, false, 100.0);
    product.task().pace = {.memory = &memory};
    ProductPlan plan = product_plan_with(name, 1, product.task(), kMachine);
    plan.grid = 3 * plan.tile().cluster;
    product.run(plan);
    product.check(named(name, false, false));
    EXPECT_EQ(memory.charged, 2 * 100U);
  }
}

// As in a green context that is entered after the product was planned.
TEST(hopper_product, fewer_blocks_than_planned_compute_all_tiles) {
  for (const ProductTileName name : {ProductTileName::wide, ProductTileName::low}) {
    Checked product({260, 520, 72}, false, false);
    for (const int multiprocessors : {1, 3}) {
      product.run(product_plan_with(name, 1, product.task(), kMachine), multiprocessors);
      product.check(named(name, false, false));
    }
  }
}

TEST(hopper_product, tiles_cut_along_k_add_up) {
  for (const ProductTileName name : {ProductTileName::square, ProductTileName::low})
    for (const bool kn : {false, true})
      for (const int cuts : {2, 3, 7}) {
        Checked product({product_tile(name).block_m + 3, 136, 64 * 8}, kn, false);
        product.run(name, cuts);
        product.check(named(name, kn, false) + " cuts " + std::to_string(cuts));
        if (HasFatalFailure()) return;
      }
}

// Rows of more than a warp's segment that TMA cannot reach, of both operands.
TEST(hopper_product, long_rows_are_copied_whole) {
  for (const bool kn : {false, true}) {
    Checked product({3, kn ? 1033 : 9, kn ? 70 : 2049}, kn, false);
    product.run(ProductTileName::low);
    product.check(named(ProductTileName::low, kn, false));
    if (HasFatalFailure()) return;
  }
}

TEST(hopper_product, the_plan_of_its_own_choice_is_right_too) {
  for (const Sizes& sizes : {Sizes{16, 136, 1024}, Sizes{300, 300, 96}}) {
    Checked product(sizes, false, false);
    product.run(product_plan(product.task(), kMachine));
    product.check("planned");
    if (HasFatalFailure()) return;
  }
}

TEST(hopper_product, charges_every_byte_and_every_flop_once) {
  for (const ProductTileName name : kProductTileNames)
    for (const int cuts : {1, 3}) {
      if (cuts > 1 && product_tile(name).cluster > 1) continue;
      DeviceClock memory, compute;
      Checked product({131, 272, 1000}, false, false, 100'003.0);
      product.task().pace = {.compute = &compute, .memory = &memory};
      product.run(name, cuts);
      EXPECT_EQ(memory.charged, 2 * 100'003U);
      EXPECT_EQ(compute.charged, 2 * 2U * 131 * 272 * 1000);
      product.check("charged");
    }
}

// 1 GB/s: 100003 bytes take 100 us of the emulator's time, however little the rest takes.
TEST(hopper_product, a_product_does_not_end_before_its_clock) {
  for (const ProductTileName name : kProductTileNames) {
    DeviceClock memory;
    memory.ps_per_unit = 1000.0;
    Checked product({131, 272, 136}, false, false, 100'003.0);
    product.task().pace = {.memory = &memory};
    const std::uint64_t begin = emulator::virtual_time().now_ns;
    product.run(name);
    EXPECT_GE(emulator::virtual_time().now_ns - begin, 2 * 100'003U);
    product.check("paced");
  }
}

}  // namespace
}  // namespace chokepoint::hopper
