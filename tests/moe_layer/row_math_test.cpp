// Do the vector loops give what their scalar definitions give, on every instruction set of this machine?
#include "kernels/moe_layer/row_math.hpp"

#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cmath>
#include <functional>
#include <vector>

#include "harness/base/random.hpp"
#include "kernels/moe_layer/quantise.hpp"

namespace chokepoint::moe {
namespace {

constexpr std::int64_t kLengths[] = {1, 7, 16, 127, 128, 129, 300};

// Values from 2^-12 to 2^11 of both signs, with some zeros: normal, subnormal and vanishing codes after
// scaling.
std::vector<float> wide_values(std::int64_t length, std::uint64_t stream) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < length; ++i) {
    const auto at = static_cast<std::uint64_t>(i);
    const double size = std::exp2(random_unit(3, stream, 2 * at) * 23 - 12);
    const double sign = random_unit(3, stream, 2 * at + 1) - 0.5;
    values.push_back(i % 11 == 5 ? 0.0F : static_cast<float>(sign < 0 ? -size : size));
  }
  return values;
}

void on_every_target(const std::function<void()>& body) {
  const std::int64_t all = hwy::SupportedTargets();
  for (std::int64_t target = 1; target > 0 && target <= all; target <<= 1) {
    if ((all & target) == 0) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

TEST(row_math, quantised_rows_have_the_bits_of_the_definition) {
  on_every_target([] {
    for (std::int64_t length : kLengths)
      for (std::uint64_t stream = 0; stream < 20; ++stream) {
        const std::vector<float> values = wide_values(length, stream);
        const auto count = static_cast<std::size_t>(length);
        std::vector<std::uint8_t> codes(count), expected_codes(count);
        std::vector<float> scales(3, -1.0F), expected_scales(3, -1.0F);
        quantise_row(values.data(), length, expected_codes.data(), expected_scales.data());
        quantise_row_simd(values.data(), length, codes.data(), scales.data());
        ASSERT_EQ(codes, expected_codes) << length;
        ASSERT_EQ(scales, expected_scales) << length;
      }
  });
}

TEST(row_math, every_tie_between_codes_is_rounded_to_even) {
  on_every_target([] {
    for (int code = 0; code < 0x7e; ++code) {  // a block whose largest is 448 has scale 1
      const float low = float_from_fp8_e4m3(static_cast<std::uint8_t>(code));
      const float middle = (low + float_from_fp8_e4m3(static_cast<std::uint8_t>(code + 1))) / 2;
      std::vector<float> values(32, middle);
      values[31] = -448.0F;
      std::uint8_t codes[32];
      float scale = 0.0F;
      quantise_row_simd(values.data(), 32, codes, &scale);
      ASSERT_EQ(scale, 1.0F);
      ASSERT_EQ(codes[0], code % 2 == 0 ? code : code + 1);
      ASSERT_EQ(codes[31], 0xfe);
    }
  });
}

TEST(row_math, a_block_of_zeros_has_a_scale) {
  const std::vector<float> values(10, 0.0F);
  std::uint8_t codes[10];
  float scale = 0.0F;
  quantise_row_simd(values.data(), 10, codes, &scale);
  EXPECT_EQ(scale, 1e-4F / 448.0F);
  EXPECT_EQ(codes[9], 0);
}

TEST(row_math, swiglu_follows_its_formula) {
  on_every_target([] {
    for (std::int64_t width : kLengths) {
      std::vector<float> gate_up = wide_values(2 * width, 77), out(static_cast<std::size_t>(width));
      swiglu_row(gate_up.data(), width, out.data());
      for (std::size_t i = 0; i < out.size(); ++i) {
        const double gate = gate_up[i], up = gate_up[i + out.size()];
        const double expected = gate / (1 + std::exp(-gate)) * up;
        ASSERT_NEAR(out[i], expected, 2e-6 * std::abs(expected) + 1e-30) << gate << " " << up;
      }
    }
  });
}

TEST(row_math, sums_and_conversions_agree_with_scalar_loops) {
  on_every_target([] {
    for (std::int64_t length : kLengths) {
      const std::vector<float> row = wide_values(length, 5);
      std::vector<std::uint16_t> bits(row.size());
      narrow_bf16(row.data(), bits.data(), length);
      std::vector<float> sum = wide_values(length, 6), wide(row.size());
      widen_bf16(bits.data(), wide.data(), length);
      std::vector<float> expected = sum;
      add_bf16(sum.data(), bits.data(), length);
      for (std::size_t i = 0; i < row.size(); ++i) {
        ASSERT_EQ(bits[i], bf16_from_float(row[i]));
        ASSERT_EQ(wide[i], float_from_bf16(bits[i]));
        ASSERT_EQ(sum[i], expected[i] + wide[i]);
      }
      expected = sum;
      add_scaled(sum.data(), row.data(), -0.75F, length);
      for (std::size_t i = 0; i < row.size(); ++i)
        ASSERT_NEAR(sum[i], expected[i] - 0.75F * row[i], 1e-6F * (std::abs(expected[i]) + std::abs(row[i])));
    }
  });
}

}  // namespace
}  // namespace chokepoint::moe
