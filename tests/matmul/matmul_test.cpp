// matmul: work, inputs, reference, tolerance, and every kernel against the reference.
#include "kernels/matmul/matmul.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "harness/base/random.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

Shape shape_of(std::int64_t m, std::int64_t n, std::int64_t k, const std::string& b_layout = "nk") {
  return {{"m", m}, {"n", n}, {"k", k}, {"b_layout", b_layout}};
}

std::vector<std::int64_t> all_rows(const Problem& problem) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(problem.output_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

Shape scaled(Shape shape, const std::string& scaling) {
  shape.set("scaling", scaling);
  return shape;
}

constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3};
constexpr Scaling kScalings[] = {Scaling::blocks, Scaling::vectors, Scaling::tensor};

// ---- Work and shapes ----

TEST(matmul, work_counts_every_array_once) {
  const Work f32 = matmul_work(3, 5, 7, Dtype::f32), bf16 = matmul_work(3, 5, 7, Dtype::bf16);
  EXPECT_EQ(f32.flop, 2 * 3 * 5 * 7);
  EXPECT_EQ(f32.memory_bytes, 4 * (3 * 7 + 5 * 7 + 3 * 5));
  EXPECT_EQ(bf16.memory_bytes, 2 * (3 * 7 + 5 * 7 + 3 * 5));
  EXPECT_EQ(f32.tokens, 0);
}

TEST(matmul, scales_are_read_once) {
  const auto bytes_of_scales = [](Scaling scaling) {
    return matmul_work(5, 260, 131, Dtype::fp8_e4m3, scaling).memory_bytes -
           (5.0 * 131 + 260.0 * 131 + 2.0 * 5 * 260);
  };
  EXPECT_EQ(bytes_of_scales(Scaling::blocks), 4.0 * (5 * 2 + 3 * 2));
  EXPECT_EQ(bytes_of_scales(Scaling::vectors), 4.0 * (5 * 2 + 260 * 2));
  EXPECT_EQ(bytes_of_scales(Scaling::tensor), 4.0 * 2);
  EXPECT_EQ(matmul_work(5, 260, 131, Dtype::bf16, Scaling::tensor).memory_bytes,
            matmul_work(5, 260, 131, Dtype::bf16).memory_bytes);
}

// DeepGEMM's formula M K + N K + 2 M N, for its row 64 x 2112 x 7168, plus f32 scales: 64 x 56 and 17 x 56.
TEST(matmul, fp8_bytes_are_deepgemms_plus_scales) {
  const double plain = 64.0 * 7168 + 2112.0 * 7168 + 2.0 * 64 * 2112;
  EXPECT_EQ(matmul_work(64, 2112, 7168, Dtype::fp8_e4m3).memory_bytes, plain + 4.0 * (64 + 17) * 56);
}

TEST(matmul, work_is_the_bytes_of_the_arrays_that_exist) {
  for (const Dtype dtype : kDtypes)
    for (const char* layout : {"nk", "kn"}) {
      const Prepared prepared("matmul", "cpu_native", shape_of(5, 260, 131, layout), dtype);
      double bytes = static_cast<double>(prepared.launch->output().bytes());
      for (const Tensor* input : prepared.problem->inputs()) bytes += static_cast<double>(input->bytes());
      EXPECT_EQ(prepared.problem->work().memory_bytes, bytes) << to_string(dtype) << layout;
      EXPECT_EQ(find_operation("matmul").work(prepared.shape, dtype).memory_bytes, bytes);
    }
  for (const Scaling scaling : kScalings)
    for (const BLayout layout : {BLayout::nk, BLayout::kn}) {
      const MatmulProblem problem(5, 260, 131, layout, Dtype::fp8_e4m3, {}, scaling);
      double bytes = 2.0 * 5 * 260;
      for (const Tensor* input : problem.inputs()) bytes += static_cast<double>(input->bytes());
      EXPECT_EQ(problem.work().memory_bytes, bytes) << problem.shape().text();
      EXPECT_EQ(find_operation("matmul").work(problem.shape(), Dtype::fp8_e4m3).memory_bytes, bytes);
    }
}

// A shape's text is part of a case's identity: records from before there was a choice have to stay comparable.
TEST(matmul, the_usual_scaling_is_not_in_a_shapes_text_whether_it_was_given_or_not) {
  const Operation& operation = find_operation("matmul");
  const Shape plain = complete_shape(operation, parse_shape("m=4,n=5,k=6"));
  EXPECT_EQ(plain.text(), "b_layout=nk,k=6,m=4,n=5");
  EXPECT_EQ(complete_shape(operation, parse_shape("m=4,n=5,k=6,scaling=128x128")), plain);
  EXPECT_EQ(complete_shape(operation, parse_shape("m=4,n=5,k=6,scaling=1x128")).text(),
            "b_layout=nk,k=6,m=4,n=5,scaling=1x128");
  for (const Scaling scaling : kScalings) {
    const MatmulProblem problem(4, 5, 6, BLayout::nk, Dtype::fp8_e4m3, {}, scaling);
    EXPECT_EQ(scaling_of(problem.shape()), scaling);
    EXPECT_EQ(complete_shape(operation, problem.shape()), problem.shape());
  }
  const std::string fault = error_text([&] { complete_shape(operation, scaled(plain, "tensors")); });
  EXPECT_NE(fault.find("scaling is \"tensors\""), std::string::npos);
}

TEST(matmul, a_number_may_leave_its_fallback_unsaid_too) {
  const Operation made_up{.name = "made_up", .fields = {{.name = "depth", .fallback = 2, .unsaid_fallback = true}}};
  EXPECT_EQ(complete_shape(made_up, {}).text(), "");
  EXPECT_EQ(complete_shape(made_up, {{"depth", 2}}).text(), "");
  EXPECT_EQ(complete_shape(made_up, {{"depth", 3}}).text(), "depth=3");
  EXPECT_NE(error_text([&] { complete_shape(made_up, {{"depth", 0}}); }).find("depth is 0"), std::string::npos);
}

TEST(matmul, only_fp8_has_scales_to_choose) {
  const Operation& operation = find_operation("matmul");
  const Shape shape = complete_shape(operation, scaled(shape_of(4, 5, 6), "tensor"));
  const std::string fault = error_text([&] { operation.make(shape, Dtype::bf16, {}); });
  EXPECT_NE(fault.find("scaling is tensor, and bf16 has no scales"), std::string::npos);
  for (const char* name : {"cpu_native", "cpu_reference", "openblas", "onednn"}) {
    const auto reason = find_kernel("matmul", name).unsupported(shape, Dtype::f32);
    ASSERT_TRUE(reason.has_value()) << name;
    EXPECT_NE(reason->find("f32 has no scales"), std::string::npos) << *reason;
  }
  for (const char* name : {"cpu_native", "cpu_reference"})
    EXPECT_EQ(find_kernel("matmul", name).unsupported(shape, Dtype::fp8_e4m3), std::nullopt);
  EXPECT_EQ(*not_scaled_by_blocks(shape, Dtype::fp8_e4m3),
            "scaling is tensor: this kernel knows scales of 1x128 of a and 128x128 of b alone");
  EXPECT_EQ(not_scaled_by_blocks(shape_of(4, 5, 6), Dtype::fp8_e4m3), std::nullopt);
}

TEST(matmul, sizes_that_cannot_be_counted_are_refused) {
  const Operation& operation = find_operation("matmul");
  const auto message = [&](const Shape& shape) {
    return error_text([&] { complete_shape(operation, shape); });
  };
  EXPECT_NE(message(shape_of(1LL << 31, 1LL << 31, 1)).find("m x n is 4.612e+18, above the limit of 2^40"),
            std::string::npos);
  EXPECT_NE(message(shape_of(1 << 20, 1 << 20, 1 << 20)).find("FLOP"), std::string::npos);
  EXPECT_NE(message(shape_of(0, 4, 4)).find("m is 0"), std::string::npos);
  EXPECT_NE(message(shape_of(4, 4, 4, "nn")).find("b_layout"), std::string::npos);
  EXPECT_EQ(message(shape_of(4096, 7168, 16384)), "no error");
  EXPECT_EQ(complete_shape(operation, {{"m", 4}, {"n", 4}, {"k", 4}}).word("b_layout"), "nk");
}

// ---- Inputs ----

TEST(matmul, arrays_have_the_dims_their_layout_says) {
  const MatmulProblem nk(5, 260, 131, BLayout::nk, Dtype::fp8_e4m3, {}),
      kn(5, 260, 131, BLayout::kn, Dtype::fp8_e4m3, {});
  using Dims = std::vector<std::int64_t>;
  EXPECT_EQ(nk.a().dims(), (Dims{5, 131}));
  EXPECT_EQ(nk.b().dims(), (Dims{260, 131}));
  EXPECT_EQ(nk.a_scale().dims(), (Dims{5, 2}));
  EXPECT_EQ(nk.b_scale().dims(), (Dims{3, 2}));
  EXPECT_EQ(kn.b().dims(), (Dims{131, 260}));
  EXPECT_EQ(kn.b_scale().dims(), (Dims{2, 3}));
  EXPECT_EQ(nk.output_dtype(), Dtype::bf16);
  std::string roles;
  for (const Tensor* input : nk.inputs()) roles += input->role() + ' ';
  EXPECT_EQ(roles, "a b a_scale b_scale ");
}

TEST(matmul, each_fp8_block_is_scaled_to_the_largest_code) {
  const MatmulProblem problem(3, 300, 200, BLayout::nk, Dtype::fp8_e4m3, {.seed = 5});
  Tensor drawn("b", {300, 200}, Dtype::f32);
  fill(drawn, "normal", 5);
  for (std::int64_t block_row = 0; block_row < 3; ++block_row)
    for (std::int64_t block_col = 0; block_col < 2; ++block_col) {
      const double scale = problem.b_scale().at(block_row * 2 + block_col);
      double largest_code = 0.0, largest_drawn = 0.0;
      for (std::int64_t i = block_row * 128; i < std::min<std::int64_t>(300, block_row * 128 + 128); ++i)
        for (std::int64_t j = block_col * 128; j < std::min<std::int64_t>(200, block_col * 128 + 128); ++j) {
          const double code = problem.b().at(i * 200 + j), exact = drawn.at(i * 200 + j);
          largest_code = std::max(largest_code, std::abs(code));
          largest_drawn = std::max(largest_drawn, std::abs(exact));
          // Half a step of a 3-bit mantissa, or of the subnormal grid.
          EXPECT_NEAR(code * scale, exact, std::max(std::abs(exact) * 0x1.01p-4, scale * 0x1p-10));
        }
      EXPECT_EQ(largest_code, 448.0);
      EXPECT_FLOAT_EQ(static_cast<float>(scale), static_cast<float>(largest_drawn / 448.0));
    }
}

TEST(matmul, scales_lie_along_k_or_are_one_for_each_operand) {
  using Dims = std::vector<std::int64_t>;
  for (const BLayout layout : {BLayout::nk, BLayout::kn}) {
    const MatmulProblem vectors(5, 260, 131, layout, Dtype::fp8_e4m3, {}, Scaling::vectors),
        tensor(5, 260, 131, layout, Dtype::fp8_e4m3, {}, Scaling::tensor);
    EXPECT_EQ(vectors.a_scale().dims(), (Dims{5, 2}));
    EXPECT_EQ(vectors.b_scale().dims(), layout == BLayout::nk ? (Dims{260, 2}) : (Dims{2, 260}));
    EXPECT_EQ(tensor.a_scale().dims(), (Dims{1, 1}));
    EXPECT_EQ(tensor.b_scale().dims(), (Dims{1, 1}));
  }
}

// The largest of every block is 448 times its scale, whichever values share one.
TEST(matmul, the_largest_code_of_each_block_is_the_largest_there_is) {
  for (const Scaling scaling : kScalings)
    for (const BLayout layout : {BLayout::nk, BLayout::kn}) {
      const MatmulProblem problem(3, 131, 260, layout, Dtype::fp8_e4m3, {.seed = 5}, scaling);
      const std::int64_t rows = problem.b().dims()[0], cols = problem.b().dims()[1];
      Tensor drawn("b", {rows, cols}, Dtype::f32);
      fill(drawn, "normal", 5);
      std::vector<double> largest(static_cast<std::size_t>(problem.b_scale().count()), 0.0), of_drawn = largest;
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < cols; ++j) {
          const auto block = static_cast<std::size_t>(i / problem.b_block().rows * problem.b_scale().dims()[1] +
                                                      j / problem.b_block().cols);
          largest[block] = std::max(largest[block], std::abs(problem.b().at(i * cols + j)));
          of_drawn[block] = std::max(of_drawn[block], std::abs(drawn.at(i * cols + j)));
        }
      for (std::size_t block = 0; block < largest.size(); ++block) {
        EXPECT_EQ(largest[block], 448.0);
        EXPECT_FLOAT_EQ(problem.b_scale().as<float>()[block], static_cast<float>(of_drawn[block]) / 448.0F);
      }
    }
}

TEST(matmul, zeros_quantise_to_zeros_with_a_scale) {
  const MatmulProblem problem(2, 3, 4, BLayout::nk, Dtype::fp8_e4m3, {.distribution = "zeros"});
  EXPECT_FLOAT_EQ(static_cast<float>(problem.a_scale().at(0)), 1e-4F / 448.0F);
  for (double value : problem.reference(std::vector<std::int64_t>{0, 1})) EXPECT_EQ(value, 0.0);
}

TEST(matmul, a_clone_has_the_same_values_in_other_memory) {
  const MatmulProblem problem(4, 5, 6, BLayout::kn, Dtype::bf16, {.seed = 9});
  const std::unique_ptr<Problem> copy = problem.clone();
  ASSERT_EQ(copy->inputs().size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_NE(copy->inputs()[i]->data(), problem.inputs()[i]->data());
    for (std::int64_t at = 0; at < problem.inputs()[i]->count(); ++at)
      EXPECT_EQ(copy->inputs()[i]->at(at), problem.inputs()[i]->at(at));
  }
}

// ---- Reference ----

// The definition, element by element, from the dumped arrays alone.
double defined(const MatmulProblem& problem, std::int64_t i, std::int64_t j) {
  const bool nk = problem.b_layout() == BLayout::nk, fp8 = problem.dtype() == Dtype::fp8_e4m3;
  const std::int64_t n = problem.n(), k = problem.k(), k_blocks = (k + 127) / 128, n_blocks = (n + 127) / 128;
  double sum = 0.0;
  for (std::int64_t p = 0; p < k; ++p) {
    const bool one = problem.scaling() == Scaling::tensor;
    const std::int64_t wide = problem.scaling() == Scaling::vectors ? 1 : 128, across = wide == 1 ? n : n_blocks;
    const double a_scale = !fp8 ? 1.0 : one ? problem.a_scale().at(0) : problem.a_scale().at(i * k_blocks + p / 128);
    const double b_scale = !fp8  ? 1.0
                           : one ? problem.b_scale().at(0)
                           : nk  ? problem.b_scale().at(j / wide * k_blocks + p / 128)
                                 : problem.b_scale().at(p / 128 * across + j / wide);
    sum += problem.a().at(i * k + p) * a_scale * problem.b().at(nk ? j * k + p : p * n + j) * b_scale;
  }
  return sum;
}

TEST(matmul, the_reference_is_the_definition_for_any_rows) {
  for (const auto& [dtype, scaling] :
       {std::pair{Dtype::f32, Scaling::blocks}, {Dtype::bf16, Scaling::blocks}, {Dtype::fp8_e4m3, Scaling::blocks},
        {Dtype::fp8_e4m3, Scaling::vectors}, {Dtype::fp8_e4m3, Scaling::tensor}})
    for (const BLayout layout : {BLayout::nk, BLayout::kn}) {
      const MatmulProblem problem(140, 149, 263, layout, dtype, {.seed = 3}, scaling);
      const std::vector<std::int64_t> rows = {139, 0, 77, 77};
      const std::vector<double> reference = problem.reference(rows);
      ASSERT_EQ(reference.size(), rows.size() * 149);
      for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::int64_t j = 0; j < 149; ++j) {
          const double expected = defined(problem, rows[r], j);
          ASSERT_NEAR(reference[r * 149 + static_cast<std::size_t>(j)], expected, 1e-10)
              << rows[r] << ' ' << j;
        }
      const std::vector<double> all = problem.reference(all_rows(problem));  // more than one batch of rows
      ASSERT_NEAR(all[static_cast<std::size_t>(139 * 149 + 5)], reference[5], 1e-12);
      ASSERT_NEAR(all[static_cast<std::size_t>(77 * 149 + 148)], reference[2 * 149 + 148], 1e-12);
    }
}

// ---- Kernels ----

struct Case {
  std::int64_t m, n, k;
};
constexpr Case kCases[] = {{1, 1, 1},      {1, 127, 129},  {2, 3, 5},       {7, 11, 13},
                           {17, 19, 512},  {64, 130, 300}, {61, 257, 129},  {131, 97, 256},
                           {67, 33, 1500}, {5, 300, 2100}, {256, 128, 385}, {3, 1, 1000}};

// LeakSanitizer's tracer crashes on the OpenMP threads that oneDNN starts: where those ran, leaks go unchecked.
bool openmp_has_run = false;

class EveryKernel : public testing::TestWithParam<std::string> {
 protected:
  EveryKernel() { openmp_has_run |= GetParam() == "onednn"; }
};

TEST_P(EveryKernel, matches_the_reference_on_tiny_prime_and_ragged_shapes) {
  const Kernel& kernel = find_kernel("matmul", GetParam());
  int compared = 0;
  for (const Dtype dtype : kDtypes)
    for (const char* layout : {"nk", "kn"})
      for (const auto& [m, n, k] : kCases) {
        const Shape shape = shape_of(m, n, k, layout);
        if (kernel.unsupported(shape, dtype)) continue;
        for (const char* distribution : {"normal", "uniform"}) {
          Prepared prepared("matmul", kernel.name, shape, dtype, {},
                            {.seed = 21, .distribution = distribution});
          EXPECT_LE(prepared.error(), prepared.problem->tolerance())
              << shape.text() << ' ' << to_string(dtype) << ' ' << distribution;
          ++compared;
        }
      }
  if (compared == 0) GTEST_SKIP() << *kernel.unsupported(shape_of(1, 1, 1), Dtype::f32);
}

TEST_P(EveryKernel, matches_the_reference_whichever_values_share_a_scale) {
  const Kernel& kernel = find_kernel("matmul", GetParam());
  for (const char* scaling : {"tensor", "1x128"})
    for (const char* layout : {"nk", "kn"})
      for (const auto& [m, n, k] : kCases) {
        const Shape shape = scaled(shape_of(m, n, k, layout), scaling);
        if (const auto reason = kernel.unsupported(shape, Dtype::fp8_e4m3)) GTEST_SKIP() << *reason;
        Prepared prepared("matmul", kernel.name, shape, Dtype::fp8_e4m3, {}, {.seed = 21, .distribution = "normal"});
        EXPECT_LE(prepared.error(), prepared.problem->tolerance()) << shape.text();
        EXPECT_LE(prepared.error(), MatmulProblem(m, n, k, BLayout::nk, Dtype::bf16, {}).tolerance())
            << "sums are f32: " << shape.text();
        const Work booked = charged("matmul", kernel.name, shape, Dtype::fp8_e4m3), due = prepared.problem->work();
        EXPECT_EQ(booked.memory_bytes, due.memory_bytes) << shape.text();
        EXPECT_EQ(booked.flop, due.flop) << shape.text();
      }
}

TEST_P(EveryKernel, writes_zeros_for_zeros_and_the_whole_output_on_every_run) {
  const Kernel& kernel = find_kernel("matmul", GetParam());
  const Shape shape = shape_of(37, 66, 70);
  if (const auto reason = kernel.unsupported(shape, Dtype::f32)) GTEST_SKIP() << *reason;
  Prepared prepared("matmul", kernel.name, shape, Dtype::f32);
  const Tensor first = prepared.run();
  const Tensor& second = prepared.run();  // poisoned in between
  for (std::int64_t i = 0; i < first.count(); ++i) ASSERT_EQ(first.at(i), second.at(i)) << i;
  Prepared zeros("matmul", kernel.name, shape, Dtype::f32, {}, {.distribution = "zeros"});
  for (std::int64_t i = 0; const float value : zeros.run().as<float>()) ASSERT_EQ(value, 0.0F) << i++;
}

INSTANTIATE_TEST_SUITE_P(matmul, EveryKernel,
                         testing::Values("cpu_reference", "cpu_native", "openblas", "onednn"),
                         [](const auto& kernel) { return kernel.param; });

TEST(matmul, own_kernels_charge_exactly_the_work) {
  for (const char* kernel : {"cpu_reference", "cpu_native"})
    for (const Dtype dtype : kDtypes)
      for (const char* layout : {"nk", "kn"})
        for (const auto& [m, n, k] : kCases) {
          const Work booked = charged("matmul", kernel, shape_of(m, n, k, layout), dtype);
          EXPECT_EQ(booked.flop, matmul_work(m, n, k, dtype).flop)
              << kernel << ' ' << m << ' ' << n << ' ' << k;
          EXPECT_EQ(booked.memory_bytes, matmul_work(m, n, k, dtype).memory_bytes)
              << kernel << ' ' << m << ' ' << n;
          EXPECT_EQ(booked.link_bytes + booked.network_bytes, 0.0);
        }
}

TEST(matmul, kernels_declare_what_they_pace) {
  for (const Kernel* kernel : kernels_of("matmul")) {
    const bool own = kernel->name.starts_with("cpu_");
    if (kernel->device != "cpu") continue;
    EXPECT_EQ(kernel->paces.size(), own ? 2U : 0U) << kernel->name;
    EXPECT_EQ(kernel->dtypes.size(), own ? 3U : 1U) << kernel->name;
  }
}

TEST(matmul, libraries_say_why_they_cannot) {
  for (const char* name : {"openblas", "onednn"}) {
    const Kernel& kernel = find_kernel("matmul", name);
    const auto reason = kernel.unsupported(shape_of(4, 4, 4), Dtype::bf16);
    ASSERT_TRUE(reason.has_value());
    EXPECT_NE(reason->find("f32 only"), std::string::npos);
    EXPECT_NE(error_text([&] { Prepared("matmul", name, shape_of(4, 4, 4), Dtype::bf16); }).find("f32 only"),
              std::string::npos);
  }
  EXPECT_TRUE(
      find_kernel("matmul", "openblas").unsupported(shape_of(1, 1LL << 31, 1), Dtype::f32).has_value());
}

// ---- Tolerance ----

// What a faulty kernel would produce; the tolerance has to tell it from a right one.
double error_when(const MatmulProblem& problem,
                  const std::function<double(std::int64_t, std::int64_t, double)>& fault) {
  const std::vector<double> reference = problem.reference(all_rows(problem));
  double squares = 0.0, worst = 0.0;
  for (double value : reference) squares += value * value;
  const double rms = std::sqrt(squares / static_cast<double>(reference.size()));
  for (std::size_t at = 0; at < reference.size(); ++at) {
    const auto i = static_cast<std::int64_t>(at) / problem.n(),
               j = static_cast<std::int64_t>(at) % problem.n();
    worst = std::max(worst,
                     std::abs(fault(i, j, reference[at]) - reference[at]) / (std::abs(reference[at]) + rms));
  }
  return worst;
}

TEST(matmul, the_tolerance_catches_a_wrong_element_and_a_dropped_block) {
  constexpr std::int64_t kN = 32, kK = 16384, kDropped = 128;
  for (const auto& [dtype, scaling] : {std::pair{Dtype::f32, Scaling::blocks}, {Dtype::bf16, Scaling::blocks},
                                       {Dtype::fp8_e4m3, Scaling::blocks}, {Dtype::fp8_e4m3, Scaling::tensor}}) {
    const MatmulProblem problem(8, kN, kK, BLayout::nk, dtype, {}, scaling);
    const std::vector<double> right = problem.reference(all_rows(problem));
    const auto neighbour = [&](std::int64_t i, std::int64_t j, double value) {
      return i == 3 && j == 30 ? right[3 * kN + 31] : value;
    };
    EXPECT_GT(error_when(problem, neighbour), problem.tolerance());
    double tail = 0.0;  // the last 128 products of the first element
    for (std::int64_t p = kK - kDropped; p < kK; ++p) tail += problem.a().at(p) * problem.b().at(p);
    if (dtype == Dtype::fp8_e4m3) {
      const std::int64_t last = scaling == Scaling::tensor ? 0 : 127;
      tail *= problem.a_scale().at(last) * problem.b_scale().at(last);
    }
    const auto dropped = [&](std::int64_t i, std::int64_t j, double value) {
      return i == 0 && j == 0 ? value - tail : value;
    };
    EXPECT_GT(error_when(problem, dropped), problem.tolerance());
  }
}

TEST(matmul, the_tolerance_grows_with_the_root_of_k_and_stays_small) {
  const auto tolerance = [](std::int64_t k, Dtype dtype) {
    return MatmulProblem(1, 1, k, BLayout::nk, dtype, {}).tolerance();
  };
  EXPECT_NEAR(tolerance(16384, Dtype::f32) / tolerance(4096, Dtype::f32), 2.0, 0.05);
  EXPECT_LT(tolerance(16384, Dtype::f32), 5e-5);
  EXPECT_LT(tolerance(16384, Dtype::bf16), 4.1e-3);
  EXPECT_LT(tolerance(16384, Dtype::fp8_e4m3), 8e-3);
  const auto of_scaling = [](std::int64_t k, Scaling scaling) {
    return MatmulProblem(1, 1, k, BLayout::nk, Dtype::fp8_e4m3, {}, scaling).tolerance();
  };
  EXPECT_EQ(of_scaling(16384, Scaling::vectors), of_scaling(16384, Scaling::blocks));
  EXPECT_EQ(of_scaling(4096, Scaling::tensor), of_scaling(4096, Scaling::blocks));
  EXPECT_NEAR(of_scaling(16384, Scaling::tensor) - of_scaling(16384, Scaling::blocks), 0x1p-8, 1e-12)
      << "sums that stay in 14 bits for 16384 of k: 4 x 2^-9 of rms, not 4 x 2^-10";
}

}  // namespace
}  // namespace chokepoint

#if defined(__SANITIZE_ADDRESS__)
extern "C" int __lsan_is_turned_off() { return chokepoint::openmp_has_run ? 1 : 0; }  // called by LeakSanitizer, if at all
#endif
