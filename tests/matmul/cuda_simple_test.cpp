// matmul's launch of the products that any GPU has, as the harness prepares it, on the emulator: how products are told
// its arrays, and how many multiprocessors they get. The products themselves: tests/kernels/cuda_gemm_test.cpp.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include "kernels/matmul/cuda_simple.cu"

#include <gtest/gtest.h>

namespace chokepoint {
namespace {

std::unique_ptr<Problem> matmul_problem(const char* text, Dtype dtype) {
  const Operation& operation = find_operation("matmul");
  return operation.make(complete_shape(operation, parse_shape(text)), dtype, {});
}

TEST(matmul_cuda_simple, is_right_and_charges_the_operations_work) {
  for (const char* text : {"m=5,n=7,k=9", "m=67,n=130,k=72,b_layout=kn"})
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3}) {
      const auto problem = matmul_problem(text, dtype);
      const EmulatedRun run = run_emulated(*problem, [&](Device& device, const Pace& pace) {
        return find_kernel("matmul", "cuda_simple").prepare(*problem, device, pace);
      });
      EXPECT_LE(run.errors.worst, problem->tolerance()) << text << to_string(dtype);
      EXPECT_EQ(run.charged.memory_bytes, problem->work().memory_bytes) << text << to_string(dtype);
      EXPECT_EQ(run.charged.flop, problem->work().flop) << text << to_string(dtype);
    }
}

TEST(matmul_cuda_simple, has_blocks_for_the_multiprocessors_that_it_reaches_when_it_is_enqueued) {
  const auto problem = matmul_problem("m=130,n=520,k=136", Dtype::bf16);
  EmulatedDevice device;
  const auto launch = find_kernel("matmul", "cuda_simple").prepare(*problem, device, {});
  const auto blocks = [&](int reached) {
    device.reached = reached;
    launch->poison();
    launch->run();
    EXPECT_LE(errors_of(*problem, launch->output()).worst, problem->tolerance());
    return gridDim.x;
  };
  const unsigned of_two = blocks(2), of_one = blocks(1);
  EXPECT_EQ(of_two, 2 * of_one);
  EXPECT_EQ(blocks(2), of_two);
}

}  // namespace
}  // namespace chokepoint
