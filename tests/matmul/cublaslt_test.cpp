// Products as they are described to cuBLASLt: needs its header at build time and the library, but no GPU.
#include <gtest/gtest.h>

#if __has_include(<cublasLt.h>)
#include "kernels/matmul/cublaslt_product.hpp"

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
  const CublasLtProduct nk(3, 5, 7, BLayout::nk, Dtype::bf16), kn(3, 5, 7, BLayout::kn, Dtype::f32);
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
  const CublasLtProduct f32(3, 5, 7, BLayout::nk, Dtype::f32), bf16(3, 5, 7, BLayout::nk, Dtype::bf16);
  EXPECT_EQ(of<std::int32_t>(f32.product(), CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F_PEDANTIC);
  EXPECT_EQ(of<std::int32_t>(bf16.product(), CUBLASLT_MATMUL_DESC_COMPUTE_TYPE), CUBLAS_COMPUTE_32F);
}

#if CHOKEPOINT_CUBLASLT_BLOCK_SCALES
TEST_F(Cublaslt, fp8_has_a_scale_per_block_of_weights_and_per_128_of_a_row) {
  CublasLtProduct product(16, 32, 256, BLayout::nk, Dtype::fp8_e4m3);
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

TEST_F(Cublaslt, says_which_fp8_shapes_it_cannot_multiply) {
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

TEST(cublaslt, scales_are_padded_by_block_rows_and_turned_by_rows) {
  const MatmulProblem problem(3, 300, 640, BLayout::nk, Dtype::fp8_e4m3, {});
  const std::vector<float> w = cublaslt_w_scales(problem.b_scale()), x = cublaslt_x_scales(problem.a_scale());
  ASSERT_EQ(w.size(), 3U * 8);  // 5 blocks along k, padded to 8
  ASSERT_EQ(x.size(), 5U * 3);
  EXPECT_EQ(w[2 * 8 + 4], static_cast<float>(problem.b_scale().at(2 * 5 + 4)));
  EXPECT_EQ(w[2 * 8 + 5], 0.0F);
  EXPECT_EQ(x[4 * 3 + 1], static_cast<float>(problem.a_scale().at(1 * 5 + 4)));
}

}  // namespace
}  // namespace chokepoint
#else
TEST(cublaslt, descriptors) { GTEST_SKIP() << "built without the CUDA toolkit's headers"; }
#endif
