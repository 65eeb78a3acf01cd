// The element-wise loops of tp_block on every instruction set, at every length, with extreme values.
#include "kernels/tp_block/vector_loops.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "tests/kernels/instruction_sets.hpp"

namespace chokepoint {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Ordinary values with extreme ones among them, so that both vectors and the rest at the end meet them.
std::vector<float> values(std::int64_t count, std::uint64_t stream) {
  const std::vector<float> extremes = {0.0F,  -0.0F,  1e-30F, -1e-30F, 20.0F, -20.0F,
                                       87.0F, -87.0F, 100.0F, -100.0F, 3e4F,  -3e4F};
  std::vector<float> result;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    result.push_back(i % 3 == 0 ? extremes[static_cast<std::size_t>(i / 3) % extremes.size()]
                                : static_cast<float>(8.0 * random_unit(7, stream, at) - 4.0));
  }
  return result;
}

TEST(tp_block_loops, silu_is_right_to_a_few_ulps_for_any_value_on_every_instruction_set) {
  const int sets = on_every_instruction_set([&] {
    for (bool gated : {false, true})
      for (std::int64_t count : {0, 1, 3, 7, 15, 16, 17, 33, 100}) {
        std::vector<float> gate = values(count + 1, 1);
        const std::vector<float> before = gate, up = values(count + 1, 2);
        tp_block::activate(gate.data(), gated ? up.data() : nullptr, count);
        for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
          const double x = before[i], silu = x / (1.0 + std::exp(-x)), expected = gated ? silu * up[i] : silu;
          // Below -87 silu leaves the normal range of f32; nothing of it is left after the second product.
          EXPECT_NEAR(gate[i], expected, 1e-6 * std::abs(expected) + 1e-28) << x << " " << count;
        }
        EXPECT_EQ(gate.back(), before.back()) << "written beyond the end";
      }
  });
  EXPECT_GE(sets, 1);
}

TEST(tp_block_loops, settling_adds_in_f32_and_rounds_once_on_every_instruction_set) {
  // Ties, both neighbours of ties, the largest finite bf16, overflow to infinity, and numbers that are none.
  const std::vector<float> hard = {1.00390625F,  1.01171875F,    1.0039063F,    1.0039061F,
                                   -1.00390625F, 3.38953139e38F, 3.3999999e38F, kInfinity,
                                   -kInfinity,   1e-40F,         -0.0F};
  on_every_instruction_set([&] {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16})
      for (std::int64_t count : {1, 5, 16, 31, 64, 77})
        for (bool arrives : {false, true}) {
          Tensor partial("partial", {count}, Dtype::f32), arrived("arrived", {count}, dtype);
          Tensor out("out", {count + 1}, dtype), expected("expected", {count + 1}, dtype);
          fill(arrived, "normal", 3);
          for (std::int64_t i = 0; i < count; ++i) {
            const float own =
                i % 2 == 0 ? hard[static_cast<std::size_t>(i / 2) % hard.size()] : values(count, 5)[i];
            partial.set(i, own);
            expected.set(i, arrives ? own + static_cast<float>(arrived.at(i)) : own);
          }
          tp_block::settle(arrives ? arrived.data() : nullptr, partial.as<float>().data(), out.data(), dtype,
                           count);
          for (std::int64_t i = 0; i <= count; ++i)
            EXPECT_EQ(out.at(i), expected.at(i))
                << to_string(dtype) << " " << partial.at(std::min(i, count - 1));
        }
  });
}

TEST(tp_block_loops, what_is_no_number_stays_no_number) {
  on_every_instruction_set([&] {
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      Tensor partial("partial", {37}, Dtype::f32), out("out", {37}, dtype);
      for (std::int64_t i = 0; i < 37; ++i) partial.set(i, i % 2 == 0 ? NAN : -NAN);
      tp_block::settle(nullptr, partial.as<float>().data(), out.data(), dtype, 37);
      for (std::int64_t i = 0; i < 37; ++i) EXPECT_TRUE(std::isnan(out.at(i)));
      tp_block::activate(partial.as<float>().data(), nullptr, 37);
      for (std::int64_t i = 0; i < 37; ++i) EXPECT_TRUE(std::isnan(partial.at(i)));
    }
  });
}

}  // namespace
}  // namespace chokepoint
