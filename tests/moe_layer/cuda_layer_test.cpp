// Does the whole layer on a GPU compute what it should and charge what it says? Emulated.
#include "tests/kernels/host_cuda.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include "kernels/moe_layer/cuda_simple.cu"
#include "kernels/moe_layer/hopper.cu"

namespace chokepoint::moe {
namespace {

const Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3};

const char* const kShapes[] = {
    // one rank
    "tokens=1,hidden=8,intermediate=8,experts=1,top_k=1",
    "tokens=5,hidden=129,intermediate=37,experts=4,top_k=1,shared_experts=1",
    "tokens=7,hidden=33,intermediate=17,experts=5,top_k=5,routing=random,shared_experts=2",
    "tokens=3,hidden=136,intermediate=40,experts=64,top_k=2,routing=random",
    // one node
    "tokens=13,hidden=64,intermediate=48,experts=8,top_k=3,ep=4,routing=zipf,shared_experts=1",
    "tokens=1,hidden=72,intermediate=48,experts=8,top_k=8,ep=8",
    // several nodes
    "tokens=11,hidden=64,intermediate=40,experts=16,top_k=4,ep=8,node_size=2,routing=random",
    "tokens=9,hidden=64,intermediate=24,experts=16,top_k=3,ep=16,node_size=1,routing=random",
    "tokens=17,hidden=256,intermediate=130,experts=64,top_k=8,ep=16,node_size=8,groups=8,group_limit=4,"
    "scoring=sigmoid,routing=random,routed_scaling_milli=2500,shared_experts=1",
};

double rms_limit(Dtype dtype) { return dtype == Dtype::f32 ? 2e-6 : dtype == Dtype::bf16 ? 0x1p-8 : 0x1p-7; }

void expect_wires_charged(const EmulatedRun& run, const Work& work) {
  EXPECT_EQ(run.charged.link_bytes, work.link_bytes);
  EXPECT_EQ(run.charged.network_bytes, work.network_bytes);
  EXPECT_EQ(run.charged.link_messages, work.link_messages);
  EXPECT_EQ(run.charged.network_messages, work.network_messages);
}

void expect_all_charged(const EmulatedRun& run, const Work& work) {
  EXPECT_EQ(run.charged.flop, work.flop);
  EXPECT_EQ(run.charged.memory_bytes, work.memory_bytes);
  expect_wires_charged(run, work);
}

void expect_right_and_charged(const std::string& text) {
  const Operation& operation = find_operation("moe_layer");
  const Shape shape = complete_shape(operation, parse_shape(text));
  for (Dtype dtype : kDtypes) {
    SCOPED_TRACE(text + " " + std::string(to_string(dtype)));
    const MoeProblem problem(spec_of(shape, dtype), {});
    const EmulatedRun run = run_emulated(problem, [&](Device& device, const Pace& pace) {
      return std::make_unique<CudaSimpleLaunch>(problem, device, pace);
    });
    EXPECT_LE(run.errors.worst, problem.tolerance());
    EXPECT_LE(run.errors.rms, rms_limit(dtype));
    expect_all_charged(run, problem.work());
  }
}

TEST(moe_layer_cuda, matches_the_reference_and_charges_exactly_the_work) {
  for (const char* shape : kShapes) expect_right_and_charged(shape);
}

TEST(moe_layer_cuda, matches_the_reference_and_charges_exactly_the_work_with_overlap) {
  for (const char* shape : kShapes) expect_right_and_charged(std::string(shape) + ",overlap=1");
}

// Ours in a library's place: it sees what a library would.
class OurProduct final : public GroupedProduct {
 public:
  explicit OurProduct(const GemmTask& task) : task_(task) {}
  void enqueue(void* stream, int) const override { cuda_gemm(task_, stream); }

 private:
  GemmTask task_;
};

TEST(moe_layer_cuda, with_a_librarys_products_it_is_right_in_bf16_and_charges_the_wires_only) {
  for (const char* overlap : {"0", "1"})
    for (const char* text : kShapes) {
      const Operation& operation = find_operation("moe_layer");
      const Shape shape = complete_shape(operation, parse_shape(std::string(text) + ",overlap=" + overlap));
      SCOPED_TRACE(shape.text());
      const MoeProblem problem(spec_of(shape, Dtype::bf16), {});
      int made = 0;
      const EmulatedRun run = run_emulated(problem, [&](Device& device, const Pace& pace) {
        const auto make = [&](Device&, const GemmTask& task, std::span<const std::int32_t> group_begin) {
          ++made;
          EXPECT_EQ(task.dtype, Dtype::bf16);
          EXPECT_EQ(task.c_dtype, Dtype::bf16);
          EXPECT_EQ(task.a_rows, nullptr);
          EXPECT_EQ(std::ssize(group_begin), task.groups + 1);
          EXPECT_EQ(group_begin.back(), task.m);
          return std::make_unique<OurProduct>(task);
        };
        return std::make_unique<CudaSimpleLaunch>(problem, device, pace, LayerProducts{.make = make});
      });
      EXPECT_EQ(made % 2, 0);
      EXPECT_GT(made, 0);
      EXPECT_LE(run.errors.worst, problem.tolerance());
      EXPECT_EQ(run.charged.flop, 0.0);
      EXPECT_EQ(run.charged.memory_bytes, 0.0);
      expect_wires_charged(run, problem.work());
    }
}

void expect_hopper_right(const std::string& text, Dtype dtype) {
  const Operation& operation = find_operation("moe_layer");
  const Kernel& hopper = find_kernel("moe_layer", "hopper");
  for (const char* overlap : {"0", "1"}) {
    const Shape shape = complete_shape(operation, parse_shape(text + ",overlap=" + overlap));
    SCOPED_TRACE(shape.text());
    ASSERT_EQ(hopper.unsupported(shape, dtype), std::nullopt);
    const MoeProblem problem(spec_of(shape, dtype), {});
    const EmulatedRun run = run_emulated(
        problem, [&](Device& device, const Pace& pace) { return hopper.prepare(problem, device, pace); });
    EXPECT_LE(run.errors.worst, problem.tolerance());
    EXPECT_LE(run.errors.rms, rms_limit(dtype));
    expect_all_charged(run, problem.work());
  }
}

TEST(moe_layer_hopper, matches_the_reference_and_charges_exactly_the_work) {
  for (const char* text : kShapes) expect_hopper_right(text, Dtype::bf16);
}

TEST(moe_layer_hopper, matches_the_reference_and_charges_exactly_the_work_in_fp8) {
  for (const char* text :
       {"tokens=1,hidden=16,intermediate=128,experts=1,top_k=1",
        "tokens=7,hidden=144,intermediate=256,experts=5,top_k=5,routing=random,shared_experts=2",
        "tokens=13,hidden=272,intermediate=128,experts=8,top_k=3,ep=4,routing=zipf,shared_experts=1"})
    expect_hopper_right(text, Dtype::fp8_e4m3);
}

TEST(moe_layer_hopper, says_which_tiles_it_takes) {
  const Shape shape =
      complete_shape(find_operation("moe_layer"),
                     parse_shape("tokens=8,hidden=64,intermediate=64,experts=4,top_k=2,shared_experts=1"));
  const MoeProblem problem(spec_of(shape, Dtype::bf16), {});
  EmulatedDevice device;
  const auto launch = find_kernel("moe_layer", "hopper").prepare(problem, device, {});
  const auto remarks = launch->remarks();
  ASSERT_EQ(remarks.size(), 4U);
  EXPECT_EQ(remarks[0].first, "gate_and_up");
  EXPECT_EQ(remarks[0].second, "low 64x128, clusters of 1, tma stores");
}

TEST(moe_layer_hopper, is_for_sm_90a_alone_and_refuses_what_its_products_cannot_count) {
  const Kernel& found = find_kernel("moe_layer", "hopper");
  EXPECT_EQ(found.least_sm, 90);
  EXPECT_TRUE(found.exactly_that_sm);
  const auto of = [&](const char* text) {
    return found.unsupported(complete_shape(find_operation("moe_layer"), parse_shape(text)), Dtype::bf16);
  };
  EXPECT_EQ(of("tokens=4096,hidden=7168,intermediate=2048,experts=256,top_k=8,ep=64"), std::nullopt);
  EXPECT_NE(of("tokens=8,hidden=64,intermediate=64,experts=1024,top_k=8"), std::nullopt);
  const Shape ragged = complete_shape(find_operation("moe_layer"),
                                      parse_shape("tokens=8,hidden=64,intermediate=192,experts=8,top_k=2"));
  EXPECT_EQ(found.unsupported(ragged, Dtype::bf16), std::nullopt);
  EXPECT_NE(found.unsupported(ragged, Dtype::fp8_e4m3), std::nullopt) << "gate and up share a block of scales";
}

// Of 132 multiprocessors, or with its lanes apart of 20 for the wire and 112 for products.
class CountedDevice final : public UnusedDevice {
 public:
  explicit CountedDevice(bool apart) : apart_(apart) {}
  int multiprocessors(Lane lane) const override { return !apart_ ? 132 : lane == Lane::compute ? 112 : 20; }
  bool lanes_are_apart() const override { return apart_; }

 private:
  bool apart_;
};

int product_multiprocessors(const char* text, bool apart) {
  const MoeProblem problem(spec_of(complete_shape(find_operation("moe_layer"), parse_shape(text)), Dtype::bf16), {});
  CountedDevice device(apart);
  int seen = 0;
  const auto make = [&](Device&, const GemmTask& task, std::span<const std::int32_t>) {
    seen = task.multiprocessors;
    return std::make_unique<OurProduct>(task);
  };
  const CudaSimpleLaunch launch(problem, device, {}, LayerProducts{.make = make});
  return seen;
}

TEST(moe_layer_cuda, products_have_what_a_wire_beside_them_leaves) {
  const char* const kOverlapping = "tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,ep=4,overlap=1";
  EXPECT_EQ(product_multiprocessors(kOverlapping, true), 112);   // the wire has its own
  EXPECT_EQ(product_multiprocessors(kOverlapping, false), 108);  // and here it shares theirs: 24 blocks of it
  EXPECT_EQ(product_multiprocessors("tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,ep=4", false), 132);
  EXPECT_EQ(product_multiprocessors("tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,overlap=1", false), 132);
}

// As a compute cap does that is put on when a launch is prepared already.
TEST(moe_layer_cuda, products_are_told_how_many_multiprocessors_each_launch_reaches) {
  struct Told final : GroupedProduct {
    explicit Told(std::vector<int>& to) : seen(to) {}
    void enqueue(void*, int multiprocessors) const override { seen.push_back(multiprocessors); }
    std::vector<int>& seen;
  };
  const char* const kText = "tokens=8,hidden=16,intermediate=8,experts=8,top_k=2";
  const MoeProblem problem(spec_of(complete_shape(find_operation("moe_layer"), parse_shape(kText)), Dtype::bf16), {});
  EmulatedDevice device;
  std::vector<int> seen;
  const auto make = [&](auto&&...) { return std::make_unique<Told>(seen); };
  CudaSimpleLaunch launch(problem, device, {}, LayerProducts{.make = make});
  for (const int reached : {4, 2, 4}) {
    device.reached = reached;
    launch.run();
  }
  EXPECT_EQ(seen, (std::vector<int>{4, 4, 2, 2, 4, 4}));
}

TEST(moe_layer_cuda, a_wire_has_multiprocessors_of_its_own_where_it_runs_beside_products) {
  const auto wanted = [](const char* text) {
    return wire_multiprocessors(spec_of(complete_shape(find_operation("moe_layer"), parse_shape(text)), Dtype::bf16));
  };
  EXPECT_EQ(wanted("tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,ep=4,overlap=1"), 24);
  EXPECT_EQ(wanted("tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,ep=4"), 0);
  EXPECT_EQ(wanted("tokens=1,hidden=16,intermediate=8,experts=8,top_k=2,ep=4,overlap=1"), 0);  // one micro-batch
  EXPECT_EQ(wanted("tokens=8,hidden=16,intermediate=8,experts=8,top_k=2,overlap=1"), 0);       // nothing is sent
}

// The tokens of another seed are put under ids that the gate chose for the first.
TEST(moe_layer_cuda, an_exchange_that_was_laid_out_for_another_choice_leaves_no_number) {
  const Operation& operation = find_operation("moe_layer");
  for (const char* overlap : {"0", "1"}) {
    const Shape shape = complete_shape(
        operation,
        parse_shape(std::string("tokens=6,hidden=16,intermediate=8,experts=32,top_k=2,ep=4,routing=random,overlap=") +
                    overlap));
    MoeProblem problem(spec_of(shape, Dtype::f32), {});
    const MoeProblem other(spec_of(shape, Dtype::f32), {.seed = 77});
    std::copy_n(other.x().data(), other.x().bytes(), const_cast<std::byte*>(problem.x().data()));
    UnusedDevice device;
    CudaSimpleLaunch launch(problem, device, {});
    launch.run();
    const Tensor& output = launch.output();
    for (std::int64_t i = 0; i < output.count(); ++i) ASSERT_TRUE(std::isnan(output.at(i))) << i;
  }
}

}  // namespace
}  // namespace chokepoint::moe
