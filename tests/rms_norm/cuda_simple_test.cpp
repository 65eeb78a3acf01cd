// Does rms_norm on a GPU compute what it should and charge what it says? Emulated.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include "kernels/rms_norm/cuda_simple.cuh"

namespace chokepoint::rms_norm {
namespace {

// Around what a warp and 1024 threads keep (1024 and 32768 values, half of it without whole 16 bytes per
// row).
const char* const kShapes[] = {
    "tokens=1,hidden=1",
    "tokens=3,hidden=5,residual=1",
    "tokens=9,hidden=8",
    "tokens=7,hidden=129,epsilon_nano=500000000",
    "tokens=8,hidden=132,residual=1",
    "tokens=17,hidden=1024",
    "tokens=9,hidden=511",
    "tokens=9,hidden=513,residual=1",
    "tokens=5,hidden=1025,residual=1",
    "tokens=3,hidden=1032,residual=1",
    "tokens=5,hidden=4096",
    "tokens=33,hidden=7168,residual=1",
    "tokens=2,hidden=7177",
    "tokens=1,hidden=32768,residual=1",
    "tokens=2,hidden=32776",
    "tokens=2,hidden=16387,residual=1",
    "tokens=1,hidden=65551,residual=1",
};

TEST(rms_norm_cuda, matches_the_reference_and_charges_exactly_the_work) {
  const Operation& operation = find_operation("rms_norm");
  for (const char* text : kShapes)
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      SCOPED_TRACE(std::string(text) + " " + std::string(to_string(dtype)));
      const std::unique_ptr<Problem> made =
          operation.make(complete_shape(operation, parse_shape(text)), dtype, InputSpec{});
      const auto& problem = dynamic_cast<const RmsNormProblem&>(*made);
      const EmulatedRun run = run_emulated(problem, [&](Device& device, const Pace& pace) {
        return std::make_unique<CudaSimpleLaunch>(problem, device, pace);
      });
      EXPECT_LE(run.errors.worst, problem.tolerance());
      EXPECT_EQ(run.charged.memory_bytes, problem.work().memory_bytes);
      EXPECT_EQ(run.charged.flop, problem.work().flop);
      EXPECT_EQ(run.charged.link_bytes + run.charged.network_bytes, 0.0);
    }
}

TEST(rms_norm_cuda, a_capped_launch_lasts_as_long_as_its_traffic_needs) {
  const Operation& operation = find_operation("rms_norm");
  const auto made =
      operation.make(complete_shape(operation, parse_shape("tokens=40,hidden=7168")), Dtype::bf16, {});
  const auto& problem = dynamic_cast<const RmsNormProblem&>(*made);
  UnusedDevice device;
  CountingDevicePace clocks;
  clocks.memory.on_device()->ps_per_unit = 10'000.0;  // 100 MB/s: 10 ns per byte
  CudaSimpleLaunch launch(problem, device, clocks.pace());
  const std::uint64_t begin_ns = emulator::virtual_time().now_ns;
  launch.run();
  const auto lasted_ns = static_cast<double>(emulator::virtual_time().now_ns - begin_ns);
  const double owed_ns = 10.0 * problem.work().memory_bytes;
  EXPECT_GE(lasted_ns, owed_ns);
  EXPECT_LE(lasted_ns, 1.1 * owed_ns);
}

TEST(rms_norm_cuda, plans_cover_every_row_with_whole_warps_and_no_more_threads_than_a_block_has) {
  for (std::int64_t tokens : {1, 2, 7, 4096, 100'003})
    for (std::int64_t hidden : {1, 31, 1024, 1025, 4096, 7168, 16384, 32768, 32769, 1 << 24})
      for (int kept : {kept_values(1), kept_values(8)}) {
        const NormPlan plan = norm_plan(tokens, hidden, kept);
        EXPECT_EQ(plan.threads % 32, 0U);
        EXPECT_LE(plan.threads * plan.rows, 1024U);
        EXPECT_GE(plan.blocks * plan.rows, tokens);
        EXPECT_LT((plan.blocks - 1) * plan.rows, tokens);
        EXPECT_TRUE(std::int64_t{plan.threads} * kept >= hidden || plan.threads == 1024) << hidden;
        EXPECT_LT((std::int64_t{plan.threads} - 32) * kept, hidden) << hidden;
      }
  EXPECT_EQ(norm_plan(4096, 7168, 32).threads, 224U);  // 7 warps of 1024 values, one row
  EXPECT_EQ(norm_plan(4096, 7168, 32).rows, 1U);
  EXPECT_EQ(norm_plan(4096, 512, 32).rows, 8U);
}

}  // namespace
}  // namespace chokepoint::rms_norm
