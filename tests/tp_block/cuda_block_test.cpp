// Does tp_block on a GPU compute what it should and charge what it says? Emulated.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include "harness/base/random.hpp"
#include "kernels/tp_block/cuda_simple.cuh"

namespace chokepoint::tp_block {
namespace {

const char* const kShapes[] = {
    "tokens=1,hidden=1,intermediate=1,tp=1",
    "tokens=1,hidden=7,intermediate=5,tp=1",
    "tokens=2,hidden=1,intermediate=2,tp=2",
    "tokens=3,hidden=13,intermediate=9,tp=3",
    "tokens=10,hidden=31,intermediate=15,tp=5,gated=0",
    "tokens=22,hidden=17,intermediate=22,tp=11",
    "tokens=37,hidden=101,intermediate=53,tp=1,gated=0",
    "tokens=34,hidden=67,intermediate=38,tp=2,node_size=1",
    "tokens=16,hidden=96,intermediate=128,tp=8",
    "tokens=51,hidden=130,intermediate=51,tp=3,gated=0,node_size=2",
};

TEST(tp_block_cuda, matches_the_reference_and_charges_exactly_the_work) {
  const Operation& operation = find_operation("tp_block");
  for (const char* text : kShapes)
    for (Dtype dtype : {Dtype::f32, Dtype::bf16}) {
      SCOPED_TRACE(std::string(text) + " " + std::string(to_string(dtype)));
      const std::unique_ptr<Problem> made =
          operation.make(complete_shape(operation, parse_shape(text)), dtype, InputSpec{});
      const auto& problem = dynamic_cast<const TpBlockProblem&>(*made);
      const EmulatedRun run = run_emulated(problem, [&](Device& device, const Pace& pace) {
        return std::make_unique<CudaSimpleLaunch>(problem, device, pace);
      });
      EXPECT_LE(run.errors.worst, problem.tolerance());
      const Work work = problem.work();
      EXPECT_EQ(run.charged.flop, work.flop);
      EXPECT_EQ(run.charged.memory_bytes, work.memory_bytes);
      EXPECT_EQ(run.charged.link_bytes, work.link_bytes);
      EXPECT_EQ(run.charged.network_bytes, work.network_bytes);
      EXPECT_EQ(run.charged.link_messages, work.link_messages);
      EXPECT_EQ(run.charged.network_messages, work.network_messages);
    }
}

// Besides the whole block: lengths on which both ways to take values meet, and gates whose exponential overflows.
void expect_activated(Dtype in_dtype, Dtype out_dtype, std::int64_t rows, std::int64_t width, bool gated) {
  SCOPED_TRACE(testing::Message() << rows << " x " << width);
  Tensor in("in", {rows, (gated ? 2 : 1) * width}, in_dtype), out("out", {rows, width}, out_dtype);
  fill(in, "normal", 5, 3.0);
  in.set(0, -200.0);
  out.poison();
  launch_activate({.in = in.data(), .out = out.data(), .rows = rows, .width = width, .gated = gated}, in_dtype,
                  out_dtype, nullptr);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < width; ++i) {
      const double first = in.at(row * (gated ? 2 : 1) * width + i);
      const double expected =
          first / (1.0 + std::exp(-first)) * (gated ? in.at(row * 2 * width + width + i) : 1.0);
      ASSERT_NEAR(out.at(row * width + i), expected,
                  (out_dtype == Dtype::f32 ? 1e-6 : 0x1p-8) * (std::abs(expected) + 1e-20))
          << row << " " << i;
    }
}

TEST(tp_block_cuda, activation_is_right_to_the_last_value_of_every_row) {
  for (std::int64_t width : {1, 3, 4, 8, 257, 264})
    for (bool gated : {false, true}) {
      expect_activated(Dtype::f32, Dtype::f32, 5, width, gated);
      expect_activated(Dtype::f32, Dtype::bf16, 5, width, gated);
      expect_activated(Dtype::bf16, Dtype::bf16, 5, width, gated);
    }
}

}  // namespace
}  // namespace chokepoint::tp_block
