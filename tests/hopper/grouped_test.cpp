// Products of groups of rows, as the emulator runs them, kernel and launch: against sums in double, on groups of any
// number of rows, tiny, prime and ragged shapes, and what they charge.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "harness/base/tensor.hpp"
#include "kernels/common/cuda/hopper/grouped.hpp"

namespace chokepoint::hopper {
namespace {

constexpr ProductMachine kMachine{.multiprocessors = 4};

Tensor normal_values(std::vector<std::int64_t> dims, Dtype dtype, unsigned seed) {
  Tensor tensor("values", dims, dtype);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, normal(engine));
  return tensor;
}

// Scales from 0.5 to 2.
Tensor scale_values(std::vector<std::int64_t> dims, unsigned seed) {
  Tensor tensor("scales", dims, Dtype::f32);
  std::mt19937 engine(seed);
  std::uniform_real_distribution<double> uniform(0.5, 2.0);
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, uniform(engine));
  return tensor;
}

constexpr std::int64_t blocks_of(std::int64_t length) { return (length + kScaleBlock - 1) / kScaleBlock; }

struct GroupedCase {
  std::vector<std::int32_t> rows;  // of each group
  std::int64_t n = 0, k = 0;
  bool gated = false;
  std::int64_t capacity = 0;  // masked: rows that each group has room for; 0: contiguous
  bool fp8 = false;

  Dtype dtype() const { return fp8 ? Dtype::fp8_e4m3 : Dtype::bf16; }
  Dtype result_dtype() const { return fp8 && gated ? Dtype::fp8_e4m3 : Dtype::bf16; }
  std::int64_t groups() const { return std::ssize(rows); }
  std::int64_t used_rows() const { return std::accumulate(rows.begin(), rows.end(), std::int64_t{0}); }
  std::int64_t all_rows() const { return capacity > 0 ? capacity * groups() : used_rows(); }
  std::string text() const {
    std::string counts;
    for (const std::int32_t count : rows) counts += std::to_string(count) + " ";
    return "rows " + counts + "n=" + std::to_string(n) + " k=" + std::to_string(k) + (gated ? " gated" : "") +
           (capacity > 0 ? " masked" : "") + (fp8 ? " fp8" : "");
  }
};

class CheckedGroups {
 public:
  explicit CheckedGroups(const GroupedCase& of, double memory_bytes = 0.0)
      : case_(of),
        a_(normal_values({of.all_rows(), of.k}, of.dtype(), 1)),
        b_(normal_values({of.groups() * of.n, of.k}, of.dtype(), 2)),
        a_scale_(scale_values({of.all_rows(), blocks_of(of.k)}, 3)),
        b_scale_(scale_values({of.groups() * blocks_of(of.n), blocks_of(of.k)}, 4)),
        c_("c", {of.all_rows(), of.gated ? of.n / 2 : of.n}, of.result_dtype()),
        c_scale_("c scales", {of.all_rows(), blocks_of(of.n / 2)}, Dtype::f32),
        begin_(1, 0) {
    for (const std::int32_t count : of.rows) begin_.push_back(begin_.back() + count);
    task_ = {.m = of.all_rows(),
             .n = of.n,
             .k = of.k,
             .groups = of.groups(),
             .fp8 = of.fp8,
             .a = a_.data(),
             .b = b_.data(),
             .a_scale = a_scale_.as<float>().data(),
             .b_scale = b_scale_.as<float>().data(),
             .gated = of.gated,
             .c = c_.data(),
             .c_scale = c_scale_.as<float>().data(),
             .memory_bytes = memory_bytes};
    if (of.capacity > 0)
      task_.group_rows = case_.rows.data();
    else
      task_.group_begin = begin_.data();
  }

  GroupedTask& task() { return task_; }

  // Twice: a launch has to be repeatable.
  void run(const GroupedPlan& plan, int multiprocessors = 0) {
    std::vector<std::uint64_t> workspace(static_cast<std::size_t>(plan.workspace_bytes() / 8 + 2), 0);
    void* aligned = workspace.data();
    std::size_t room = workspace.size() * 8;
    task_.workspace = std::align(16, static_cast<std::size_t>(plan.workspace_bytes()), aligned, room);
    const GroupedLaunch product(task_, plan);
    for (int i = 0; i < 2; ++i) {
      c_.poison();
      c_scale_.poison();
      product.enqueue(nullptr, multiprocessors);
    }
  }
  void run(ProductTileName name) { run(grouped_plan_with(name, task_, kMachine)); }

  void check() const {
    std::vector<bool> written(static_cast<std::size_t>(case_.all_rows()), false);
    for (std::int64_t group = 0; group < case_.groups(); ++group)
      for (std::int64_t i = 0; i < case_.rows[static_cast<std::size_t>(group)]; ++i) {
        const std::int64_t row =
            i + (case_.capacity > 0 ? group * case_.capacity : begin_[static_cast<std::size_t>(group)]);
        written[static_cast<std::size_t>(row)] = true;
        check_row(row, group);
        if (testing::Test::HasFatalFailure()) return;
      }
    for (std::int64_t row = 0; row < case_.all_rows(); ++row)
      for (std::int64_t i = 0; !written[static_cast<std::size_t>(row)] && i < task_.columns(); ++i)
        ASSERT_TRUE(std::isnan(result_at(row, i))) << case_.text() << ": row " << row << " is no group's";
  }

 private:
  struct Sum {
    double value = 0.0, size = 0.0;
  };
  Sum product_at(std::int64_t row, std::int64_t group, std::int64_t column) const {
    Sum sum;
    for (std::int64_t k = 0; k < case_.k; ++k) {
      const double product = a_at(row, k) * b_at(group, column, k);
      sum.value += product;
      sum.size += std::abs(product);
    }
    return sum;
  }

  double a_at(std::int64_t row, std::int64_t k) const {
    return a_.at(row * case_.k + k) * (case_.fp8 ? a_scale_.at(row * blocks_of(case_.k) + k / kScaleBlock) : 1.0);
  }
  double b_at(std::int64_t group, std::int64_t column, std::int64_t k) const {
    const std::int64_t block = group * blocks_of(case_.n) + column / kScaleBlock;
    return b_.at((group * case_.n + column) * case_.k + k) *
           (case_.fp8 ? b_scale_.at(block * blocks_of(case_.k) + k / kScaleBlock) : 1.0);
  }
  bool quantised() const { return case_.fp8 && case_.gated; }
  double scale_at(std::int64_t row, std::int64_t column) const {
    return c_scale_.at(row * blocks_of(task_.columns()) + column / kScaleBlock);
  }
  double result_at(std::int64_t row, std::int64_t column) const {
    return c_.at(row * task_.columns() + column) * (quantised() ? scale_at(row, column) : 1.0);
  }

  // The scale of each 128 columns makes their largest value the largest code.
  void check_scales(std::int64_t row) const {
    for (std::int64_t begin = 0; quantised() && begin < task_.columns(); begin += kScaleBlock) {
      double largest = 0.0;
      for (std::int64_t i = begin; i < begin + kScaleBlock; ++i)
        largest = std::max(largest, std::abs(c_.at(row * task_.columns() + i)));
      ASSERT_EQ(largest, 448.0) << case_.text() << " at " << row << ' ' << begin;
    }
  }

  // In fp8, tensor cores keep 14 bits of a sum, and codes three behind the leading one.
  void check_row(std::int64_t row, std::int64_t group) const {
    const double kSummed = case_.fp8 ? 0x1p-12 : 4e-7, kRounded = quantised() ? 0x1p-4 : 0x1p-8;
    check_scales(row);
    for (std::int64_t i = 0; i < task_.columns(); ++i) {
      Sum wanted = product_at(row, group, i);
      double error = wanted.size * kSummed;
      if (case_.gated) {
        const Sum up = product_at(row, group, task_.columns() + i);
        const double silu = wanted.value / (1.0 + std::exp(-wanted.value));
        // silu's slope is 1.1 at most.
        error = 1.1 * error * std::abs(up.value) + (std::abs(silu) + error) * up.size * kSummed +
                std::abs(silu * up.value) * 1e-6;
        wanted.value = silu * up.value;
      }
      if (quantised()) error += scale_at(row, i) * 0x1p-10;  // half of the smallest code
      ASSERT_NEAR(result_at(row, i), wanted.value, error * (1.0 + kRounded) + std::abs(wanted.value) * kRounded)
          << case_.text() << " at " << row << ' ' << i << " of group " << group;
    }
  }

  GroupedCase case_;
  Tensor a_, b_, a_scale_, b_scale_, c_, c_scale_;
  std::vector<std::int32_t> begin_;
  GroupedTask task_;
};

void expect_right(const GroupedCase& test) {
  for (const ProductTileName name : kGroupedTileNames) {
    if (test.fp8 && name != ProductTileName::wide) continue;
    SCOPED_TRACE(tile_name(name));
    CheckedGroups product(test);
    product.run(name);
    product.check();
    if (testing::Test::HasFatalFailure()) return;
  }
}

const std::vector<std::int32_t> kRagged = {0, 1, 63, 64, 0, 65, 127, 129, 0};

TEST(hopper_grouped, groups_of_any_number_of_rows_meet_their_own_matrix) {
  expect_right({.rows = kRagged, .n = 264, .k = 72});
  expect_right({.rows = kRagged, .n = 272, .k = 72, .gated = true});
}

TEST(hopper_grouped, masked_groups_leave_the_rest_of_their_room_alone) {
  expect_right({.rows = {3, 0, 64, 70, 1}, .n = 136, .k = 72, .capacity = 70});
  expect_right({.rows = {130, 129, 0}, .n = 144, .k = 72, .gated = true, .capacity = 131});
}

// Rows of A, B and C that TMA cannot reach: copies, and stores from registers.
TEST(hopper_grouped, tiny_and_prime_shapes_are_right) {
  expect_right({.rows = {1}, .n = 1, .k = 1});
  expect_right({.rows = {1}, .n = 2, .k = 1, .gated = true});
  expect_right({.rows = {2, 0, 67}, .n = 131, .k = 73});
  expect_right({.rows = {5, 66}, .n = 2 * 67, .k = 131, .gated = true});
  expect_right({.rows = {5, 66}, .n = 131, .k = 73, .capacity = 67});
}

// 1 to 3 blocks of scales along k and along the columns, ends within them.
TEST(hopper_grouped, fp8_sums_are_scaled_by_row_and_block) {
  expect_right({.rows = kRagged, .n = 264, .k = 272, .fp8 = true});
  expect_right({.rows = {5, 0, 66}, .n = 131, .k = 144, .fp8 = true});
  expect_right({.rows = {300, 2}, .n = 520, .k = 48, .fp8 = true});
  expect_right({.rows = {5, 0, 70, 1}, .n = 24, .k = 16 * 45, .capacity = 70, .fp8 = true});
}

TEST(hopper_grouped, fp8_results_that_are_gated_are_quantised_for_the_next_product) {
  expect_right({.rows = kRagged, .n = 256, .k = 272, .gated = true, .fp8 = true});
  expect_right({.rows = {300, 5}, .n = 3 * 256, .k = 144, .gated = true, .fp8 = true});
  expect_right({.rows = {5, 0, 70}, .n = 256, .k = 144, .gated = true, .capacity = 71, .fp8 = true});
}

// Three and five row tiles, of which the last is taken by both blocks of a cluster; one and three columns of tiles.
TEST(hopper_grouped, odd_row_tiles_are_shared_out_along_the_columns) {
  expect_right({.rows = {300, 513}, .n = 520, .k = 72});
  expect_right({.rows = {300, 200}, .n = 2 * 300, .k = 72, .gated = true});
  expect_right({.rows = {300, 100}, .n = 40, .k = 72});
}

// Shorter than the ring, as long, one longer, and more than twice as long.
TEST(hopper_grouped, any_number_of_steps_goes_through_the_ring) {
  for (const ProductTileName name : kGroupedTileNames)
    for (const int extra : {-1, 0, 1, 9}) {
      CheckedGroups product({.rows = {130, 0, 3}, .n = 16, .k = 64 * (product_tile(name).stages + extra) - 8});
      product.run(name);
      product.check();
      if (HasFatalFailure()) return;
    }
}

TEST(hopper_grouped, more_groups_than_a_warp_counts_at_once_and_more_than_tiles) {
  std::vector<std::int32_t> rows(200, 0);
  rows[0] = 2;
  rows[31] = rows[32] = rows[33] = 1;
  rows[199] = 3;
  expect_right({.rows = rows, .n = 24, .k = 8});
  std::vector<std::int32_t> one_each(kMostGroups, 1);
  CheckedGroups product({.rows = one_each, .n = 8, .k = 8});
  product.run(ProductTileName::low);
  product.check();
}

TEST(hopper_grouped, no_rows_at_all_leave_everything_as_it_is) {
  DeviceClock memory;
  CheckedGroups product({.rows = {0, 0, 0}, .n = 16, .k = 72, .capacity = 5}, 1000.0);
  product.task().pace = {.memory = &memory};
  for (const ProductTileName name : kGroupedTileNames) {
    product.run(name);
    product.check();
  }
  EXPECT_EQ(memory.charged, 0U);
}

TEST(hopper_grouped, charges_every_byte_and_every_flop_once) {
  for (const bool gated : {false, true})
    for (const ProductTileName name : kGroupedTileNames) {
      DeviceClock memory, compute;
      CheckedGroups product({.rows = {65, 0, 129, 257, 2}, .n = 2 * 152, .k = 200, .gated = gated}, 100'003.0);
      product.task().pace = {.compute = &compute, .memory = &memory};
      product.run(name);
      EXPECT_EQ(memory.charged, 2 * 100'003U);
      EXPECT_EQ(compute.charged, 2 * 2U * (65 + 129 + 257 + 2) * 304 * 200);
      product.check();
    }
}

// 1 GB/s: 100003 bytes take 100 us of the emulator's time, however little the rest takes.
TEST(hopper_grouped, a_product_does_not_end_before_its_clock) {
  for (const ProductTileName name : kGroupedTileNames) {
    DeviceClock memory;
    memory.ps_per_unit = 1000.0;
    CheckedGroups product({.rows = {65, 0, 129}, .n = 272, .k = 136}, 100'003.0);
    product.task().pace = {.memory = &memory};
    const std::uint64_t begin = emulator::virtual_time().now_ns;
    product.run(name);
    EXPECT_GE(emulator::virtual_time().now_ns - begin, 2 * 100'003U);
    product.check();
  }
}

TEST(hopper_grouped, fewer_multiprocessors_than_planned_with_compute_all_of_it) {
  for (const ProductTileName name : kGroupedTileNames) {
    CheckedGroups product({.rows = {65, 0, 300}, .n = 520, .k = 72});
    product.run(grouped_plan_with(name, product.task(), kMachine), 2);
    product.check();
  }
}

TEST(hopper_grouped, the_plan_of_its_own_choice_is_right_too) {
  for (const GroupedCase& test : {GroupedCase{.rows = {16, 20, 3}, .n = 136, .k = 264},
                                  GroupedCase{.rows = {300, 280}, .n = 272, .k = 72, .gated = true}}) {
    CheckedGroups product(test);
    product.run(grouped_plan(product.task(), kMachine));
    product.check();
  }
}

}  // namespace
}  // namespace chokepoint::hopper
