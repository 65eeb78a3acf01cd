// Step time into hours, tokens and FLOP: DeepSeek-V3's published 19.926 s give its other published figures.
#include "harness/claims/throughput.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

constexpr double kStep_s = 19.926;  // Insights into DeepSeek-V3 (arXiv 2505.09343), table 4

TEST(throughput, the_published_step_is_180_thousand_gpu_hours_per_trillion_tokens) {
  EXPECT_NEAR(gpu_hours_per_trillion_tokens(kStep_s, kDsv3Scale), 180175.8, 0.05);
}

TEST(throughput, the_published_step_is_272_8_billion_tokens_a_day) {
  EXPECT_NEAR(tokens_per_day(kStep_s, kDsv3Scale), 272.80e9, 0.005e9);
}

TEST(throughput, causal_and_full_attention_give_386_and_433_tflop_per_s) {
  EXPECT_NEAR(flop_per_s_per_gpu(kStep_s, kDsv3Scale, 250.45e9), 386.1e12, 0.05e12);
  EXPECT_NEAR(flop_per_s_per_gpu(kStep_s, kDsv3Scale, 281.15e9), 433.5e12, 0.1e12);
  EXPECT_NEAR(mfu(385e12, 989e12), 0.3893, 5e-5);
}

TEST(throughput, twice_the_gpus_for_the_same_step_are_twice_the_hours) {
  const StepScale twice{2 * kDsv3Scale.gpus, kDsv3Scale.tokens_per_step};
  EXPECT_DOUBLE_EQ(gpu_hours_per_trillion_tokens(kStep_s, twice),
                   2 * gpu_hours_per_trillion_tokens(kStep_s, kDsv3Scale));
  EXPECT_DOUBLE_EQ(tokens_per_s(kStep_s, twice), tokens_per_s(kStep_s, kDsv3Scale));
}

TEST(throughput, a_step_without_time_gpus_or_tokens_is_an_error) {
  EXPECT_THROW(tokens_per_s(0.0, kDsv3Scale), Error);
  EXPECT_THROW(tokens_per_s(1.0, {2048, 0}), Error);
  EXPECT_THROW(gpu_hours_per_trillion_tokens(1.0, {0, 100}), Error);
  EXPECT_THROW(flop_per_s_per_gpu(1.0, kDsv3Scale, -1), Error);
  EXPECT_THROW(mfu(1, 0), Error);
}

}  // namespace
}  // namespace chokepoint
