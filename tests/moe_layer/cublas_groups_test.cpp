// Grouped products as they are told to cuBLAS: needs its header, but neither library nor GPU.
#include <gtest/gtest.h>

#if __has_include(<cublas_v2.h>)
#include "kernels/moe_layer/cublas_groups.hpp"
#include "tests/kernels/check.hpp"

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

class DeviceOf132 final : public UnusedDevice {
 public:
  DeviceOf132() { facts_.workers = 132; }
  const DeviceFacts& facts() const override { return facts_; }

 private:
  DeviceFacts facts_;
};

// What the library was told before each product.
std::vector<int> told_to_cublas;

// The library, played: it agrees to everything.
Cublas noting_cublas() {
  static int target = -1;
  Cublas library;
  library.set_stream = [](cublasHandle_t, cudaStream_t) { return CUBLAS_STATUS_SUCCESS; };
  library.set_workspace = [](cublasHandle_t, void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; };
  library.set_multiprocessors = [](cublasHandle_t, int count) { return target = count, CUBLAS_STATUS_SUCCESS; };
  library.multiply = [](auto...) { return told_to_cublas.push_back(target), CUBLAS_STATUS_SUCCESS; };
  return library;
}

// Prepared before a cap is put on, and launched by targets with and without one in turn.
TEST(cublas_product, the_library_is_told_what_each_launch_reaches) {
  std::byte rows[1000], weights[1000], out[1000];
  const std::int32_t begin[] = {0, 5};
  DeviceOf132 device;
  const Cublas library = noting_cublas();
  const CublasProduct product(
      device, library, nullptr, cublas_groups({.m = 5, .n = 7, .k = 3, .a = rows, .b = weights, .c = out}, begin), {});
  told_to_cublas.clear();
  for (const int reached : {132, 64, 132, 104}) product.enqueue(nullptr, reached);
  EXPECT_EQ(told_to_cublas, (std::vector<int>{0, 64, 0, 104})) << "0: all of them";
}

}  // namespace
}  // namespace chokepoint::moe
#endif
