// The packed matrix product: every path against a plain double sum.
#include "kernels/common/gemm.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"

namespace chokepoint {
namespace {

TEST(gemm, f32_products_match_a_plain_sum_on_ragged_shapes) {
  for (const auto& [m, n, k] :
       {std::array{1, 1, 1}, {7, 13, 5}, {64, 100, 700}, {33, 257, 65}, {130, 70, 1025}})
    for (const bool along_k : {true, false}) {
      Tensor a("a", {m, k}, Dtype::f32), b("b", {n, k}, Dtype::f32), c("c", {m, n}, Dtype::f32);
      fill(a, "normal", 1);
      fill(b, "normal", 2);
      c.poison();
      const gemm::Matrix ma{.data = a.data(), .rows = m, .cols = k, .row_stride = k};
      const gemm::Matrix mb{.data = b.data(),
                            .rows = k,
                            .cols = n,
                            .row_stride = along_k ? 1 : n,
                            .col_stride = along_k ? k : 1};
      gemm::gemm(ma, mb, {.data = c.data(), .row_stride = n}, {}, 0.0);
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) {
          double sum = 0;
          for (int p = 0; p < k; ++p) sum += a.at(i * k + p) * b.at(along_k ? j * k + p : p * n + j);
          ASSERT_NEAR(c.at(i * n + j), sum, 1e-4 * std::sqrt(k))
              << m << ' ' << n << ' ' << k << ' ' << i << ' ' << j;
        }
    }
}

}  // namespace
}  // namespace chokepoint
