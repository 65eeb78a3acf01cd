// Products as they are told to cuBLASLt: needs its header at build time and the library, but no GPU.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>

#if __has_include(<cublasLt.h>)
#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "kernels/common/cuda/cublaslt.hpp"

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
  product.set_scales(&of_w, &of_x);
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
#endif

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
