// Matrix products of kernels/common/cuda, as the emulator runs them: against sums in double, and what they
// charge.
// clang-format off: the emulator comes first
#include "tests/cuda_emulator/emulator.hpp"
// clang-format on

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <random>

#include "harness/base/tensor.hpp"
#include "kernels/common/cuda/gemm_pick.cuh"
#include "kernels/common/gemm_quantise.hpp"

namespace chokepoint {
namespace {

constexpr GemmMachine kMachine{.multiprocessors = 2, .shared_bytes = 232448};

struct Sizes {
  std::int64_t m = 0, n = 0, k = 0;
};

struct Options {
  GemmLayout layout = GemmLayout::nk;
  Dtype c_dtype = Dtype::f32;
  std::vector<std::int32_t> group_begin = {};  // empty: one group, without an array
  std::vector<std::int32_t> a_rows = {};
  std::int64_t stored_rows = 0;  // 0: m
  std::int64_t c_stride = 0, a_stride = 0;
  bool accumulate = false;
  double memory_bytes = 0.0;
};

Tensor random(const char* role, std::vector<std::int64_t> dims, Dtype dtype, unsigned seed) {
  Tensor tensor(role, std::move(dims), dtype);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (std::int64_t i = 0; i < tensor.count(); ++i) tensor.set(i, normal(engine));
  return tensor;
}

// One product with its arrays, run by the emulator and checked element by element.
class Product {
 public:
  Product(Dtype dtype, const Sizes& sizes, const Options& options)
      : dtype_(dtype), sizes_(sizes), options_(options) {
    const std::int64_t groups = options.group_begin.empty() ? 1 : std::ssize(options.group_begin) - 1;
    const std::int64_t stored = options.stored_rows != 0 ? options.stored_rows : sizes.m;
    const std::int64_t a_stride = options.a_stride != 0 ? options.a_stride : sizes.k;
    const bool nk = options.layout == GemmLayout::nk;
    b_rows_ = nk ? sizes.n : sizes.k;
    b_cols_ = nk ? sizes.k : sizes.n;
    c_stride_ = options.c_stride != 0 ? options.c_stride : sizes.n;
    make(a_, a_scale_, stored, a_stride, 1, 1);
    make(b_, b_scale_, b_rows_, b_cols_, 128, groups);
    c_ = random("c", {sizes.m, c_stride_}, options.c_dtype, 3);
    before_ = c_;
    if (!options.accumulate) c_.poison();
    poisoned_ = c_;
    task_ = {.dtype = dtype,
             .m = sizes.m,
             .n = sizes.n,
             .k = sizes.k,
             .a = a_.data(),
             .a_stride = a_stride,
             .a_scale = scale_of(a_scale_),
             .a_rows = options.a_rows.empty() ? nullptr : options_.a_rows.data(),
             .b = b_.data(),
             .b_layout = options.layout,
             .b_scale = scale_of(b_scale_),
             .group_begin = options.group_begin.empty() ? nullptr : options_.group_begin.data(),
             .groups = groups,
             .c = c_.data(),
             .c_dtype = options.c_dtype,
             .c_stride = c_stride_,
             .accumulate = options.accumulate,
             .memory_bytes = options.memory_bytes,
             .pace = {.compute = &compute, .memory = &memory}};
  }

  const GemmTask& task() const { return task_; }

  void run(GemmPlan plan) {
    std::vector<std::uint32_t> workspace(static_cast<std::size_t>(plan.workspace_bytes / 4), 0);
    task_.workspace = workspace.data();
    task_.workspace_bytes = plan.workspace_bytes;
    if (plan.grid == 0) return;
    emulator::launch(gemm_entry(dtype_, options_.layout, plan), dim3(static_cast<unsigned>(plan.grid)),
                     dim3(static_cast<unsigned>(plan.tile().threads())),
                     static_cast<std::size_t>(plan.shared_bytes), gemm_args(task_, plan));
    for (std::int64_t i = 0; plan.cuts > 1 && i < kMostGemmCounters; ++i)
      ASSERT_EQ(workspace[static_cast<std::size_t>(i)], 0U) << "counter " << i << " was left behind";
  }
  void run() { run(gemm_plan(task_, kMachine, GemmCuts::as_wanted)); }

  // Elements that are wrong, rows outside all groups and columns beyond n included.
  void check(const std::string& what) const {
    const double rounding = options_.c_dtype == Dtype::bf16 ? 0x1p-8 : 0.0;
    std::vector<double> a, b;  // [m, k], [groups, n, k]
    for (std::int64_t row = 0; row < sizes_.m; ++row)
      for (std::int64_t k = 0; k < sizes_.k; ++k) a.push_back(a_value(row, k));
    for (std::int64_t column = 0; column < task_.groups * sizes_.n; ++column)
      for (std::int64_t k = 0; k < sizes_.k; ++k)
        b.push_back(b_value(column / sizes_.n, column % sizes_.n, k));
    for (std::int64_t row = 0; row < sizes_.m; ++row)
      for (std::int64_t column = 0; column < c_stride_; ++column) {
        const std::int64_t at = row * c_stride_ + column, group = group_of(row);
        if (group < 0 || column >= sizes_.n) {
          const bool same =
              poisoned_.at(at) == c_.at(at) || (std::isnan(poisoned_.at(at)) && std::isnan(c_.at(at)));
          ASSERT_TRUE(same) << what << ": wrote " << row << ' ' << column
                            << ", which is none of its business";
          continue;
        }
        double sum = options_.accumulate ? before_.at(at) : 0.0, size = std::abs(sum);
        for (std::int64_t k = 0; k < sizes_.k; ++k) {
          const double product = a[static_cast<std::size_t>(row * sizes_.k + k)] *
                                 b[static_cast<std::size_t>((group * sizes_.n + column) * sizes_.k + k)];
          sum += product;
          size += std::abs(product);
        }
        ASSERT_NEAR(c_.at(at), sum, size * 4e-7 + std::abs(sum) * rounding)
            << what << " m=" << sizes_.m << " n=" << sizes_.n << " k=" << sizes_.k << " at " << row << ' '
            << column;
      }
  }

  DeviceClock compute, memory;

 private:
  // Values of deviation 1, quantised for fp8 block by block.
  void make(Tensor& stored, Tensor& scales, std::int64_t rows, std::int64_t cols, std::int64_t block_rows,
            std::int64_t groups) {
    if (dtype_ != Dtype::fp8_e4m3) {
      stored = random("values", {groups * rows, cols}, dtype_, 1 + static_cast<unsigned>(block_rows));
      return;
    }
    const std::int64_t scale_rows = (rows + block_rows - 1) / block_rows, scale_cols = (cols + 127) / 128;
    stored = Tensor("codes", {groups * rows, cols}, Dtype::fp8_e4m3);
    scales = Tensor("scales", {groups * scale_rows, scale_cols}, Dtype::f32);
    for (std::int64_t g = 0; g < groups; ++g) {
      const Tensor drawn =
          random("values", {rows, cols}, Dtype::f32, 7 + static_cast<unsigned>(g + block_rows));
      Tensor codes("codes", {rows, cols}, Dtype::fp8_e4m3),
          scale("scales", {scale_rows, scale_cols}, Dtype::f32);
      gemm::quantise_fp8(drawn, block_rows, 128, codes, scale);
      std::copy_n(codes.data(), codes.bytes(), stored.data() + g * codes.bytes());
      std::copy_n(scale.data(), scale.bytes(), scales.data() + g * scale.bytes());
    }
  }

  static const float* scale_of(const Tensor& scales) {
    return scales.empty() ? nullptr : scales.as<float>().data();
  }

  std::int64_t group_of(std::int64_t row) const {
    if (options_.group_begin.empty()) return 0;
    for (std::size_t g = 0; g + 1 < options_.group_begin.size(); ++g)
      if (row >= options_.group_begin[g] && row < options_.group_begin[g + 1])
        return static_cast<std::int64_t>(g);
    return -1;
  }
  double a_value(std::int64_t row, std::int64_t k) const {
    const std::int64_t stored =
        options_.a_rows.empty() ? row : options_.a_rows[static_cast<std::size_t>(row)];
    const double value = a_.at(stored * task_.a_stride + k);
    return a_scale_.empty() ? value : value * a_scale_.at(stored * a_scale_.dims()[1] + k / 128);
  }
  double b_value(std::int64_t group, std::int64_t column, std::int64_t k) const {
    const bool nk = options_.layout == GemmLayout::nk;
    const std::int64_t row = nk ? column : k, col = nk ? k : column;
    const double value = b_.at((group * b_rows_ + row) * b_cols_ + col);
    if (b_scale_.empty()) return value;
    const std::int64_t scale_rows = (b_rows_ + 127) / 128, scale_cols = (b_cols_ + 127) / 128;
    return value * b_scale_.at((group * scale_rows + row / 128) * scale_cols + col / 128);
  }

  Dtype dtype_;
  Sizes sizes_;
  Options options_;
  std::int64_t b_rows_ = 0, b_cols_ = 0, c_stride_ = 0;
  Tensor a_, a_scale_, b_, b_scale_, c_, before_, poisoned_;
  GemmTask task_;
};

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3};
constexpr Sizes kOdd[] = {{1, 1, 1},    {3, 5, 7},      {17, 19, 130}, {65, 130, 100},
                          {2, 257, 33}, {129, 64, 131}, {70, 3, 520},  {1, 128, 1}};
constexpr Sizes kEven[] = {{1, 8, 16}, {16, 128, 64}, {70, 136, 144}, {130, 264, 80}, {64, 128, 656}};

TEST(cuda_gemm, multiplies_tiny_prime_and_ragged_shapes_in_both_layouts) {
  for (const Dtype dtype : kDtypes)
    for (const GemmLayout layout : {GemmLayout::nk, GemmLayout::kn})
      for (const auto& cases : {std::span<const Sizes>(kOdd), std::span<const Sizes>(kEven)})
        for (const Sizes& sizes : cases) {
          Product product(dtype, sizes, {.layout = layout});
          product.run();
          product.check(std::string(to_string(dtype)) + (layout == GemmLayout::nk ? " nk" : " kn"));
          if (HasFatalFailure()) return;
        }
}

struct TileCase {
  GemmTileName name;
  Dtype dtype;
};
constexpr TileCase kTiles[] = {{GemmTileName::wide, Dtype::bf16},
                               {GemmTileName::square, Dtype::bf16},
                               {GemmTileName::low, Dtype::bf16},
                               {GemmTileName::thin, Dtype::bf16},
                               {GemmTileName::square_fp8, Dtype::fp8_e4m3},
                               {GemmTileName::low, Dtype::fp8_e4m3},
                               {GemmTileName::thin, Dtype::fp8_e4m3},
                               {GemmTileName::large_f32, Dtype::f32},
                               {GemmTileName::small_f32, Dtype::f32}};

// More tiles than blocks, edges in every direction, more steps than stages.
TEST(cuda_gemm, every_tile_is_right_whole_and_cut_along_k) {
  for (const TileCase& tile : kTiles)
    for (const GemmLayout layout : {GemmLayout::nk, GemmLayout::kn})
      for (const int cuts : {1, 3}) {
        const std::int64_t depth = gemm_depth(tile.dtype), rows = gemm_tile(tile.name).block_m + 7;
        Product product(tile.dtype, {rows, gemm_tile(tile.name).block_n + 24, 6 * depth + 16},
                        {.layout = layout});
        product.run(gemm_plan_with(tile.name, cuts, product.task(), kMachine));
        product.check("tile " + std::to_string(static_cast<int>(tile.name)) + " cuts " +
                      std::to_string(cuts));
        if (HasFatalFailure()) return;
      }
}

TEST(cuda_gemm, groups_multiply_their_own_matrix_and_leave_other_rows_alone) {
  for (const Dtype dtype : kDtypes)
    for (const GemmLayout layout : {GemmLayout::nk, GemmLayout::kn}) {
      Product product(dtype, {90, 40, 48},
                      {.layout = layout, .c_dtype = Dtype::bf16, .group_begin = {2, 2, 3, 70, 70, 87, 87}});
      product.run();
      product.check(std::string("groups ") + std::string(to_string(dtype)));
      if (HasFatalFailure()) return;
    }
}

TEST(cuda_gemm, many_groups_are_found_by_bisection) {
  std::vector<std::int32_t> begin = {0};
  for (int g = 0; g < 300; ++g) begin.push_back(begin.back() + (g % 3 == 0 ? g % 5 : 0));
  Product product(Dtype::bf16, {begin.back(), 16, 16}, {.group_begin = begin});
  product.run();
  product.check("many groups");
}

TEST(cuda_gemm, rows_are_gathered_with_their_scales) {
  std::vector<std::int32_t> rows(37);
  for (int r = 0; r < 37; ++r) rows[static_cast<std::size_t>(r)] = r * 11 % 13;
  for (const Dtype dtype : kDtypes) {
    Product product(dtype, {37, 24, 272}, {.group_begin = {0, 20, 37}, .a_rows = rows, .stored_rows = 13});
    product.run();
    product.check("gather");
    if (HasFatalFailure()) return;
  }
}

TEST(cuda_gemm, output_has_its_own_stride_and_can_be_added_to) {
  for (const Dtype c_dtype : {Dtype::f32, Dtype::bf16})
    for (const std::int64_t stride : {33, 40}) {
      Product product(Dtype::bf16, {19, 33, 64},
                      {.c_dtype = c_dtype, .c_stride = stride, .accumulate = true});
      product.run();
      product.check("accumulate");
      Product padded(Dtype::f32, {19, 33, 20}, {.c_dtype = c_dtype, .c_stride = stride, .a_stride = 24});
      padded.run();
      padded.check("strides");
      if (HasFatalFailure()) return;
    }
}

TEST(cuda_gemm, an_empty_sum_is_zero_and_an_empty_product_is_nothing) {
  Product zeros(Dtype::bf16, {3, 10, 0}, {});
  zeros.run();
  zeros.check("k = 0");
  Product nothing(Dtype::bf16, {0, 10, 8}, {});
  EXPECT_EQ(gemm_plan(nothing.task(), kMachine, GemmCuts::as_wanted).grid, 0);
  Product no_rows(Dtype::bf16, {4, 16, 16}, {.group_begin = {0, 0, 0}, .memory_bytes = 100});
  no_rows.run();
  no_rows.check("no rows");
  EXPECT_EQ(no_rows.memory.charged + no_rows.compute.charged, 0U);
}

TEST(cuda_gemm, the_order_of_threads_does_not_matter) {
  for (const Dtype dtype : kDtypes) {
    Product product(dtype, {70, 136, 528}, {});
    const GemmPlan plan = gemm_plan(product.task(), kMachine, GemmCuts::as_workspace_allows);
    emulator::launch({.grid = dim3(static_cast<unsigned>(plan.grid)),
                      .block = dim3(static_cast<unsigned>(plan.tile().threads())),
                      .shared_bytes = static_cast<std::size_t>(plan.shared_bytes),
                      .reversed = true},
                     gemm_entry(dtype, GemmLayout::nk, plan), gemm_args(product.task(), plan));
    product.check("reversed");
    if (HasFatalFailure()) return;
  }
}

TEST(cuda_gemm, charges_every_byte_and_every_flop_once) {
  for (const Dtype dtype : kDtypes)
    for (const Sizes& sizes : kEven) {
      Product product(dtype, sizes, {.memory_bytes = 100'003});
      product.run();
      EXPECT_EQ(product.memory.charged, 100'003U);
      EXPECT_EQ(product.compute.charged, static_cast<std::uint64_t>(2 * sizes.m * sizes.n * sizes.k));
    }
  Product grouped(Dtype::bf16, {90, 40, 48},
                  {.group_begin = {2, 2, 3, 70, 70, 87, 87}, .memory_bytes = 77'777});
  grouped.run();
  EXPECT_EQ(grouped.memory.charged, 77'777U);
  EXPECT_EQ(grouped.compute.charged, 2U * 85 * 40 * 48);
}

// 1 GB/s: 100003 bytes take 100 us of the emulator's time, however little the rest takes.
TEST(cuda_gemm, a_product_does_not_end_before_its_clock) {
  Product product(Dtype::bf16, {64, 256, 64}, {.memory_bytes = 100'003});
  product.memory.ps_per_unit = 1000.0;
  const std::uint64_t begin = emulator::virtual_time().now_ns;
  product.run();
  EXPECT_GE(emulator::virtual_time().now_ns - begin, 100'003U);
  product.check("paced");
}

}  // namespace
}  // namespace chokepoint
