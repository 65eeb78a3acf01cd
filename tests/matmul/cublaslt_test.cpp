// What cuBLASLt asks of fp8 products: needs its header at build time and the library, but no GPU.
#include <gtest/gtest.h>

#include <tuple>

#if __has_include(<cublasLt.h>)
#include "kernels/matmul/cublaslt_fp8.hpp"

namespace chokepoint {
namespace {

TEST(cublaslt, says_which_fp8_shapes_it_cannot_multiply) {
  if (!cublaslt().missing.empty()) GTEST_SKIP() << cublaslt().missing;
  const auto reason = [](const Shape& shape) {
    return cublaslt_unsupported(shape, Dtype::fp8_e4m3).value_or("");
  };
  EXPECT_EQ(reason({{"m", 64}, {"n", 64}, {"k", 128}, {"b_layout", "nk"}}), "");
  EXPECT_NE(reason({{"m", 64}, {"n", 64}, {"k", 128}, {"b_layout", "kn"}}).find("[n, k] only"),
            std::string::npos);
  EXPECT_NE(reason({{"m", 64}, {"n", 70}, {"k", 128}, {"b_layout", "nk"}}).find("n is 70"),
            std::string::npos);
  EXPECT_NE(reason({{"m", 63}, {"n", 64}, {"k", 128}, {"b_layout", "nk"}}).find("m is 63"),
            std::string::npos);
  EXPECT_EQ(cublaslt_unsupported({{"m", 63}, {"n", 7}, {"k", 5}, {"b_layout", "kn"}}, Dtype::bf16),
            std::nullopt);
}

TEST(cublaslt, multiplies_any_number_of_rows_with_one_scale_for_each_operand) {
  if (!cublaslt().missing.empty()) GTEST_SKIP() << cublaslt().missing;
  const auto reason = [](const char* text) {
    const Shape shape = complete_shape(find_operation("matmul"), parse_shape(text));
    return cublaslt_unsupported(shape, Dtype::fp8_e4m3).value_or("");
  };
  EXPECT_EQ(reason("m=63,n=64,k=128,scaling=tensor"), "");
  EXPECT_NE(reason("m=63,n=70,k=128,scaling=tensor").find("n is 70"), std::string::npos);
  EXPECT_NE(reason("m=63,n=64,k=128,scaling=tensor,b_layout=kn").find("[n, k] only"), std::string::npos);
  EXPECT_NE(reason("m=63,n=64,k=128,scaling=1x128").find("m is 63"), std::string::npos);
  EXPECT_EQ(reason("m=64,n=64,k=128,scaling=1x128"), "");
  EXPECT_NE(cublaslt_unsupported({{"m", 4}, {"n", 4}, {"k", 4}, {"scaling", "tensor"}}, Dtype::bf16)
                .value_or("")
                .find("bf16 has no scales"),
            std::string::npos);
}

TEST(cublaslt, scales_are_padded_by_block_rows_and_turned_by_rows) {
  const MatmulProblem problem(3, 300, 640, BLayout::nk, Dtype::fp8_e4m3, {});
  const std::vector<float> w = cublaslt_w_scales(problem), x = cublaslt_x_scales(problem);
  ASSERT_EQ(w.size(), 3U * 8);  // 5 blocks along k, padded to 8
  ASSERT_EQ(x.size(), 5U * 3);
  EXPECT_EQ(w[2 * 8 + 4], static_cast<float>(problem.b_scale().at(2 * 5 + 4)));
  EXPECT_EQ(w[2 * 8 + 5], 0.0F);
  EXPECT_EQ(x[4 * 3 + 1], static_cast<float>(problem.a_scale().at(1 * 5 + 4)));
}

#if CHOKEPOINT_CUBLASLT_BLOCK_SCALES
template <class Value>
Value told(const CublasLtProduct& product, cublasLtMatmulDescAttributes_t attribute) {
  Value value{};
  std::size_t written = 0;
  EXPECT_EQ(cublaslt().product_get(product.product(), attribute, &value, sizeof value, &written),
            CUBLAS_STATUS_SUCCESS);
  return value;
}

// The scale of element [p, col] of a k x cols matrix, as cuBLASLt reads it (its documentation, "Scaling factors
// layouts").
double scale_as_told(std::int32_t mode, const float* scales, std::int64_t k, std::int64_t cols, std::int64_t p,
                     std::int64_t col) {
  const std::int64_t steps = (k + 127) / 128;
  switch (mode) {
    case CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F: return scales[0];
    case CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F: return scales[p / 128 * cols + col];
    case CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F: return scales[col / 128 * ((steps + 3) / 4 * 4) + p / 128];
    default: ADD_FAILURE() << "mode " << mode; return 0.0;
  }
}

TEST(cublaslt, is_told_scales_as_the_operation_means_them) {
  if (!cublaslt().missing.empty()) GTEST_SKIP() << cublaslt().missing;
  for (const Scaling scaling : {Scaling::blocks, Scaling::vectors, Scaling::tensor})
    for (const auto& [m, n, k] : {std::tuple{1, 1, 1}, {3, 300, 640}, {130, 17, 129}, {12, 272, 400}}) {
      const MatmulProblem problem(m, n, k, BLayout::nk, Dtype::fp8_e4m3, {.seed = 4}, scaling);
      const std::vector<float> of_w = cublaslt_w_scales(problem), of_x = cublaslt_x_scales(problem);
      CublasLtProduct product({.dtype = Dtype::fp8_e4m3, .m = m, .n = n, .k = k});
      product.set_scales(scaling, of_w.data(), of_x.data());
      const auto w_mode = told<std::int32_t>(product, CUBLASLT_MATMUL_DESC_A_SCALE_MODE),
                 x_mode = told<std::int32_t>(product, CUBLASLT_MATMUL_DESC_B_SCALE_MODE);
      const auto* w_scales = told<const float*>(product, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER);
      const auto* x_scales = told<const float*>(product, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER);
      const std::vector<std::int64_t> rows = {0, m - 1};
      const std::vector<double> reference = problem.reference(rows);
      for (std::size_t r = 0; r < rows.size(); ++r)
        for (std::int64_t j = 0; j < n; ++j) {
          double sum = 0.0;
          for (std::int64_t p = 0; p < k; ++p)
            sum += problem.b().at(j * k + p) * scale_as_told(w_mode, w_scales, k, n, p, j) *
                   problem.a().at(rows[r] * k + p) * scale_as_told(x_mode, x_scales, k, m, p, rows[r]);
          ASSERT_NEAR(sum, reference[r * static_cast<std::size_t>(n) + static_cast<std::size_t>(j)], 1e-9)
              << problem.shape().text() << ' ' << rows[r] << ' ' << j;
        }
    }
}
#endif

}  // namespace
}  // namespace chokepoint
#else
TEST(cublaslt, fp8) { GTEST_SKIP() << "built without the CUDA toolkit's headers"; }
#endif
