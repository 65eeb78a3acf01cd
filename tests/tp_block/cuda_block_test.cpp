// Does tp_block on a GPU compute what it should and charge what it says? Emulated.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include <algorithm>
#include <tuple>

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

// A library's part, played plainly: it knows the task and nothing else, and rounds to bf16.
class PlainProduct final : public Product {
 public:
  PlainProduct(const GemmTask& task, int& calls) : task_(task), calls_(calls) {}

  void enqueue(void*) const override {
    ++calls_;
    const auto* a = static_cast<const std::uint16_t*>(task_.a);
    const auto* b = static_cast<const std::uint16_t*>(task_.b);
    auto* c = static_cast<std::uint16_t*>(task_.c);
    for (std::int64_t row = 0; row < task_.m; ++row)
      for (std::int64_t col = 0; col < task_.n; ++col) {
        float sum = 0.0F;
        for (std::int64_t i = 0; i < task_.k; ++i)
          sum += float_from_bf16(a[row * task_.k + i]) * float_from_bf16(b[col * task_.k + i]);
        c[row * task_.n + col] = bf16_from_float(sum);
      }
  }

  std::vector<std::pair<std::string, std::string>> remarks(std::string_view which) const override {
    return {{std::string(which) + "calls", std::to_string(calls_)}};
  }

 private:
  GemmTask task_;
  int& calls_;
};

// The rows of the peers have yet to come: NaN until then.
void forget(const void* rows, std::int64_t from_byte, std::int64_t to_byte) {
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(rows));
  std::fill(bytes + from_byte, bytes + to_byte, std::byte{0xff});
}

TEST(tp_block_cuda, with_a_librarys_products_it_is_right_in_bf16_and_charges_the_wires_only) {
  const Operation& operation = find_operation("tp_block");
  for (const char* text : kShapes) {
    SCOPED_TRACE(text);
    const std::unique_ptr<Problem> made =
        operation.make(complete_shape(operation, parse_shape(text)), Dtype::bf16, InputSpec{});
    const auto& problem = dynamic_cast<const TpBlockProblem&>(*made);
    const TpBlockSizes& sizes = problem.sizes();
    std::vector<GemmTask> tasks;
    int calls = 0;
    const EmulatedRun run = run_emulated(problem, [&](Device& device, const Pace& pace) {
      return std::make_unique<CudaSimpleLaunch>(problem, device, pace, [&](Device&, const GemmTask& task) {
        if (tasks.empty()) forget(task.a, sizes.shard_bytes(), problem.x().bytes());
        tasks.push_back(task);
        return std::make_unique<PlainProduct>(task, calls);
      });
    });
    EXPECT_LE(run.errors.worst, problem.tolerance());
    ASSERT_EQ(tasks.size(), 2U);
    EXPECT_EQ(calls, 4) << "two products in each of two runs";
    EXPECT_EQ(std::tuple(tasks[0].m, tasks[0].n, tasks[0].k),
              std::tuple(sizes.tokens, sizes.up_rows(), sizes.hidden));
    EXPECT_EQ(std::tuple(tasks[1].m, tasks[1].n, tasks[1].k),
              std::tuple(sizes.tokens, sizes.hidden, sizes.columns()));
    for (const GemmTask& task : tasks) {
      EXPECT_EQ(task.dtype, Dtype::bf16);
      EXPECT_EQ(task.c_dtype, Dtype::bf16);
      EXPECT_EQ(task.b_layout, GemmLayout::nk);
      EXPECT_TRUE(task.a_stride == 0 && task.c_stride == 0 && task.groups == 1) << "dense";
      EXPECT_TRUE(task.a_rows == nullptr && task.group_begin == nullptr && !task.accumulate);
    }
    const Work work = problem.work();
    EXPECT_EQ(run.charged.flop, 0.0);
    EXPECT_EQ(run.charged.memory_bytes, 0.0);
    EXPECT_EQ(run.charged.link_bytes, work.link_bytes);
    EXPECT_EQ(run.charged.network_bytes, work.network_bytes);
    EXPECT_EQ(run.charged.link_messages, work.link_messages);
    EXPECT_EQ(run.charged.network_messages, work.network_messages);
  }
}

TEST(tp_block_cuda, the_record_tells_the_two_products_apart) {
  const Operation& operation = find_operation("tp_block");
  const Shape shape = complete_shape(operation, parse_shape("tokens=2,hidden=3,intermediate=2,tp=2"));
  const std::unique_ptr<Problem> made = operation.make(shape, Dtype::bf16, InputSpec{});
  UnusedDevice device;
  int calls = 7;
  const CudaSimpleLaunch launch(
      dynamic_cast<const TpBlockProblem&>(*made), device, {},
      [&](Device&, const GemmTask& task) { return std::make_unique<PlainProduct>(task, calls); });
  EXPECT_EQ(launch.remarks(),
            (std::vector<std::pair<std::string, std::string>>{{"up_calls", "7"}, {"down_calls", "7"}}));
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
