// rms_norm: by every kernel of a CPU, at tiny, prime and ragged sizes; charged as counted.
#include "kernels/rms_norm/rms_norm.hpp"

#include <gtest/gtest.h>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

const char* const kShapes[] = {
    "tokens=1,hidden=1",
    "tokens=1,hidden=2,residual=1",
    "tokens=3,hidden=5",
    "tokens=3,hidden=5,residual=1,epsilon_nano=10000",
    "tokens=13,hidden=31,residual=1",
    "tokens=7,hidden=129",
    "tokens=8,hidden=128,residual=1",
    "tokens=9,hidden=1003,epsilon_nano=500000000",
    "tokens=33,hidden=7168,residual=1",
    "tokens=311,hidden=1024",
    "tokens=599,hidden=1024,residual=1",
    "tokens=2,hidden=300007,residual=1",
};
const std::vector<std::string> kKernels = {"cpu_native", "cpu_reference"};
constexpr Dtype kDtypes[] = {Dtype::f32, Dtype::bf16};

template <class Body>
void for_all_cases(const Body& body) {
  for (const std::string& kernel : kKernels)
    for (const char* shape : kShapes)
      for (Dtype dtype : kDtypes) {
        SCOPED_TRACE(kernel + " " + shape + " " + std::string(to_string(dtype)));
        body(kernel, parse_shape(shape), dtype);
      }
}

// A problem of the operation whose inputs are set by hand.
struct ByHand {
  std::unique_ptr<Problem> problem;

  explicit ByHand(const std::string& shape) {
    const Operation& operation = find_operation("rms_norm");
    problem = operation.make(complete_shape(operation, parse_shape(shape)), Dtype::f32, {});
  }
  void set(std::size_t input, const std::vector<double>& values) {
    Tensor& tensor = const_cast<Tensor&>(*problem->inputs()[input]);
    ASSERT_EQ(tensor.count(), static_cast<std::int64_t>(values.size()));
    for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  }
};

void expect_values(const std::vector<double>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-12) << i;
}

TEST(rms_norm, the_operation_divides_by_the_root_mean_square_by_hand) {
  // Mean squares: (1 + 49 + 1 + 49) / 4 = 25, and 0. With epsilon 1.25: roots of 26.25 and 1.25.
  ByHand hand("tokens=2,hidden=4,epsilon_nano=1250000000");
  hand.set(0, {1, 7, -1, -7, 0, 0, 0, 0});
  hand.set(1, {1, 2, 3, 0.5});
  const std::vector<std::int64_t> rows = {1, 0};
  const double root = std::sqrt(26.25);
  expect_values(hand.problem->reference(rows), {0, 0, 0, 0, 1 / root, 14 / root, -3 / root, -3.5 / root});
}

TEST(rms_norm, a_residual_is_added_first_and_the_sum_is_written_after_all_norms) {
  // Sums 3, 4: mean square 12.5; with epsilon 1e-6 the root is that of 12.500001. Second token: -6, 8
  // and 50.000001.
  ByHand hand("tokens=2,hidden=2,residual=1");
  hand.set(0, {1, 5, -3, 4});
  hand.set(1, {2, -1, -3, 4});
  hand.set(2, {1, 10});
  EXPECT_EQ(hand.problem->output_dims(), (std::vector<std::int64_t>{2, 2, 2}));
  const std::vector<std::int64_t> rows = {0, 1, 2, 3};
  const double first = std::sqrt(12.500001), second = std::sqrt(50.000001);
  expect_values(hand.problem->reference(rows),
                {3 / first, 40 / first, -6 / second, 80 / second, 3, 4, -6, 8});
}

TEST(rms_norm, every_kernel_matches_the_reference_at_ragged_sizes) {
  for_all_cases([](const std::string& kernel, const Shape& shape, Dtype dtype) {
    Prepared prepared("rms_norm", kernel, shape, dtype);
    EXPECT_LE(prepared.error(), prepared.problem->tolerance());
  });
}

TEST(rms_norm, rows_of_zeros_stay_zeros) {
  for (const std::string& kernel : kKernels)
    for (Dtype dtype : kDtypes) {
      Prepared prepared("rms_norm", kernel, parse_shape("tokens=3,hidden=37,residual=1"), dtype, {},
                        {.distribution = "zeros"});
      EXPECT_EQ(prepared.error(), 0.0) << kernel;
    }
}

TEST(rms_norm, every_kernel_charges_exactly_the_work) {
  for_all_cases([](const std::string& kernel, const Shape& given, Dtype dtype) {
    const Operation& operation = find_operation("rms_norm");
    const Shape shape = complete_shape(operation, given);
    const Work work = charged("rms_norm", kernel, shape, dtype);
    const auto tokens = static_cast<double>(shape["tokens"]), hidden = static_cast<double>(shape["hidden"]);
    const bool residual = shape["residual"] == 1;
    const double arrays = residual ? 4.0 : 2.0;  // x and y, r and x + r
    EXPECT_EQ(work.memory_bytes, static_cast<double>(bytes_of(dtype)) * hidden * (arrays * tokens + 1.0));
    EXPECT_EQ(work.flop, (residual ? 5.0 : 4.0) * tokens * hidden);
    EXPECT_EQ(work.link_bytes + work.network_bytes, 0.0);
    const Work declared = operation.work(shape, dtype);
    EXPECT_EQ(declared.memory_bytes, work.memory_bytes);
    EXPECT_EQ(declared.flop, work.flop);
    EXPECT_EQ(declared.tokens, tokens);
    const std::unique_ptr<Problem> problem = operation.make(shape, dtype, {});
    EXPECT_EQ(problem->work().memory_bytes, declared.memory_bytes);
    double input_and_output_bytes = static_cast<double>(
        problem->output_rows() * problem->output_row_length() * bytes_of(problem->output_dtype()));
    for (const Tensor* input : problem->inputs())
      input_and_output_bytes += static_cast<double>(input->bytes());
    EXPECT_EQ(input_and_output_bytes, declared.memory_bytes);
  });
}

TEST(rms_norm, a_launch_takes_the_time_its_traffic_and_flop_need_on_the_slower_clock) {
  // 512 rows of 1024 f32, 2 + 2 of them per token, and gamma: 8 MiB + 4 KiB; 5 x 512 x 1024 FLOP.
  for (const std::string& kernel : kKernels)
    for (bool memory_is_slower : {true, false}) {
      Timeline timeline;
      TimelineClock memory(timeline, (memory_is_slower ? 1.0 : 4.0) * 8392704.0 / 50e-3);
      TimelineClock compute(timeline, 2621440.0 / 20e-3);
      Prepared prepared("rms_norm", kernel, parse_shape("tokens=512,hidden=1024,residual=1"), Dtype::f32,
                        {.compute = &compute, .memory = &memory});
      prepared.launch->run();
      EXPECT_NEAR(timeline.elapsed_s(), memory_is_slower ? 50e-3 : 20e-3, 1e-6) << kernel;
    }
}

TEST(rms_norm, tiles_are_charged_in_steps_a_clock_can_spread) {
  CountingPace clocks;
  Prepared prepared("rms_norm", "cpu_native", parse_shape("tokens=4096,hidden=500"), Dtype::f32,
                    clocks.pace());
  prepared.run();
  EXPECT_GE(clocks.memory.largest(), 256 * 1024);
  EXPECT_LE(clocks.memory.largest(), 1024 * 1024);
  EXPECT_EQ(clocks.memory.waits(), clocks.memory.reservations());
}

TEST(rms_norm, inputs_differ_from_each_other_and_clones_hold_the_same_elsewhere) {
  const ByHand hand("tokens=3,hidden=37,residual=1");
  const std::unique_ptr<Problem> clone = hand.problem->clone();
  ASSERT_EQ(clone->inputs().size(), 3U);
  for (std::size_t input = 0; input < 3; ++input) {
    const Tensor &a = *hand.problem->inputs()[input], &b = *clone->inputs()[input];
    EXPECT_NE(a.data(), b.data());
    for (std::int64_t i = 0; i < a.count(); ++i) ASSERT_EQ(a.at(i), b.at(i));
    EXPECT_NE(a.at(0), hand.problem->inputs()[(input + 1) % 3]->at(0));
  }
}

TEST(rms_norm, bad_shapes_name_the_field_and_the_limit) {
  const Operation& operation = find_operation("rms_norm");
  EXPECT_EQ(error_text([&] { complete_shape(operation, parse_shape("tokens=4,hidden=0")); }),
            "rms_norm: hidden is 0, outside 1 to 2147483648; change it: width of the residual stream, the "
            "length of a row");
  EXPECT_NE(error_text([&] {
              complete_shape(operation, parse_shape("tokens=4,hidden=8,residual=2"));
            }).find("residual is 2, outside 0 to 1"),
            std::string::npos);
  EXPECT_EQ(complete_shape(operation, parse_shape("tokens=4,hidden=8")).text(),
            "epsilon_nano=1000,hidden=8,residual=0,tokens=4");
}

TEST(rms_norm, all_parts_are_registered_without_fault) {
  EXPECT_EQ(registry_faults(), std::vector<std::string>{});
}

}  // namespace
}  // namespace chokepoint
