// The packed matrix product, against plain sums. Inputs are small whole numbers, so that every path is exact
// in f32 and a single wrong index shows. Each case runs on every instruction set this machine has.
#include "kernels/common/gemm.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/tensor.hpp"
#include "hwy/highway.h"
#include "tests/kernels/check.hpp"
#include "tests/kernels/clocks.hpp"

namespace chokepoint {
namespace {

using gemm::Matrix;

// Calls body once for each instruction set that is compiled in and that this machine can run.
template <class Body>
void on_every_target(const Body& body) {
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2, HWY_SSE4, HWY_SCALAR}) {
    hwy::SetSupportedTargetsForTest(0);
    if ((hwy::SupportedTargets() & target) == 0 && target != HWY_SCALAR) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

enum class Layout { along_k, across };  // of B: [n, k] or [k, n]

// A matrix [rows, cols] of whole numbers in [-4, 4], with scales that are powers of two and differ between
// neighbours.
struct Operand {
  Tensor data, scales;
  Matrix view;

  Operand(const char* role, std::int64_t rows, std::int64_t cols, Dtype dtype, bool transposed = false,
          std::int64_t scale_rows = 0, std::int64_t scale_cols = 1)
      : data(role, {rows, cols}, dtype) {
    for (std::int64_t i = 0; i < data.count(); ++i)
      data.set(i, static_cast<double>(random_below(11, fnv1a(role), static_cast<std::uint64_t>(i), 9)) - 4.0);
    view = {.data = data.data(), .dtype = dtype, .rows = rows, .cols = cols};
    view.row_stride = transposed ? 1 : cols;
    view.col_stride = transposed ? rows : 1;
    if (scale_rows == 0) return;
    const std::int64_t down = (rows + scale_rows - 1) / scale_rows,
                       along = (cols + scale_cols - 1) / scale_cols;
    scales = Tensor("scales", {down, along}, Dtype::f32);
    for (std::int64_t i = 0; i < down; ++i)
      for (std::int64_t j = 0; j < along; ++j)
        scales.set(i * along + j, std::ldexp(1.0, static_cast<int>((2 * i + 3 * j) % 5)));
    view.scale = scales.as<float>().data();
    view.scale_rows = scale_rows;
    view.scale_cols = scale_cols;
    view.scale_row_stride = along;
  }

  double at(std::int64_t row, std::int64_t col) const {
    if (view.row_ids != nullptr) row = view.row_ids[row];
    const double value = data.at(row * view.row_stride + col * view.col_stride);
    if (view.scale == nullptr) return value;
    return value * scales.at(row / view.scale_rows * view.scale_row_stride + col / view.scale_cols);
  }
};

// B as [k, n]; along k it is stored as [n, k].
Operand make_b(std::int64_t k, std::int64_t n, Dtype dtype, Layout layout, bool scaled = false) {
  return {"b", k, n, dtype, layout == Layout::along_k, scaled ? 128 : 0, 128};
}

std::vector<double> product(const Operand& a, const Operand& b) {
  std::vector<double> c(static_cast<std::size_t>(a.view.rows * b.view.cols));
  std::vector<double> column(static_cast<std::size_t>(a.view.cols));
  std::vector<double> rows(static_cast<std::size_t>(a.view.rows * a.view.cols));
  for (std::int64_t i = 0; i < a.view.rows; ++i)
    for (std::int64_t p = 0; p < a.view.cols; ++p)
      rows[static_cast<std::size_t>(i * a.view.cols + p)] = a.at(i, p);
  for (std::int64_t j = 0; j < b.view.cols; ++j) {
    for (std::int64_t p = 0; p < b.view.rows; ++p) column[static_cast<std::size_t>(p)] = b.at(p, j);
    for (std::int64_t i = 0; i < a.view.rows; ++i) {
      double sum = 0.0;
      for (std::size_t p = 0; p < column.size(); ++p)
        sum += rows[static_cast<std::size_t>(i) * column.size() + p] * column[p];
      c[static_cast<std::size_t>(i * b.view.cols + j)] = sum;
    }
  }
  return c;
}

// `c` lies in a wider array whose other columns have to stay as they were.
void expect_product(const Operand& a, const Operand& b, Dtype c_dtype) {
  constexpr double kUntouched = 77.0;
  const std::int64_t m = a.view.rows, n = b.view.cols, wide = n + 3;
  Tensor c("c", {m, wide}, c_dtype);
  for (std::int64_t i = 0; i < c.count(); ++i) c.set(i, kUntouched);
  gemm::gemm(a.view, b.view, {.data = c.data(), .dtype = c_dtype, .row_stride = wide}, {}, 0.0);
  const std::vector<double> expected = product(a, b);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      const double exact = expected[static_cast<std::size_t>(i * n + j)];
      ASSERT_LT(std::abs(exact), 0x1p24) << "the test's own sums have to be exact";
      const double stored =
          c_dtype == Dtype::f32 ? exact : double{float_from_bf16(bf16_from_float(static_cast<float>(exact)))};
      ASSERT_EQ(c.at(i * wide + j), stored)
          << "row " << i << " column " << j << " of " << m << " x " << n << " k " << a.view.cols;
    }
    for (std::int64_t j = n; j < wide; ++j) ASSERT_EQ(c.at(i * wide + j), kUntouched) << "row " << i;
  }
}

// Tiny, prime and ragged; few rows of A (dot products), fewer rows than columns (exchanged), more (straight);
// k below, at and above a block.
constexpr std::array<std::array<std::int64_t, 3>, 14> kShapes = {{{1, 1, 1},
                                                                  {1, 1, 17},
                                                                  {2, 3, 5},
                                                                  {7, 13, 31},
                                                                  {3, 257, 129},
                                                                  {5, 64, 2500},
                                                                  {13, 41, 16},
                                                                  {64, 96, 512},
                                                                  {61, 101, 521},
                                                                  {65, 130, 1030},
                                                                  {131, 67, 257},
                                                                  {128, 64, 1},
                                                                  {30, 530, 47},
                                                                  {530, 17, 33}}};

TEST(gemm, every_dtype_and_layout_is_exact_on_ragged_shapes) {
  on_every_target([] {
    for (const auto& [m, n, k] : kShapes)
      for (const Layout layout : {Layout::along_k, Layout::across})
        for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3}) {
          const Operand a("a", m, k, dtype), b = make_b(k, n, dtype, layout);
          expect_product(a, b, Dtype::f32);
          if (dtype == Dtype::bf16) expect_product(a, b, Dtype::bf16);
        }
  });
}

// More columns than a block of Y takes for an L2 of up to 2 MiB, several tiles that share packed panels.
TEST(gemm, products_larger_than_a_block_are_exact) {
  for (const Layout layout : {Layout::along_k, Layout::across}) {
    expect_product(Operand("a", 290, 530, Dtype::f32), make_b(530, 1100, Dtype::f32, layout), Dtype::f32);
    expect_product(Operand("a", 1100, 530, Dtype::bf16), make_b(530, 290, Dtype::bf16, layout), Dtype::bf16);
  }
}

TEST(gemm, scales_are_those_of_the_elements_own_block) {
  on_every_target([] {
    for (const auto& [m, n, k] : {std::array<std::int64_t, 3>{3, 300, 400}, {70, 300, 400}, {300, 150, 270}})
      for (const Layout layout : {Layout::along_k, Layout::across}) {
        const Operand a("a", m, k, Dtype::fp8_e4m3, false, 1, 128),
            b = make_b(k, n, Dtype::fp8_e4m3, layout, true);
        expect_product(a, b, Dtype::bf16);
      }
  });
}

TEST(gemm, a_may_be_gathered_or_transposed) {
  on_every_target([] {
    for (const std::int64_t m : {4, 40, 150})
      for (const Layout layout : {Layout::along_k, Layout::across}) {
        std::vector<std::int32_t> ids;
        for (std::int64_t i = 0; i < m; ++i) ids.push_back(static_cast<std::int32_t>((i * 37) % 101));
        for (const Dtype dtype : {Dtype::f32, Dtype::fp8_e4m3}) {
          Operand a("a", 101, 333, dtype, false, dtype == Dtype::f32 ? 0 : 1, 128);
          a.view.row_ids = ids.data();
          a.view.rows = m;
          expect_product(a, make_b(333, 90, Dtype::f32, layout), Dtype::f32);
        }
        expect_product(Operand("a", m, 333, Dtype::bf16, true), make_b(333, 90, Dtype::f32, layout),
                       Dtype::f32);
      }
  });
}

TEST(gemm, a_sum_over_nothing_is_zero) {
  for (const Layout layout : {Layout::along_k, Layout::across})
    expect_product(Operand("a", 5, 0, Dtype::f32), make_b(0, 70, Dtype::f32, layout), Dtype::f32);
}

TEST(gemm, every_fp8_code_and_nan_are_decoded) {
  on_every_target([] {
    constexpr std::int64_t kCodes = 256;
    Operand a("a", 1, kCodes, Dtype::fp8_e4m3);
    Operand b = make_b(kCodes, kCodes, Dtype::f32, Layout::along_k);
    for (std::int64_t i = 0; i < kCodes; ++i) {
      a.data.as<std::uint8_t>()[static_cast<std::size_t>(i)] =
          static_cast<std::uint8_t>(i % 128 == 127 ? 0 : i);
      for (std::int64_t j = 0; j < kCodes; ++j) b.data.set(i * kCodes + j, i == j ? 1.0 : 0.0);
    }
    expect_product(a, b, Dtype::f32);
    for (const std::int64_t at : {5, 255}) {
      a.data.as<std::uint8_t>()[static_cast<std::size_t>(at)] = 0xff;
      Tensor c("c", {1, kCodes}, Dtype::f32);
      gemm::gemm(a.view, b.view, {.data = c.data(), .row_stride = kCodes}, {}, 0.0);
      EXPECT_TRUE(std::isnan(c.at(0))) << at;
      a.data.as<std::uint8_t>()[static_cast<std::size_t>(at)] = 0;
    }
  });
}

TEST(gemm, bf16_results_round_to_nearest_even) {
  on_every_target([] {
    constexpr std::int64_t kValues = 97;
    Tensor a("a", {kValues, 1}, Dtype::f32), one("one", {1, 1}, Dtype::f32),
        c("c", {kValues, 1}, Dtype::bf16);
    one.set(0, 1.0);
    for (std::int64_t i = 0; i < kValues;
         ++i)  // all patterns around the tie, both signs, subnormals and infinity
      a.as<float>()[static_cast<std::size_t>(i)] =
          std::bit_cast<float>(static_cast<std::uint32_t>(i % 2 == 0 ? 0x3f800000U : 0x80000000U) +
                               static_cast<std::uint32_t>(i) * 0x2aabU);
    a.set(3, std::numeric_limits<float>::max());
    a.set(4, std::numeric_limits<double>::infinity());
    a.set(5, std::numeric_limits<double>::quiet_NaN());
    gemm::gemm({.data = a.data(), .rows = kValues, .cols = 1, .row_stride = 1},
               {.data = one.data(), .rows = 1, .cols = 1, .row_stride = 1},
               {.data = c.data(), .dtype = Dtype::bf16, .row_stride = 1}, {}, 0.0);
    for (std::size_t i = 0; i < kValues; ++i) {
      if (i == 5) {
        EXPECT_TRUE(std::isnan(c.at(5)));
        continue;
      }
      EXPECT_EQ(c.as<std::uint16_t>()[i], bf16_from_float(a.as<float>()[i])) << i;
    }
  });
}

TEST(gemm, packed_parts_multiply_and_accumulate) {
  on_every_target([] {
    const Operand a("a", 50, 300, Dtype::bf16), b = make_b(300, 200, Dtype::f32, Layout::along_k),
                                                across = make_b(300, 200, Dtype::bf16, Layout::across);
    const std::int64_t m0 = 3, m = 29, k0 = 17, k = 200, n0 = 11, n = 131, ldc = 140;
    std::vector<float> packed_a(static_cast<std::size_t>(gemm::packed_a_floats(m, k)) + 16);
    std::vector<float> packed_b(static_cast<std::size_t>(gemm::packed_b_floats(k, n)) + 16);
    const auto aligned = [](std::vector<float>& floats) {  // to 64 bytes
      const auto at = reinterpret_cast<std::uintptr_t>(floats.data());
      return floats.data() + (at % 64 == 0 ? 0 : (64 - at % 64) / 4);
    };
    for (const Operand* right : {&b, &across})
      for (const bool accumulate : {false, true}) {
        std::vector<float> c(static_cast<std::size_t>(m * ldc), 3.0F), plain = c;
        gemm::pack_a(a.view, m0, m, k0, k, aligned(packed_a));
        gemm::pack_b(right->view, k0, k, n0, n, aligned(packed_b));
        gemm::multiply_packed(m, n, k, aligned(packed_a), aligned(packed_b), c.data(), ldc, accumulate);
        std::vector<float> rows(static_cast<std::size_t>(m * (k + 5)), 99.0F);
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t p = 0; p < k; ++p)
            rows[static_cast<std::size_t>(i * (k + 5) + p)] = static_cast<float>(a.at(m0 + i, k0 + p));
        gemm::multiply_rows(m, n, k, rows.data(), k + 5, aligned(packed_b), plain.data(), ldc, accumulate);
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < ldc; ++j) {
            double sum = j >= n || accumulate ? 3.0 : 0.0;
            for (std::int64_t p = 0; j < n && p < k; ++p)
              sum += a.at(m0 + i, k0 + p) * right->at(k0 + p, n0 + j);
            ASSERT_EQ(c[static_cast<std::size_t>(i * ldc + j)], sum) << i << ' ' << j;
            ASSERT_EQ(plain[static_cast<std::size_t>(i * ldc + j)], sum) << i << ' ' << j;
          }
      }
  });
}

TEST(gemm, groups_of_any_size_share_one_call) {
  const std::vector<std::int64_t> sizes = {0, 1, 5, 0, 64, 17, 130, 3, 0};
  const Operand a("a", 220, 300, Dtype::bf16);
  for (const Layout layout : {Layout::along_k, Layout::across}) {
    std::vector<Operand> weights;
    weights.reserve(sizes.size());
    std::vector<gemm::Group> groups;
    Tensor c("c", {220, 75}, Dtype::bf16);
    c.poison();
    std::vector<std::int32_t> ids(220);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>((i * 97) % 220);
    std::int64_t row = 0;
    for (const std::int64_t size : sizes) {
      weights.push_back(make_b(300, 75, Dtype::bf16, layout));
      weights.back().data.set(0, static_cast<double>(row % 7));  // experts differ
      Matrix rows = a.view;
      rows.rows = size;
      rows.row_ids = ids.data() + row;
      groups.push_back(
          {rows,
           weights.back().view,
           {.data = c.as<std::uint16_t>().data() + row * 75, .dtype = Dtype::bf16, .row_stride = 75}});
      row += size;
    }
    ASSERT_EQ(row, 220);
    gemm::grouped_gemm(groups.data(), static_cast<std::int64_t>(groups.size()), {}, 0.0);
    row = 0;
    for (std::size_t group = 0; group < sizes.size(); ++group) {
      Operand part = a;
      part.view.data = part.data.data();
      part.view.rows = sizes[group];
      part.view.row_ids = ids.data() + row;
      const std::vector<double> expected = product(part, weights[group]);
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(c.at(row * 75 + static_cast<std::int64_t>(i)),
                  double{float_from_bf16(bf16_from_float(static_cast<float>(expected[i])))})
            << "group " << group << " element " << i;
      row += sizes[group];
    }
  }
}

TEST(gemm, operands_it_cannot_take_are_refused) {
  Tensor f32("x", {8, 8}, Dtype::f32), i32("x", {8, 8}, Dtype::i32);
  const Matrix good{.data = f32.data(), .rows = 8, .cols = 8, .row_stride = 8};
  const gemm::Destination to{.data = f32.data(), .row_stride = 8};
  const auto message = [&](const Matrix& a, const Matrix& b, const gemm::Destination& c) {
    return error_text([&] { gemm::gemm(a, b, c, {}, 0.0); });
  };
  Matrix bad = good;
  bad.cols = 7;
  EXPECT_NE(message(bad, good, to).find("A has 7 columns, B 8 rows"), std::string::npos);
  bad = good;
  bad.dtype = Dtype::i32;
  EXPECT_NE(message(good, bad, to).find("operands are f32 and i32"), std::string::npos);
  gemm::Destination fp8 = to;
  fp8.dtype = Dtype::fp8_e4m3;
  EXPECT_NE(message(good, good, fp8).find("the result is fp8_e4m3"), std::string::npos);
  const std::int32_t ids[8] = {};
  bad = good;
  bad.row_ids = ids;
  EXPECT_NE(message(good, bad, to).find("B gathers rows"), std::string::npos);
}

TEST(gemm, it_may_be_called_from_a_worker) {
  const Operand a("a", 33, 70, Dtype::f32), b = make_b(70, 65, Dtype::f32, Layout::along_k);
  parallel_for(4, 1, [&](std::int64_t, std::int64_t, int) { expect_product(a, b, Dtype::f32); });
}

// ---- Charges ----

TEST(gemm, charges_add_up_to_the_last_byte_and_flop) {
  for (const auto& [m, n, k] : kShapes)
    for (const Layout layout : {Layout::along_k, Layout::across}) {
      const Operand a("a", m, k, Dtype::bf16), b = make_b(k, n, Dtype::bf16, layout);
      Tensor c("c", {m, n}, Dtype::bf16);
      CountingPace clocks;
      const double bytes = static_cast<double>(2 * (m * k + k * n + m * n) + 12345);
      gemm::gemm(a.view, b.view, {.data = c.data(), .dtype = Dtype::bf16, .row_stride = n}, clocks.pace(),
                 bytes);
      EXPECT_EQ(clocks.memory.amount(), bytes) << m << ' ' << n << ' ' << k;
      EXPECT_EQ(clocks.compute.amount(), static_cast<double>(2 * m * n * k)) << m << ' ' << n << ' ' << k;
    }
}

TEST(gemm, a_part_of_a_byte_is_charged_too) {
  const Operand a("a", 64, 700, Dtype::f32), b = make_b(700, 300, Dtype::f32, Layout::along_k);
  Tensor c("c", {64, 300}, Dtype::f32);
  CountingPace clocks;
  gemm::gemm(a.view, b.view, {.data = c.data(), .row_stride = 300}, clocks.pace(), 123456.75);
  EXPECT_EQ(clocks.memory.amount(), 123456.75);
}

TEST(gemm, groups_charge_together_and_bytes_without_rows_still_move) {
  const Operand a("a", 40, 64, Dtype::f32), b = make_b(64, 48, Dtype::f32, Layout::along_k);
  Tensor c("c", {40, 48}, Dtype::f32);
  std::vector<gemm::Group> groups(3, gemm::Group{a.view, b.view, {.data = c.data(), .row_stride = 48}});
  groups[0].a.rows = 7;
  groups[1].a.rows = 0;
  CountingPace clocks;
  gemm::grouped_gemm(groups.data(), 3, clocks.pace(), 1000001.0);
  EXPECT_EQ(clocks.memory.amount(), 1000001.0);
  EXPECT_EQ(clocks.compute.amount(), 2.0 * 47 * 48 * 64);
  CountingPace idle;
  gemm::grouped_gemm(groups.data() + 1, 1, idle.pace(), 4096.0);
  EXPECT_EQ(idle.memory.amount(), 4096.0);
  EXPECT_EQ(idle.compute.amount(), 0.0);
}

// 512^3 f32 moves 3 MiB and computes 268 MFLOP; uncapped it takes a few ms.
double paced_seconds(double bytes_per_s, double flop_per_s, double enough_s) {
  static const Operand a("a", 512, 512, Dtype::f32), b = make_b(512, 512, Dtype::f32, Layout::along_k);
  Tensor c("c", {512, 512}, Dtype::f32);
  RateClock memory(bytes_per_s), compute(flop_per_s);
  const Pace pace{.compute = flop_per_s > 0.0 ? &compute : nullptr,
                  .memory = bytes_per_s > 0.0 ? &memory : nullptr};
  return least_seconds_of(
      [&] { gemm::gemm(a.view, b.view, {.data = c.data(), .row_stride = 512}, pace, 3.0 * 1048576); },
      enough_s);
}

TEST(gemm, a_slow_memory_clock_sets_the_time) {
  const double expected_s = 0.15, s = paced_seconds(3.0 * 1048576 / expected_s, 0.0, 1.1 * expected_s);
  EXPECT_GT(s, 0.999 * expected_s);
  EXPECT_LT(s, 1.1 * expected_s);
}

TEST(gemm, a_slow_compute_clock_sets_the_time) {
  const double expected_s = 0.15,
               s = paced_seconds(0.0, 2.0 * 512 * 512 * 512 / expected_s, 1.1 * expected_s);
  EXPECT_GT(s, 0.999 * expected_s);
  EXPECT_LT(s, 1.1 * expected_s);
}

TEST(gemm, two_slow_clocks_overlap) {
  const double memory_s = 0.15, compute_s = 0.12;
  const double s = paced_seconds(3.0 * 1048576 / memory_s, 2.0 * 512 * 512 * 512 / compute_s, 1.1 * memory_s);
  EXPECT_GT(s, 0.999 * memory_s);
  EXPECT_LT(s, 1.1 * memory_s);
}

}  // namespace
}  // namespace chokepoint
