// matmul's kernel for Hopper as the emulator runs it: the launch as the harness prepares it, against the operation.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include "kernels/matmul/hopper.cu"

#include <gtest/gtest.h>

namespace chokepoint {
namespace {

void expect_right(std::initializer_list<const char*> shapes, Dtype dtype) {
  for (const char* text : shapes) {
    const Operation& operation = find_operation("matmul");
    const Shape shape = complete_shape(operation, parse_shape(text));
    const auto problem = operation.make(shape, dtype, {});
    const EmulatedRun run = run_emulated(*problem, [&](Device& device, const Pace& pace) {
      return find_kernel("matmul", "hopper").prepare(*problem, device, pace);
    });
    EXPECT_LE(run.errors.worst, problem->tolerance()) << text;
    EXPECT_EQ(run.charged.memory_bytes, problem->work().memory_bytes) << text;
    EXPECT_EQ(run.charged.flop, problem->work().flop) << text;
  }
}

TEST(matmul_hopper, is_right_and_charges_the_operations_work) {
  expect_right({"m=5,n=7,k=9", "m=130,n=264,k=136", "m=64,n=136,k=1000,b_layout=kn", "m=3,n=17,k=65,b_layout=kn"},
               Dtype::bf16);
}

// Weights of 300 rows have three rows of scales, of which the last is for 44.
TEST(matmul_hopper, scales_fp8_as_the_operation_does) {
  expect_right({"m=1,n=1,k=1", "m=5,n=7,k=9", "m=130,n=264,k=400", "m=61,n=257,k=129", "m=65,n=300,k=272,b_layout=kn",
                "m=300,n=400,k=384", "m=16,n=136,k=2048"},
               Dtype::fp8_e4m3);
}

TEST(matmul_hopper, has_no_more_blocks_than_the_multiprocessors_it_reaches) {
  const Operation& operation = find_operation("matmul");
  const auto problem = operation.make(complete_shape(operation, parse_shape("m=130,n=520,k=136")), Dtype::bf16, {});
  EXPECT_EQ(blocks_on_two_multiprocessors(*problem,
                                          [&](Device& device, const Pace& pace) {
                                            return find_kernel("matmul", "hopper").prepare(*problem, device, pace);
                                          }),
            2U);
}

TEST(matmul_hopper, every_configuration_is_right_and_the_plans_own_comes_first) {
  const Operation& operation = find_operation("matmul");
  const KernelChoices& offered = *find_choices("matmul", "hopper");
  const Shape shape = complete_shape(operation, parse_shape("m=70,n=136,k=520"));
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp8_e4m3}) {
    const auto problem = operation.make(shape, dtype, {});
    EmulatedDevice device;
    const std::vector<std::string> names = offered.configurations(shape, dtype, device);
    EXPECT_GT(names.size(), 3U);
    const auto own = find_kernel("matmul", "hopper").prepare(*problem, device, Pace{});
    EXPECT_NE(names.front().find("cuts=" + own->remarks()[1].second), std::string::npos);
    for (const std::string& name : names) {
      const EmulatedRun run = run_emulated(*problem, [&](Device& on, const Pace& pace) {
        return offered.prepare(*problem, on, pace, name);
      });
      EXPECT_LE(run.errors.worst, problem->tolerance()) << name;
      EXPECT_EQ(run.charged.flop, problem->work().flop) << name;
    }
    EXPECT_THROW(offered.prepare(*problem, device, Pace{}, "cuts=99,tile=low"), Error);
  }
}

TEST(matmul_hopper, is_for_sm_90a_alone_and_says_what_it_chose) {
  const Kernel& found = find_kernel("matmul", "hopper");
  EXPECT_EQ(found.least_sm, 90);
  EXPECT_TRUE(found.exactly_that_sm);
  EXPECT_EQ(found.unsupported({{"m", 1}, {"n", 1}, {"k", 1}}, Dtype::bf16), std::nullopt);
}

}  // namespace
}  // namespace chokepoint
