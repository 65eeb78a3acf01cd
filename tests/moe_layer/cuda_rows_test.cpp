// Are rows quantised, activated and added up on a GPU as on the host, aligned or not? Emulated.
#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include "harness/base/random.hpp"
#include "harness/base/tensor.hpp"
#include "kernels/moe_layer/cuda_rows.cuh"
#include "kernels/moe_layer/quantise.hpp"

namespace chokepoint::moe {
namespace {

static_assert(kDeviceSmallestAmax == kSmallestAmax && kDeviceLargestCode == kFp8E4m3Max, "as on the host");

Tensor normal(const char* name, std::vector<std::int64_t> dims, Dtype dtype, double deviation = 1.0) {
  Tensor tensor(name, std::move(dims), dtype);
  fill(tensor, "normal", 3, deviation);
  return tensor;
}

template <class T>
constexpr Dtype dtype_of() {
  return sizeof(T) == 4 ? Dtype::f32 : Dtype::bf16;
}

// The same bits as quantise_row of what went in.
template <class T, bool kActivate>
void expect_quantised(std::int64_t rows, std::int64_t length) {
  SCOPED_TRACE(testing::Message() << rows << " x " << length);
  const std::int64_t blocks = (length + 127) / 128;
  Tensor in = normal("in", {rows, (kActivate ? 2 : 1) * length}, dtype_of<T>(), 3.0);
  for (std::int64_t i = 0; i < std::min<std::int64_t>(length, 128); ++i) in.set(i, 0.0);  // a block of zeros
  Tensor codes("codes", {rows, length}, Dtype::fp8_e4m3), scales("scales", {rows, blocks}, Dtype::f32);
  const Quantise task{.in = in.data(),
                      .codes = codes.as<std::uint8_t>().data(),
                      .scales = scales.as<float>().data(),
                      .rows = rows,
                      .length = length};
  emulator::launch(quantise_rows<T, kActivate>,
                   dim3(static_cast<unsigned>((task.threads() + kQuantiseThreads - 1) / kQuantiseThreads)),
                   dim3(kQuantiseThreads), 0, task);
  std::vector<float> values(static_cast<std::size_t>(length)), expected_scales(static_cast<std::size_t>(blocks));
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(length));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < length; ++i) {
      const auto at = [&](std::int64_t place) {
        return static_cast<float>(in.at(row * (kActivate ? 2 : 1) * length + place));
      };
      values[static_cast<std::size_t>(i)] =
          kActivate ? at(i) / (1.0F + std::exp(-at(i))) * at(length + i) : at(i);
    }
    quantise_row(values.data(), length, expected.data(), expected_scales.data());
    for (std::int64_t i = 0; i < length; ++i)
      ASSERT_EQ(codes.as<std::uint8_t>()[static_cast<std::size_t>(row * length + i)],
                expected[static_cast<std::size_t>(i)])
          << row << " " << i;
    for (std::int64_t block = 0; block < blocks; ++block)
      ASSERT_EQ(scales.as<float>()[static_cast<std::size_t>(row * blocks + block)],
                expected_scales[static_cast<std::size_t>(block)]);
  }
}

TEST(cuda_rows, quantised_rows_have_the_bits_of_the_host) {
  for (std::int64_t length : {1, 7, 8, 127, 128, 136, 256, 301}) {
    expect_quantised<std::uint16_t, false>(3, length);
    expect_quantised<float, false>(1, length);
  }
}

TEST(cuda_rows, activated_rows_have_the_bits_of_the_host) {
  for (std::int64_t length : {1, 7, 8, 127, 128, 136, 256, 301}) expect_quantised<float, true>(3, length);
}

// Output row 0 adds two weighted results and two returned rows, row 1 nothing, row 2 one of each.
template <class Result, class T, int kCount>
void expect_sums(std::int64_t length, bool with_shared, unsigned mismatches) {
  SCOPED_TRACE(testing::Message() << length << " x " << kCount);
  const Dtype dtype = dtype_of<T>(), result_dtype = dtype_of<Result>();
  const Tensor results = normal("results", {4, length}, result_dtype),
               returned = normal("returned", {3, length}, dtype),
               shared = normal("shared", {3, length}, result_dtype);
  const std::vector<float> weights = {0.5F, -2.0F, 3.0F};
  const std::vector<std::int32_t> use_begin = {0, 2, 2, 3}, use_row = {3, 0, 2}, use_choice = {1, 0, 2};
  const std::vector<std::int32_t> term_begin = {0, 2, 2, 3}, term_row = {2, 0, 1};
  Tensor out("out", {3, length}, dtype);
  out.poison();
  DeviceClock memory;
  const SumRows task{.rows = 3,
                     .length = length,
                     .use_begin = use_begin.data(),
                     .use_row = use_row.data(),
                     .use_choice = use_choice.data(),
                     .term_begin = term_begin.data(),
                     .term_row = term_row.data(),
                     .weights = weights.data(),
                     .results = results.data(),
                     .returned = returned.data(),
                     .shared = with_shared ? shared.data() : nullptr,
                     .out = out.data(),
                     .mismatches = &mismatches,
                     .memory_bytes = 12345.0,
                     .pace = {.memory = &memory}};
  const auto pieces = static_cast<unsigned>((length + kSumThreads * kCount - 1) / (kSumThreads * kCount));
  emulator::launch(sum_rows<Result, T, kCount>, dim3(3, pieces), dim3(kSumThreads), 0, task);
  EXPECT_EQ(memory.charged, 12345U);
  for (std::int64_t row = 0; row < 3; ++row)
    for (std::int64_t i = 0; i < length; ++i) {
      const double found = out.at(row * length + i);
      if (mismatches != 0) {
        ASSERT_TRUE(std::isnan(found));
        continue;
      }
      const auto at = [&](const Tensor& rows, std::int64_t from) { return rows.at(from * length + i); };
      double expected = with_shared ? at(shared, row) : 0.0;
      if (row == 0) expected += -2.0 * at(results, 3) + 0.5 * at(results, 0) + at(returned, 2) + at(returned, 0);
      if (row == 2) expected += 3.0 * at(results, 2) + at(returned, 1);
      ASSERT_NEAR(found, expected, (dtype == Dtype::f32 ? 1e-6 : 0x1p-8) * (1.0 + std::abs(expected)));
    }
}

TEST(cuda_rows, sums_take_the_rows_they_name_whatever_the_length) {
  for (std::int64_t length : {1, 3, 129, 257}) {
    expect_sums<float, float, 1>(length, true, 0);
    expect_sums<float, std::uint16_t, 1>(length, false, 0);
    expect_sums<std::uint16_t, std::uint16_t, 1>(length, true, 0);
  }
  for (std::int64_t length : {8, 136, 1032}) {
    expect_sums<float, float, 4>(length, false, 0);
    expect_sums<float, std::uint16_t, 8>(length, true, 0);
    expect_sums<std::uint16_t, std::uint16_t, 8>(length, true, 0);
  }
}

TEST(cuda_rows, sums_of_an_exchange_that_carried_other_tokens_are_no_numbers) {
  expect_sums<float, float, 4>(8, true, 1);
  expect_sums<float, std::uint16_t, 1>(9, true, 2);
}

TEST(cuda_rows, shares_of_a_charge_are_whole_numbers_that_add_up) {
  for (double total : {0.0, 1.0, 1000.0, 65536.0 * 3 + 1, 1e8 + 7})
    for (std::int64_t blocks : {1, 2, 3, 1000, 4096}) {
      double sum = 0.0;
      for (std::int64_t block = 0; block < blocks; ++block) sum += charge_share(total, block, blocks);
      EXPECT_EQ(sum, total) << blocks;
    }
}

TEST(cuda_rows, charges_are_large_enough_not_to_cost) {
  // 100 blocks of 8 KiB: every ninth charges, 72 KiB each but the last.
  int charges = 0;
  for (std::int64_t block = 0; block < 100; ++block) charges += charge_share(100 * 8192.0, block, 100) > 0.0 ? 1 : 0;
  EXPECT_EQ(charges, 12);
}

}  // namespace
}  // namespace chokepoint::moe
