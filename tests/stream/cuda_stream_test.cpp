// stream's device code: every element, and the charges, on the emulator.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include "kernels/stream/cuda_simple.cu"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/stream/stream.hpp"

namespace chokepoint {
namespace {

void expect_streamed(StreamPattern pattern, std::int64_t elements) {
  const StreamProblem problem(elements, pattern, {});
  const bool triad = pattern == StreamPattern::triad;
  std::vector<float> output(static_cast<std::size_t>(elements) + 4, -1.0F);
  DeviceClock memory, compute;
  const StreamArrays arrays = {problem.b().as<float>().data(), triad ? problem.c().as<float>().data() : nullptr,
                               output.data(), elements, kTriadFactor};
  emulator::launch(triad ? stream_kernel<true> : stream_kernel<false>, dim3(3), dim3(kStreamThreads), 0, arrays,
                   DevicePace{.compute = &compute, .memory = &memory});
  for (std::int64_t i = 0; i < elements; ++i) {
    const float b = problem.b().as<float>()[static_cast<std::size_t>(i)];
    const float expected = triad ? std::fma(kTriadFactor, problem.c().as<float>()[static_cast<std::size_t>(i)], b) : b;
    ASSERT_EQ(output[static_cast<std::size_t>(i)], expected) << i << " of " << elements;
  }
  for (int i = 0; i < 4; ++i) EXPECT_EQ(output[static_cast<std::size_t>(elements + i)], -1.0F);
  EXPECT_EQ(static_cast<double>(memory.charged), problem.work().memory_bytes);
  EXPECT_EQ(static_cast<double>(compute.charged), problem.work().flop);
}

TEST(cuda_stream, copies_and_adds_every_element_once_and_charges_the_work) {
  for (std::int64_t elements : {1, 3, 4, 5, 1027, 8192, 8193, 40'001})
    for (StreamPattern pattern : {StreamPattern::copy, StreamPattern::triad}) expect_streamed(pattern, elements);
}

// Four blocks for each; there are sixteen tiles.
TEST(cuda_stream, a_launch_fills_the_multiprocessors_that_it_reaches_when_it_is_enqueued) {
  const StreamProblem problem(16 * 4 * kStreamTileVectors, StreamPattern::copy, {});
  EmulatedDevice device;
  const auto launch = find_kernel("stream", "cuda_simple").prepare(problem, device, {});
  for (const int reached : {2, 1, 3}) {
    device.reached = reached;
    launch->poison();
    launch->run();
    EXPECT_EQ(gridDim.x, 4U * reached);
    EXPECT_LE(errors_of(problem, launch->output()).worst, problem.tolerance());
  }
}

}  // namespace
}  // namespace chokepoint
