// What cuBLASLt asks of fp8 products: needs its header at build time and the library, but no GPU.
#include <gtest/gtest.h>

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
TEST(cublaslt, fp8) { GTEST_SKIP() << "built without the CUDA toolkit's headers"; }
#endif
