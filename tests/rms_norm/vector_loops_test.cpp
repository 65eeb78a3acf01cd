// The loops of rms_norm on every instruction set: every element at every length, and nothing beyond.
#include "kernels/rms_norm/vector_loops.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "tests/kernels/instruction_sets.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kMost = 80;  // more than four vectors of 16 floats, with every rest
constexpr double kEpsilon = 0.5;

struct Arrays {
  Tensor x, residual, gamma;

  explicit Arrays(Dtype dtype)
      : x("x", {kMost}, dtype), residual("residual", {kMost}, dtype), gamma("gamma", {kMost}, dtype) {
    for (Tensor* tensor : {&x, &residual, &gamma}) fill(*tensor, "normal", 1);
  }
};

void expect_normalised(const Arrays& arrays, Dtype dtype, std::int64_t hidden, bool residual, bool bypass) {
  SCOPED_TRACE(testing::Message() << to_string(dtype) << " " << hidden << " " << residual << " " << bypass);
  Tensor y("y", {kMost}, dtype), sum("sum", {kMost}, dtype);
  rms_norm::normalise({.x = arrays.x.data(),
                       .residual = residual ? arrays.residual.data() : nullptr,
                       .gamma = arrays.gamma.data(),
                       .y = y.data(),
                       .sum = residual ? sum.data() : nullptr,
                       .hidden = hidden,
                       .epsilon = static_cast<float>(kEpsilon),
                       .bypass = bypass},
                      dtype);
  const auto h = [&](std::int64_t i) { return arrays.x.at(i) + (residual ? arrays.residual.at(i) : 0.0); };
  double squares = 0.0;
  for (std::int64_t i = 0; i < hidden; ++i) squares += h(i) * h(i);
  const double root = std::sqrt(squares / static_cast<double>(hidden) + kEpsilon);
  const double rounding = dtype == Dtype::bf16 ? 0x1p-8 : 1e-6;
  for (std::int64_t i = 0; i < kMost; ++i) {
    const double expected = i < hidden ? h(i) / root * arrays.gamma.at(i) : 0.0;
    ASSERT_NEAR(y.at(i), expected, rounding * std::abs(expected)) << i;
    const double expected_sum = residual && i < hidden ? h(i) : 0.0;
    ASSERT_NEAR(sum.at(i), expected_sum, rounding * std::abs(expected_sum)) << i;
  }
}

TEST(rms_norm_loops, normalise_every_length_and_write_nothing_beyond_on_every_instruction_set) {
  const Arrays f32(Dtype::f32), bf16(Dtype::bf16);
  const int sets = on_every_instruction_set([&] {
    for (std::int64_t hidden = 1; hidden < kMost; ++hidden)
      for (bool residual : {false, true})
        for (bool bypass : {false, true}) {
          expect_normalised(f32, Dtype::f32, hidden, residual, bypass);
          expect_normalised(bf16, Dtype::bf16, hidden, residual, bypass);
        }
  });
  EXPECT_GE(sets, 1);
}

}  // namespace
}  // namespace chokepoint
