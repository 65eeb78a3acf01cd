// Products as they are told to cuBLASLt: needs its header at build time and the library, but no GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#if __has_include(<cublasLt.h>)
#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "kernels/common/cuda/cublaslt_search.hpp"

namespace chokepoint {
namespace {

template <class Value>
Value of(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute) {
  Value value{};
  std::size_t written = 0;
  EXPECT_EQ(cublaslt().product_get(product, attribute, &value, sizeof value, &written),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(written, sizeof value);
  return value;
}

struct Described {
  std::uint64_t rows = 0, cols = 0;
  std::int64_t stride = 0;
  std::uint32_t type = 0;
  bool operator==(const Described&) const = default;
};
Described of(cublasLtMatrixLayout_t layout) {
  Described found;
  std::size_t written = 0;
  cublaslt().layout_get(layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &found.rows, sizeof found.rows, &written);
  cublaslt().layout_get(layout, CUBLASLT_MATRIX_LAYOUT_COLS, &found.cols, sizeof found.cols, &written);
  cublaslt().layout_get(layout, CUBLASLT_MATRIX_LAYOUT_LD, &found.stride, sizeof found.stride, &written);
  cublaslt().layout_get(layout, CUBLASLT_MATRIX_LAYOUT_TYPE, &found.type, sizeof found.type, &written);
  return found;
}

class Cublaslt : public testing::Test {
 protected:
  void SetUp() override {
    if (!cublaslt().missing.empty()) GTEST_SKIP() << cublaslt().missing;
  }
};

TEST_F(Cublaslt, rows_become_columns_and_weights_are_taken_transposed) {
  const CublasLtProduct nk({.dtype = Dtype::bf16, .m = 3, .n = 5, .k = 7});
  const CublasLtProduct kn(
      {.dtype = Dtype::f32, .m = 3, .n = 5, .k = 7, .b_layout = GemmLayout::kn, .c_dtype = Dtype::f32});
  EXPECT_EQ(of(nk.w()), (Described{7, 5, 7, CUDA_R_16BF}));
  EXPECT_EQ(of(nk.x()), (Described{7, 3, 7, CUDA_R_16BF}));
  EXPECT_EQ(of(nk.d()), (Described{5, 3, 5, CUDA_R_16BF}));
  EXPECT_EQ(of<std::int32_t>(nk.product(), CUBLASLT_MATMUL_DESC_TRANSA), CUBLAS_OP_T);
  EXPECT_EQ(of(kn.w()), (Described{5, 7, 5, CUDA_R_32F}));
  EXPECT_EQ(of(kn.d()), (Described{5, 3, 5, CUDA_R_32F}));
  EXPECT_EQ(of<std::int32_t>(kn.product(), CUBLASLT_MATMUL_DESC_TRANSA), CUBLAS_OP_N);
  EXPECT_EQ(of<std::int32_t>(kn.product(), CUBLASLT_MATMUL_DESC_TRANSB), CUBLAS_OP_N);
}

TEST_F(Cublaslt, f32_is_nothing_but_f32) {
  const CublasLtProduct f32({.dtype = Dtype::f32, .m = 3, .n = 5, .k = 7, .c_dtype = Dtype::f32});
  const CublasLtProduct bf16({.dtype = Dtype::bf16, .m = 3, .n = 5, .k = 7});
  EXPECT_EQ(of<std::int32_t>(f32.product(), CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F_PEDANTIC);
  EXPECT_EQ(of<std::int32_t>(bf16.product(), CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F);
}

#if CHOKEPOINT_CUBLASLT_BLOCK_SCALES
TEST_F(Cublaslt, fp8_has_a_scale_per_block_of_weights_and_per_128_of_a_row) {
  CublasLtProduct product({.dtype = Dtype::fp8_e4m3, .m = 16, .n = 32, .k = 256});
  const float of_w = 1.0F, of_x = 2.0F;
  product.set_scales(gemm::Scaling::blocks, &of_w, &of_x);
  EXPECT_EQ(of(product.x()), (Described{256, 16, 256, CUDA_R_8F_E4M3}));
  EXPECT_EQ(of(product.d()), (Described{32, 16, 32, CUDA_R_16BF}));
  EXPECT_EQ(of<std::int32_t>(product.product(), CUBLASLT_MATMUL_DESC_A_SCALE_MODE),
            CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F);
  EXPECT_EQ(of<std::int32_t>(product.product(), CUBLASLT_MATMUL_DESC_B_SCALE_MODE),
            CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
  EXPECT_EQ(of<const float*>(product.product(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER), &of_w);
  EXPECT_EQ(of<const float*>(product.product(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER), &of_x);
  EXPECT_EQ(of<std::int8_t>(product.product(), CUBLASLT_MATMUL_DESC_FAST_ACCUM), 0) << "sums stay exact";
}

TEST_F(Cublaslt, fp8_has_a_scale_per_128_of_both_or_one_of_each) {
  const GemmTask task{.dtype = Dtype::fp8_e4m3, .m = 16, .n = 32, .k = 256};
  CublasLtProduct vectors(task), tensor(task);
  const float of_w = 1.0F, of_x = 2.0F;
  vectors.set_scales(gemm::Scaling::vectors, &of_w, &of_x);
  tensor.set_scales(gemm::Scaling::tensor, &of_w, &of_x);
  for (const auto attribute : {CUBLASLT_MATMUL_DESC_A_SCALE_MODE, CUBLASLT_MATMUL_DESC_B_SCALE_MODE}) {
    EXPECT_EQ(of<std::int32_t>(vectors.product(), attribute), CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F);
    EXPECT_EQ(of<std::int32_t>(tensor.product(), attribute), CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F);
  }
  for (const CublasLtProduct* product : {&vectors, &tensor}) {
    EXPECT_EQ(of<const float*>(product->product(), CUBLASLT_MATMUL_DESC_A_SCALE_POINTER), &of_w);
    EXPECT_EQ(of<const float*>(product->product(), CUBLASLT_MATMUL_DESC_B_SCALE_POINTER), &of_x);
    EXPECT_EQ(of<std::int8_t>(product->product(), CUBLASLT_MATMUL_DESC_FAST_ACCUM), 0) << "sums are promoted";
  }
}

TEST_F(Cublaslt, a_choice_hangs_on_how_values_share_scales) {
  const GemmTask task{.dtype = Dtype::fp8_e4m3, .m = 16, .n = 32, .k = 256};
  const float scale = 1.0F;
  std::vector<CublasLtKey> keys = {cublaslt_key(task, CublasLtProduct(task), 0, 132)};
  for (const auto scaling : {gemm::Scaling::blocks, gemm::Scaling::vectors, gemm::Scaling::tensor}) {
    CublasLtProduct product(task);
    product.set_scales(scaling, &scale, &scale);
    for (const CublasLtKey& other : keys) EXPECT_NE(cublaslt_key(task, product, 0, 132), other);
    keys.push_back(cublaslt_key(task, product, 0, 132));
    const float elsewhere = 2.0F;
    product.set_scales(scaling, &elsewhere, &elsewhere);
    EXPECT_EQ(cublaslt_key(task, product, 0, 132), keys.back()) << "not on where they lie";
  }
}
#endif

// ---- The search ----

TEST_F(Cublaslt, a_choice_hangs_on_shape_types_layout_alignment_gpu_and_multiprocessors) {
  alignas(256) static char memory[1024];
  GemmTask task{.dtype = Dtype::bf16, .m = 16, .n = 32, .k = 64};
  task.a = memory;
  task.b = memory + 256;
  task.c = memory + 512;
  const auto key = [](const GemmTask& of_task, int device = 0, int multiprocessors = 132) {
    return cublaslt_key(of_task, CublasLtProduct(of_task), device, multiprocessors);
  };
  const CublasLtKey usual = key(task);
  const auto changed = [&](auto change) {
    GemmTask other = task;
    change(other);
    return key(other);
  };
  EXPECT_NE(changed([](GemmTask& other) { other.m = 17; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.n = 33; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.k = 65; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.b_layout = GemmLayout::kn; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.c_dtype = Dtype::f32; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.dtype = other.c_dtype = Dtype::f32; }), usual);
  EXPECT_NE(changed([](GemmTask& other) { other.a = memory + 16; }), usual);
  EXPECT_EQ(changed([](GemmTask& other) { other.a = memory + 768; }), usual) << "a copy elsewhere";
  EXPECT_NE(key(task, 1), usual);
  EXPECT_NE(key(task, 0, 104), usual) << "chosen on all multiprocessors, used on a part of them";
  CublasLtKey less_workspace = usual;
  less_workspace.workspace_bytes = 0;
  EXPECT_NE(less_workspace, usual);
  CublasLtProduct with_epilogue(task);
  const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_RELU;
  cublaslt().product_set(with_epilogue.product(), CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
  EXPECT_NE(cublaslt_key(task, with_epilogue, 0, 132), usual);
}

TEST_F(Cublaslt, a_part_of_the_multiprocessors_has_a_choice_of_its_own_and_copies_share_one) {
  const GemmTask task{.dtype = Dtype::bf16, .m = 16, .n = 32, .k = 64};
  CublasLtChoices choices;
  int searches = 0;
  const auto chosen_on = [&](int multiprocessors) {
    CublasLtProduct product(task);  // of another copy
    return choices
        .known_or(cublaslt_key(task, product, 0, multiprocessors), [&] { return CublasLtChoice{.tried = ++searches}; })
        .tried;
  };
  EXPECT_EQ(chosen_on(132), 1);
  EXPECT_EQ(chosen_on(104), 2);
  EXPECT_EQ(chosen_on(132), 1);
  EXPECT_EQ(chosen_on(104), 2);
}

TEST(cublaslt_search, a_product_follows_the_multiprocessors_it_reaches_but_not_while_it_is_captured) {
  CublasLtTaken taken;
  std::vector<int> chosen_for;
  const auto choose = [&](int reached) {
    if (reached == 8) throw Error(Fault::unsupported, "none", "none");
    chosen_for.push_back(reached);
    return CublasLtChoice{.tried = reached};
  };
  taken.follow(132, true, choose);
  taken.follow(132, true, choose);
  taken.follow(104, false, choose);
  EXPECT_EQ(taken.choice().tried, 132);
  taken.follow(104, true, choose);
  taken.follow(104, false, choose);
  EXPECT_EQ(taken.choice().tried, 104);
  EXPECT_EQ(taken.multiprocessors(), 104);
  EXPECT_THROW(taken.follow(8, true, choose), Error);
  EXPECT_EQ(taken.multiprocessors(), 104);
  EXPECT_EQ(chosen_for, (std::vector<int>{132, 104}));
}

TEST_F(Cublaslt, is_told_of_fewer_multiprocessors_where_there_are) {
  CublasLtProduct product({.dtype = Dtype::bf16, .m = 16, .n = 32, .k = 64});
  EXPECT_EQ(of<std::int32_t>(product.product(), CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET), 0);
  product.set_multiprocessors(104);
  EXPECT_EQ(of<std::int32_t>(product.product(), CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET), 104);
}

cublasLtMatmulHeuristicResult_t answer(std::uint64_t id, std::size_t workspace_bytes = 0,
                                       cublasStatus_t state = CUBLAS_STATUS_SUCCESS) {
  cublasLtMatmulHeuristicResult_t made{};
  made.algo.data[0] = id;
  made.workspaceSize = workspace_bytes;
  made.state = state;
  return made;
}

TEST(cublaslt_search, each_suggestion_is_tried_once_whatever_workspaces_it_is_suggested_for) {
  const auto cannot_run = answer(9, 0, CUBLAS_STATUS_NOT_SUPPORTED);
  const auto all = distinct_suggestions(
      {{answer(7, 100), answer(8), cannot_run}, {answer(8), answer(11, 200)}, {answer(12)}});
  ASSERT_EQ(all.size(), 4U);
  const std::uint64_t ids[] = {7, 8, 11, 12};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(all[i].algorithm.data[0], ids[i]);
  EXPECT_EQ(all[0].workspace_bytes, 100U);
  EXPECT_EQ(all[1].rank, 2);
  EXPECT_EQ(all[1].of, 3);
  EXPECT_EQ(all[1].budget_bytes, kWorkspaceBudgets[0]);
  EXPECT_EQ(all[2].rank, 2);
  EXPECT_EQ(all[2].of, 2);
  EXPECT_EQ(all[2].budget_bytes, kWorkspaceBudgets[1]);
  EXPECT_EQ(all[3].budget_bytes, 0U);
}

// Times by id; a clock that moves by a second a look.
std::optional<CublasLtChoice> choice_of(const std::vector<CublasLtSuggestion>& all,
                                        const std::map<std::uint64_t, double>& times_s, double most_s = 1e9) {
  double now_s = 0.0;
  const auto time_s = [&](const CublasLtSuggestion& one) {
    const auto found = times_s.find(one.algorithm.data[0]);
    return found == times_s.end() ? std::nullopt : std::optional(found->second);
  };
  return fastest_suggestion(all, time_s, [&] { return now_s++; }, most_s);
}

TEST(cublaslt_search, the_fastest_is_taken_and_compared_with_what_comes_first) {
  const auto all = distinct_suggestions({{answer(7), answer(8)}, {answer(9)}, {}});
  const auto choice = choice_of(all, {{7, 3.0}, {8, 2.5}, {9, 2.0}});
  EXPECT_EQ(choice->taken.algorithm.data[0], 9U);
  EXPECT_EQ(choice->default_over_best, 1.5);
  EXPECT_EQ(choice->tried, 3);
  EXPECT_EQ(choice->suggested, 3);
  EXPECT_EQ(choice_of(all, {{7, 1.0}, {8, 2.5}})->default_over_best, 1.0);
}

TEST(cublaslt_search, what_comes_first_but_does_not_run_is_compared_with_nothing) {
  const auto all = distinct_suggestions({{answer(7), answer(8)}, {answer(9)}, {}});
  const auto choice = choice_of(all, {{8, 2.5}, {9, 2.0}});
  EXPECT_EQ(choice->taken.algorithm.data[0], 9U);
  EXPECT_EQ(choice->default_over_best, std::nullopt);
  EXPECT_EQ(choice_of(all, {}), std::nullopt);
}

TEST(cublaslt_search, a_cold_gpu_does_not_cost_the_first_suggestion_its_place) {
  const auto all = distinct_suggestions({{answer(7), answer(8)}, {}, {}});
  int timed = 0;
  const auto cold_at_first = [&](const CublasLtSuggestion& one) {
    return std::optional(timed++ == 0 ? 9.0 : one.algorithm.data[0] == 7 ? 2.0 : 2.1);
  };
  const auto choice = fastest_suggestion(all, cold_at_first, [] { return 0.0; }, 1.0);
  EXPECT_EQ(choice->taken.algorithm.data[0], 7U);
  EXPECT_EQ(choice->default_over_best, 1.0);
}

TEST(cublaslt_search, long_launches_are_timed_fewer_times) {
  EXPECT_EQ(timed_launches(20e-6), 5);
  EXPECT_EQ(timed_launches(2e-3), 2);
  EXPECT_EQ(timed_launches(8e-3), 1);
  EXPECT_EQ(timed_launches(0.0), 5);
}

TEST(cublaslt_search, ends_when_its_time_is_over_but_not_before_one_has_run) {
  const auto all = distinct_suggestions({{answer(7), answer(8), answer(9)}, {answer(10), answer(11)}, {}});
  const std::map<std::uint64_t, double> times_s = {{8, 3.0}, {9, 2.5}, {10, 2.0}, {11, 1.0}};
  EXPECT_EQ(choice_of(all, times_s, 1.5)->taken.algorithm.data[0], 9U);  // looks at 1 and 2 s, after the first that ran
  EXPECT_EQ(choice_of(all, times_s, 1.5)->tried, 3);
  EXPECT_EQ(choice_of(all, times_s, 0.0)->taken.algorithm.data[0], 8U);
}

// cuBLASLt's part, played on the host as its manual defines it: D = alpha op(A) op(B) + beta C, in columns.
template <class Value>
Value element(const Described& matrix, const void* data, std::uint64_t row, std::uint64_t col) {
  return static_cast<const Value*>(data)[col * static_cast<std::uint64_t>(matrix.stride) + row];
}
double number(const Described& matrix, const void* data, std::uint64_t row, std::uint64_t col) {
  return matrix.type == CUDA_R_32F ? element<float>(matrix, data, row, col)
                                   : float_from_bf16(element<std::uint16_t>(matrix, data, row, col));
}
cublasStatus_t multiply_on_host(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                                const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                                cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                                cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                                const cublasLtMatmulAlgo_t*, void*, std::size_t, cudaStream_t) {
  const Described of_a = of(a_layout), of_b = of(b_layout), of_c = of(c_layout), of_d = of(d_layout);
  const bool turn_a = of<std::int32_t>(product, CUBLASLT_MATMUL_DESC_TRANSA) == CUBLAS_OP_T;
  const bool turn_b = of<std::int32_t>(product, CUBLASLT_MATMUL_DESC_TRANSB) == CUBLAS_OP_T;
  const std::uint64_t depth = turn_a ? of_a.rows : of_a.cols;
  EXPECT_EQ(turn_a ? of_a.cols : of_a.rows, of_d.rows);
  EXPECT_EQ(turn_b ? of_b.rows : of_b.cols, of_d.cols);
  EXPECT_EQ(turn_b ? of_b.cols : of_b.rows, depth);
  EXPECT_EQ(of_c, of_d);
  const float scale = *static_cast<const float*>(alpha), keep = *static_cast<const float*>(beta);
  for (std::uint64_t col = 0; col < of_d.cols; ++col)
    for (std::uint64_t row = 0; row < of_d.rows; ++row) {
      double sum = 0.0;
      for (std::uint64_t i = 0; i < depth; ++i)
        sum += (turn_a ? number(of_a, a, i, row) : number(of_a, a, row, i)) *
               (turn_b ? number(of_b, b, col, i) : number(of_b, b, i, col));
      sum *= scale;
      if (keep != 0.0F) sum += keep * number(of_c, c, row, col);
      const std::uint64_t at = col * static_cast<std::uint64_t>(of_d.stride) + row;
      if (of_d.type == CUDA_R_32F)
        static_cast<float*>(d)[at] = static_cast<float>(sum);
      else
        static_cast<std::uint16_t*>(d)[at] = bf16_from_float(static_cast<float>(sum));
    }
  return CUBLAS_STATUS_SUCCESS;
}

TEST_F(Cublaslt, is_told_the_product_that_the_task_means) {
  CublasLt library = cublaslt();
  library.multiply = multiply_on_host;
  for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {1, 7, 5}, {6, 1, 3}, {3, 13, 9}, {16, 8, 24}})
    for (GemmLayout b_layout : {GemmLayout::nk, GemmLayout::kn})
      for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        SCOPED_TRACE(testing::Message() << m << ' ' << n << ' ' << k << ' ' << to_string(dtype));
        const bool nk = b_layout == GemmLayout::nk;
        Tensor a("a", {m, k}, dtype), b("b", {n, k}, dtype), c("c", {m, n}, dtype);
        fill(a, "normal", 1);
        fill(b, "normal", 2);
        c.poison();
        const GemmTask task{.dtype = dtype,
                            .m = m,
                            .n = n,
                            .k = k,
                            .a = a.data(),
                            .b = b.data(),
                            .b_layout = b_layout,
                            .c = c.data(),
                            .c_dtype = dtype};
        ASSERT_EQ(enqueue_cublaslt(library, nullptr, task, CublasLtProduct(task), {}, nullptr, 0, nullptr),
                  CUBLAS_STATUS_SUCCESS);
        for (int row = 0; row < m; ++row)
          for (int col = 0; col < n; ++col) {
            double expected = 0.0;
            for (int i = 0; i < k; ++i) expected += a.at(row * k + i) * b.at(nk ? col * k + i : i * n + col);
            ASSERT_NEAR(c.at(row * n + col), expected, 0x1p-8 * (1e-20 + std::abs(expected)))
                << row << ' ' << col;
          }
      }
}

}  // namespace
}  // namespace chokepoint
#else
TEST(cublaslt, descriptors) { GTEST_SKIP() << "built without the CUDA toolkit's headers"; }
#endif
