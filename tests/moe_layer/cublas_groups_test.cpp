// Grouped products as they are told to cuBLAS: needs its header, but neither library nor GPU.
#include <gtest/gtest.h>

#if __has_include(<cublas_v2.h>)
#include "kernels/moe_layer/cublas_groups.hpp"

namespace chokepoint::moe {
namespace {

TEST(cublas_groups, experts_with_rows_become_groups_and_rows_become_columns) {
  std::byte rows[1000], weights[1000], out[1000];
  const std::int32_t begin[] = {0, 2, 2, 5};
  const CublasGroups groups =
      cublas_groups({.m = 5, .n = 7, .k = 3, .a = rows, .b = weights, .groups = 3, .c = out}, begin);
  ASSERT_EQ(groups.count(), 2);
  EXPECT_EQ(groups.m, (std::vector<int>{7, 7}));
  EXPECT_EQ(groups.n, (std::vector<int>{2, 3}));
  EXPECT_EQ(groups.k, (std::vector<int>{3, 3}));
  EXPECT_EQ(groups.a_operation, (std::vector<cublasOperation_t>(2, CUBLAS_OP_T)));
  EXPECT_EQ(groups.b_operation, (std::vector<cublasOperation_t>(2, CUBLAS_OP_N)));
  EXPECT_EQ(groups.a_stride, (std::vector<int>{3, 3}));
  EXPECT_EQ(groups.b_stride, (std::vector<int>{3, 3}));
  EXPECT_EQ(groups.c_stride, (std::vector<int>{7, 7}));
  EXPECT_EQ(groups.a, (std::vector<const void*>{weights, weights + 2 * 2 * 7 * 3})) << "the second has no rows";
  EXPECT_EQ(groups.b, (std::vector<const void*>{rows, rows + 2 * 2 * 3}));
  EXPECT_EQ(groups.c, (std::vector<void*>{out, out + 2 * 2 * 7}));
}

}  // namespace
}  // namespace chokepoint::moe
#endif
