// stream: both patterns, by every kernel, at sizes below, at and beyond tiles and vectors; charged as
// counted.
#include <gtest/gtest.h>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kTile = 65536;
const std::vector<std::int64_t> kSizes = {
    1, 2, 15, 17, 63, 257, 4099, kTile - 1, kTile, kTile + 1, 3 * kTile + 7919, (1 << 20) + 3};
const std::vector<std::string> kPatterns = {"copy", "triad"};
const std::vector<std::string> kKernels = {"cpu_native", "cpu_reference"};

TEST(stream, the_operation_computes_copy_and_triad_by_hand) {
  const Operation& operation = find_operation("stream");
  for (const std::string& pattern : kPatterns) {
    const auto problem = operation.make({{"elements", 5}, {"pattern", pattern}}, Dtype::f32, {});
    const std::int64_t row = 0;
    const std::vector<double> reference = problem->reference(std::span(&row, 1));
    ASSERT_EQ(reference.size(), 5U);
    for (std::int64_t i = 0; i < 5; ++i) {
      const double b = problem->inputs()[0]->at(i);
      const double expected = pattern == "copy" ? b : b + 3.0 * problem->inputs()[1]->at(i);
      EXPECT_EQ(reference[static_cast<std::size_t>(i)], expected);
      EXPECT_NE(expected, 0.0);
    }
  }
}

TEST(stream, every_kernel_matches_the_reference_at_ragged_sizes) {
  for (const std::string& kernel : kKernels)
    for (const std::string& pattern : kPatterns)
      for (std::int64_t elements : kSizes) {
        Prepared prepared("stream", kernel, {{"elements", elements}, {"pattern", pattern}}, Dtype::f32);
        EXPECT_LE(prepared.error(), prepared.problem->tolerance()) << kernel << " " << prepared.shape.text();
      }
}

TEST(stream, every_kernel_charges_exactly_the_work) {
  for (const std::string& kernel : kKernels)
    for (const std::string& pattern : kPatterns)
      for (std::int64_t elements : kSizes) {
        const Shape shape = {{"elements", elements}, {"pattern", pattern}};
        const Work work = charged("stream", kernel, shape, Dtype::f32);
        const auto count = static_cast<double>(elements);
        EXPECT_EQ(work.memory_bytes, (pattern == "copy" ? 8.0 : 12.0) * count) << kernel;
        EXPECT_EQ(work.flop, (pattern == "copy" ? 0.0 : 2.0) * count) << kernel;
        EXPECT_EQ(work.link_bytes + work.network_bytes, 0.0);
        const Work declared = find_operation("stream").work(shape, Dtype::f32);
        EXPECT_EQ(declared.memory_bytes, work.memory_bytes);
        EXPECT_EQ(declared.flop, work.flop);
      }
}

TEST(stream, tiles_are_charged_in_steps_a_clock_can_spread) {
  for (const std::string& kernel : kKernels)
    for (const std::string& pattern : kPatterns) {
      CountingPace clocks;
      Prepared prepared("stream", kernel, {{"elements", 1 << 20}, {"pattern", pattern}}, Dtype::f32,
                        clocks.pace());
      prepared.run();
      EXPECT_GE(clocks.memory.largest(), 256 * 1024);
      EXPECT_LE(clocks.memory.largest(), 1024 * 1024);
      EXPECT_EQ(clocks.memory.waits(), clocks.memory.reservations());
    }
}

TEST(stream, a_launch_takes_the_time_its_traffic_and_flop_need_on_the_slower_clock) {
  // 4 Mi elements of triad: 48 MiB at 1006.63296 MB/s are 50 ms; 8 Mi FLOP at 0.4194304 GFLOP/s are 20 ms.
  for (const std::string& kernel : kKernels)
    for (bool memory_is_slower : {true, false}) {
      Timeline timeline;
      TimelineClock memory(timeline, memory_is_slower ? 1006.63296e6 : 1e10);
      TimelineClock compute(timeline, 0.4194304e9);
      Prepared prepared("stream", kernel, {{"elements", 4 << 20}, {"pattern", "triad"}}, Dtype::f32,
                        {.compute = &compute, .memory = &memory});
      prepared.launch->run();
      EXPECT_NEAR(timeline.elapsed_s(), memory_is_slower ? 50e-3 : 20e-3, 1e-6) << kernel;
    }
}

TEST(stream, probes_memory_and_nothing_else_at_any_amount) {
  const Operation& operation = find_operation("stream");
  for (double amount : {0.5, 13.0, 1e6, 1.234e9, 1e15}) {
    const std::optional<Shape> shape = operation.probe(Resource::memory, amount);
    ASSERT_TRUE(shape);
    const Work work = operation.work(complete_shape(operation, *shape), Dtype::f32);
    EXPECT_NEAR(work.memory_bytes, std::clamp(amount, 12.0, 12.0 * 0x1p31), 12.0);
  }
  for (Resource resource : {Resource::compute, Resource::link, Resource::network})
    EXPECT_FALSE(operation.probe(resource, 1e6));
}

TEST(stream, clones_hold_the_same_values_elsewhere) {
  const auto problem =
      find_operation("stream").make({{"elements", 1009}, {"pattern", "triad"}}, Dtype::f32, {});
  const auto clone = problem->clone();
  for (std::size_t input = 0; input < 2; ++input) {
    const Tensor &a = *problem->inputs()[input], &b = *clone->inputs()[input];
    EXPECT_NE(a.data(), b.data());
    for (std::int64_t i = 0; i < a.count(); ++i) ASSERT_EQ(a.at(i), b.at(i));
  }
  EXPECT_NE(problem->inputs()[0]->at(0), problem->inputs()[1]->at(0));
}

TEST(stream, bad_shapes_name_the_field_and_the_limit) {
  const Operation& operation = find_operation("stream");
  EXPECT_EQ(error_text([&] {
              complete_shape(operation, {{"elements", 0}});
            }),
            "stream: elements is 0, outside 1 to 2147483648; change it: f32 elements of each array");
  EXPECT_NE(error_text([&] { complete_shape(operation, {}); }).find("\"elements\" is missing"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              complete_shape(operation, {{"elements", 8}, {"pattern", "triads"}});
            }).find("did you mean \"triad\"?"),
            std::string::npos);
  EXPECT_EQ(complete_shape(operation, {{"elements", 8}}).word("pattern"), "copy");
}

TEST(stream, all_parts_are_registered_without_fault) {
  EXPECT_EQ(registry_faults(), std::vector<std::string>{});
}

}  // namespace
}  // namespace chokepoint
