// Products of fp8 as the emulator runs them, kernel and launch: scales, sums promoted every 128 of k, and what they
// charge, against sums in double on tiny, prime and ragged shapes.
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

constexpr ProductMachine kFourMultiprocessors{.multiprocessors = 4};

Tensor drawn_fp8(std::int64_t rows, std::int64_t columns, unsigned seed) {
  Tensor tensor("values", {rows, columns}, Dtype::fp8_e4m3);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, normal(engine));
  return tensor;
}

// From 1/4 to 2, in every block another, so that a wrong one shows.
Tensor drawn_scales(std::int64_t rows, std::int64_t columns, unsigned seed) {
  Tensor tensor("scales", {rows, columns}, Dtype::f32);
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> power(-2.0, 1.0);
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, std::exp2(power(engine)));
  return tensor;
}

std::int64_t scale_blocks(std::int64_t length) { return (length + kScaleBlock - 1) / kScaleBlock; }

struct Fp8Sizes {
  std::int64_t m = 0, n = 0, k = 0;
  bool kn = false;
};

class CheckedFp8 {
 public:
  explicit CheckedFp8(const Fp8Sizes& sizes, bool f32 = true)
      : sizes_(sizes),
        a_(drawn_fp8(sizes.m, sizes.k, 1)),
        b_(drawn_fp8(sizes.kn ? sizes.k : sizes.n, sizes.kn ? sizes.n : sizes.k, 2)),
        a_scale_(drawn_scales(scale_blocks(sizes.k), scale_pitch(sizes.m), 3)),
        b_scale_(drawn_scales(scale_blocks(b_.dims()[0]), scale_blocks(b_.dims()[1]), 4)),
        c_("c", {sizes.m, sizes.n}, f32 ? Dtype::f32 : Dtype::bf16) {
    task_ = {.m = sizes.m, .n = sizes.n, .k = sizes.k, .a = a_.data(), .b = b_.data(), .b_is_kn = sizes.kn};
    task_.fp8 = true;
    const std::int64_t row = b_scale_.dims()[1];
    task_.scales = {.a = a_scale_.as<float>().data(),
                    .a_pitch = scale_pitch(sizes.m),
                    .b = b_scale_.as<float>().data(),
                    .b_step = sizes.kn ? row : 1,
                    .b_block = sizes.kn ? 1 : row};
    task_.c = c_.data();
    task_.c_is_f32 = f32;
  }

  ProductTask& task() { return task_; }

  // Twice: a launch has to be repeatable, counters and all.
  void run(const ProductPlan& plan) {
    std::vector<std::uint64_t> workspace(static_cast<std::size_t>(plan.workspace_bytes() / 8 + 2), 0);
    void* aligned = workspace.data();
    std::size_t room = workspace.size() * 8;
    task_.workspace = std::align(16, static_cast<std::size_t>(plan.workspace_bytes()), aligned, room);
    const Product product(task_, plan);
    for (int i = 0; i < 2; ++i) {
      c_.poison();
      product.enqueue(nullptr);
    }
  }
  void run(ProductTileName name, int cuts = 1) { run(product_plan_with(name, cuts, task_, kFourMultiprocessors)); }

  // Tensor cores lose up to 2^-13 of what a sum has come to with each 32 of k; sums of 128 are added in f32.
  void check(ProductTileName name) const {
    const double rounding = task_.c_is_f32 ? 0.0 : 0x1p-8;
    for (std::int64_t row = 0; row < sizes_.m; ++row)
      for (std::int64_t column = 0; column < sizes_.n; ++column) {
        const auto [sum, lost] = expected(row, column);
        ASSERT_NEAR(c_.at(row * sizes_.n + column), sum, lost + std::abs(sum) * (rounding + 1e-5))
            << tile_name(name) << (sizes_.kn ? " kn" : " nk") << " m=" << sizes_.m << " n=" << sizes_.n
            << " k=" << sizes_.k << " at " << row << ' ' << column;
      }
  }

 private:
  struct Expected {
    double sum = 0.0, lost = 0.0;
  };

  Expected expected(std::int64_t row, std::int64_t column) const {
    Expected all;
    for (std::int64_t block = 0; block < scale_blocks(sizes_.k); ++block) {
      double sum = 0.0, highest = 0.0;
      for (std::int64_t k = block * kScaleBlock; k < std::min(sizes_.k, (block + 1) * kScaleBlock); ++k) {
        sum += a_.at(row * sizes_.k + k) * b_.at(sizes_.kn ? k * sizes_.n + column : column * sizes_.k + k);
        if (k % 32 == 31) highest = std::max(highest, std::abs(sum));
      }
      highest = std::max(highest, std::abs(sum));
      const std::int64_t blocks = b_scale_.dims()[1];
      const double scale = a_scale_.at(block * scale_pitch(sizes_.m) + row) *
                           b_scale_.at(sizes_.kn ? block * blocks + column / kScaleBlock
                                                 : column / kScaleBlock * blocks + block);
      all.sum += sum * scale;
      all.lost += 4.0 * 0x1p-13 * (highest + 0.01) * scale;
    }
    return all;
  }

  Fp8Sizes sizes_;
  Tensor a_, b_, a_scale_, b_scale_, c_;
  ProductTask task_;
};

TEST(hopper_scaled_product, multiplies_tiny_prime_and_ragged_shapes_with_every_tile) {
  for (const ProductTileName name : kFp8TileNames)
    for (const Fp8Sizes& sizes :
         {Fp8Sizes{1, 1, 1}, {3, 5, 7}, {65, 130, 129}, {129, 67, 257}, {2, 389, 128}, {131, 208, 400}}) {
      CheckedFp8 product(sizes);
      product.run(name);
      product.check(name);
      if (HasFatalFailure()) return;
    }
}

// More than a square of either side, and rows of B that no TMA would reach.
TEST(hopper_scaled_product, b_is_turned_where_it_lies_the_other_way) {
  for (const Fp8Sizes& sizes : {Fp8Sizes{1, 1, 1, true}, {3, 65, 7, true}, {65, 130, 129, true}, {2, 389, 272, true}}) {
    CheckedFp8 product(sizes);
    product.run(ProductTileName::fp8_low);
    product.check(ProductTileName::fp8_low);
    if (HasFatalFailure()) return;
  }
}

TEST(hopper_scaled_product, writes_bf16_by_tma_and_from_registers) {
  for (const ProductTileName name : kFp8TileNames)
    for (const std::int64_t n : {200, 203}) {
      CheckedFp8 product({66, n, 200}, false);
      product.run(name);
      product.check(name);
      if (HasFatalFailure()) return;
    }
}

// Tiles of 192 and 160 columns begin anywhere within blocks of 128 that have a scale: 960 columns are all places.
TEST(hopper_scaled_product, columns_of_a_tile_have_the_scales_of_their_own_blocks) {
  for (const ProductTileName name :
       {ProductTileName::fp8_wide, ProductTileName::fp8_medium, ProductTileName::fp8_narrow}) {
    CheckedFp8 product({5, 960, 256});
    product.run(name);
    product.check(name);
    if (HasFatalFailure()) return;
  }
}

// Shorter than the ring, as long, one longer, and more than twice as long.
TEST(hopper_scaled_product, any_number_of_steps_goes_through_the_ring) {
  for (const ProductTileName name : kFp8TileNames)
    for (const int extra : {-1, 0, 1, 9}) {
      const std::int64_t steps = product_tile(name).stages + extra;
      CheckedFp8 product({product_tile(name).block_m + 1, 8, 128 * steps - 16});
      product.run(name);
      product.check(name);
      if (HasFatalFailure()) return;
    }
}

TEST(hopper_scaled_product, clusters_take_odd_numbers_of_tiles) {
  for (const ProductTileName name : {ProductTileName::fp8_wide, ProductTileName::fp8_medium})
    for (const std::int64_t m : {1, 128, 257, 385}) {
      CheckedFp8 product({m, 392, 144});
      product.run(name);
      product.check(name);
      if (HasFatalFailure()) return;
    }
}

TEST(hopper_scaled_product, tiles_cut_along_k_add_up_scaled) {
  for (const ProductTileName name :
       {ProductTileName::fp8_square, ProductTileName::fp8_low, ProductTileName::fp8_narrow})
    for (const int cuts : {2, 3, 7})
      for (const std::int64_t m : {13, product_tile(name).block_m + 3}) {
        CheckedFp8 product({m, 40, 128 * 8});
        product.run(name, cuts);
        product.check(name);
        if (HasFatalFailure()) return;
      }
}

TEST(hopper_scaled_product, charges_every_byte_and_every_flop_once) {
  for (const ProductTileName name : kFp8TileNames)
    for (const int cuts : {1, 3}) {
      if (cuts > 1 && product_tile(name).cluster > 1) continue;
      DeviceClock memory, compute;
      CheckedFp8 product({131, 272, 400});
      product.task().memory_bytes = 100'003.0;
      product.task().pace = {.compute = &compute, .memory = &memory};
      product.run(name, cuts);
      EXPECT_EQ(memory.charged, 2 * 100'003U);
      EXPECT_EQ(compute.charged, 2 * 2U * 131 * 272 * 400);
      product.check(name);
    }
}

// 1 GB/s: 100003 bytes take 100 us of the emulator's time, however little the rest takes.
TEST(hopper_scaled_product, a_product_does_not_end_before_its_clock) {
  DeviceClock memory;
  memory.ps_per_unit = 1000.0;
  CheckedFp8 product({131, 272, 136});
  product.task().memory_bytes = 100'003.0;
  product.task().pace = {.memory = &memory};
  const std::uint64_t begin = emulator::virtual_time().now_ns;
  product.run(ProductTileName::fp8_wide);
  EXPECT_GE(emulator::virtual_time().now_ns - begin, 2 * 100'003U);
}

TEST(hopper_scaled_product, scales_that_are_too_short_or_that_tma_cannot_reach_are_refused) {
  CheckedFp8 product({130, 8, 128});
  product.task().scales.a_pitch = 128;
  EXPECT_ANY_THROW(product.run(ProductTileName::fp8_wide));
  product.task().scales.a_pitch = 130;
  EXPECT_ANY_THROW(product.run(ProductTileName::fp8_wide));
}

}  // namespace
}  // namespace chokepoint::hopper
