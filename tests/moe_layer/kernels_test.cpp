// Do the kernels of moe_layer compute it, on every kind of shape, and charge what it says?
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "kernels/moe_layer/moe_layer.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint::moe {
namespace {

const char* const kKernels[] = {"cpu_reference", "cpu_native"};
const Dtype kDtypes[] = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3};

const std::vector<std::string>& shapes() {
  static const std::vector<std::string> all = {
      // one rank
      "tokens=1,hidden=8,intermediate=8,experts=1,top_k=1",
      "tokens=13,hidden=40,intermediate=24,experts=8,top_k=2",
      "tokens=31,hidden=129,intermediate=257,experts=4,top_k=1,shared_experts=1",
      "tokens=7,hidden=33,intermediate=17,experts=5,top_k=5,routing=random,shared_experts=2",
      "tokens=3,hidden=136,intermediate=40,experts=64,top_k=2,routing=random",  // most experts are empty
      // one node
      "tokens=29,hidden=64,intermediate=48,experts=8,top_k=3,ep=2,routing=random",
      "tokens=29,hidden=64,intermediate=48,experts=8,top_k=3,ep=4,routing=zipf,shared_experts=1",
      "tokens=29,hidden=72,intermediate=48,experts=8,top_k=3,ep=8,routing=random,scoring=sigmoid",
      "tokens=1,hidden=72,intermediate=48,experts=8,top_k=8,ep=8",
      // several nodes
      "tokens=37,hidden=64,intermediate=40,experts=16,top_k=4,ep=4,node_size=2,routing=random",
      "tokens=37,hidden=64,intermediate=40,experts=16,top_k=4,ep=8,node_size=2,routing=zipf",
      "tokens=37,hidden=136,intermediate=140,experts=16,top_k=4,ep=16,node_size=2,routing=random,shared_"
      "experts=1",
      "tokens=37,hidden=64,intermediate=40,experts=32,top_k=6,ep=16,node_size=8,routing=balanced",
      "tokens=19,hidden=64,intermediate=40,experts=16,top_k=3,ep=16,node_size=1,routing=random",
      "tokens=1,hidden=64,intermediate=40,experts=16,top_k=16,ep=16,node_size=8",
      "tokens=101,hidden=64,intermediate=32,experts=64,top_k=8,ep=16,node_size=8,groups=8,group_limit=4,"
      "scoring=sigmoid,routing=random,routed_scaling_milli=2500,shared_experts=1",
      "tokens=67,hidden=64,intermediate=32,experts=64,top_k=8,ep=16,node_size=2,groups=8,group_limit=4,"
      "scoring=sigmoid,routing=trace,routed_scaling_milli=2500",
  };
  return all;
}

// Besides the tolerance of single elements, the rms of all errors: a flip of a code is rare, a wrong formula
// is not.
double rms_limit(Dtype dtype) { return dtype == Dtype::f32 ? 2e-6 : dtype == Dtype::bf16 ? 0x1p-8 : 0x1p-7; }

// The second run finds used buffers; it is the one that is looked at.
Work run_twice(Launch& launch, CountingPace& clocks) {
  const auto tally = [&] {
    // Both directions carry the same; a difference shows as a number no operation can have.
    const auto both = [](CountingClock& send, CountingClock& receive) {
      return send.amount() == receive.amount() && send.messages() == receive.messages() ? send.amount()
                                                                                        : -1.0;
    };
    return Work{.flop = clocks.compute.amount(),
                .memory_bytes = clocks.memory.amount(),
                .link_bytes = both(clocks.link_send, clocks.link_receive),
                .network_bytes = both(clocks.network_send, clocks.network_receive),
                .link_messages = static_cast<double>(clocks.link_send.messages()),
                .network_messages = static_cast<double>(clocks.network_send.messages())};
  };
  launch.run();
  const Work first = tally();
  launch.output().poison();
  launch.run();
  Work second = tally();
  second.flop -= first.flop;
  second.memory_bytes -= first.memory_bytes;
  second.link_bytes -= first.link_bytes;
  second.network_bytes -= first.network_bytes;
  second.link_messages -= first.link_messages;
  second.network_messages -= first.network_messages;
  return second;
}

void expect_charged(const Work& found, const Work& expected) {
  EXPECT_NEAR(found.flop, expected.flop, 1e-9 * expected.flop);
  EXPECT_NEAR(found.memory_bytes, expected.memory_bytes, 1e-9 * expected.memory_bytes);
  EXPECT_EQ(found.link_bytes, expected.link_bytes);
  EXPECT_EQ(found.network_bytes, expected.network_bytes);
  EXPECT_EQ(found.link_messages, expected.link_messages);
  EXPECT_EQ(found.network_messages, expected.network_messages);
}

void expect_right_and_charged(const std::string& text) {
  const Operation& operation = find_operation("moe_layer");
  const Shape shape = complete_shape(operation, parse_shape(text));
  for (Dtype dtype : kDtypes) {
    const std::unique_ptr<Problem> problem = operation.make(shape, dtype, {});
    const Work work = operation.work(shape, dtype);
    for (const char* kernel : kKernels) {
      SCOPED_TRACE(text + " " + kernel + " " + std::string(to_string(dtype)));
      CountingPace clocks;
      UnusedDevice device;
      const auto launch = find_kernel("moe_layer", kernel).prepare(*problem, device, clocks.pace());
      expect_charged(run_twice(*launch, clocks), work);
      const OutputErrors found = errors_of(*problem, launch->output());
      EXPECT_LE(found.worst, problem->tolerance());
      EXPECT_LE(found.rms, rms_limit(dtype));
    }
  }
}

TEST(moe_layer_kernels, match_the_reference_and_charge_exactly_the_work) {
  for (const std::string& shape : shapes()) expect_right_and_charged(shape);
}

TEST(moe_layer_kernels, match_the_reference_and_charge_exactly_the_work_with_overlap) {
  for (const std::string& shape : shapes()) expect_right_and_charged(shape + ",overlap=1");
}

TEST(moe_layer_kernels, fp8_matches_with_whole_and_partial_scale_blocks) {
  expect_right_and_charged(
      "tokens=9,hidden=256,intermediate=384,experts=4,top_k=2,ep=2,routing=random,shared_experts=1");
  expect_right_and_charged(
      "tokens=9,hidden=300,intermediate=130,experts=4,top_k=2,ep=2,routing=random,shared_experts=1");
}

TEST(moe_layer_kernels, other_distributions_and_seeds_match_too) {
  for (const char* distribution : {"uniform", "zeros"})
    for (const char* kernel : kKernels) {
      Prepared prepared(
          "moe_layer", kernel,
          parse_shape("tokens=11,hidden=40,intermediate=24,experts=8,top_k=2,ep=4,routing=random"),
          Dtype::bf16, {}, {.seed = 99, .distribution = distribution});
      const double error = prepared.error();
      EXPECT_LE(error, prepared.problem->tolerance()) << distribution;
    }
}

TEST(moe_layer_kernels, overlap_changes_the_order_and_not_the_result) {
  const std::string shape =
      "tokens=45,hidden=96,intermediate=64,experts=16,top_k=4,ep=8,node_size=2,routing=random,shared_experts="
      "1";
  Prepared one("moe_layer", "cpu_native", parse_shape(shape), Dtype::f32);
  Prepared two("moe_layer", "cpu_native", parse_shape(shape + ",overlap=1"), Dtype::f32);
  const Tensor &a = one.run(), &b = two.run();
  for (std::int64_t i = 0; i < a.count(); ++i) ASSERT_NEAR(a.at(i), b.at(i), 1e-5);
}

TEST(moe_layer_kernels, both_kernels_agree) {
  for (Dtype dtype : kDtypes) {
    const Shape shape = parse_shape(
        "tokens=23,hidden=136,intermediate=72,experts=16,top_k=4,ep=8,node_size=4,routing=random");
    Prepared plain("moe_layer", "cpu_reference", shape, dtype), fast("moe_layer", "cpu_native", shape, dtype);
    const Tensor &a = plain.run(), &b = fast.run();
    double worst = 0;
    for (std::int64_t i = 0; i < a.count(); ++i) worst = std::max(worst, std::abs(a.at(i) - b.at(i)));
    EXPECT_LE(worst, plain.problem->tolerance() * 4);
  }
}

// ---- Time ----

double run_seconds(Prepared& prepared) {
  const auto start = std::chrono::steady_clock::now();
  prepared.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Compute takes 120 ms and the link 120 ms. One after the other: 240. Two micro-batches: the first dispatch
// and the last combine (30 ms each) stick out, the rest hides: about 180.
TEST(moe_layer_kernels, overlap_hides_the_link_behind_compute) {
  const std::string shape = "tokens=128,hidden=64,intermediate=64,experts=16,top_k=4,ep=8,routing=balanced";
  const Operation& operation = find_operation("moe_layer");
  double elapsed_s[2];
  for (int overlap : {0, 1}) {
    const Shape given = parse_shape(shape + ",overlap=" + std::to_string(overlap));
    const Work work = operation.work(complete_shape(operation, given), Dtype::f32);
    RateClock compute(work.flop / 0.12), send(work.link_bytes / 0.12), receive(work.link_bytes / 0.12);
    Prepared prepared("moe_layer", "cpu_native", given, Dtype::f32,
                      {.compute = &compute, .link_send = &send, .link_receive = &receive});
    elapsed_s[overlap] = run_seconds(prepared);
    for (int i = 0; i < 2; ++i)  // best of three: a busy machine may be late
      elapsed_s[overlap] = std::min(elapsed_s[overlap], run_seconds(prepared));
  }
  EXPECT_GE(elapsed_s[0], 0.235);
  EXPECT_GE(elapsed_s[1], 0.15);
  EXPECT_LE(elapsed_s[1], 0.215);
}

TEST(moe_layer_kernels, every_capped_wire_holds_the_kernel_back) {
  const Shape shape = parse_shape("tokens=64,hidden=64,intermediate=16,experts=16,top_k=4,ep=8,node_size=2");
  const Operation& operation = find_operation("moe_layer");
  const Work work = operation.work(complete_shape(operation, shape), Dtype::bf16);
  for (const char* kernel : kKernels) {
    RateClock link(work.link_bytes / 0.1), network(work.network_bytes / 0.1), memory(work.memory_bytes / 0.1);
    Prepared by_link("moe_layer", kernel, shape, Dtype::bf16, {.link_receive = &link});
    Prepared by_network("moe_layer", kernel, shape, Dtype::bf16, {.network_send = &network});
    Prepared by_memory("moe_layer", kernel, shape, Dtype::bf16, {.memory = &memory});
    EXPECT_GE(run_seconds(by_link), 0.099) << kernel;
    EXPECT_GE(run_seconds(by_network), 0.099) << kernel;
    EXPECT_GE(run_seconds(by_memory), 0.095) << kernel;
  }
}

TEST(moe_layer_kernels, an_error_in_the_background_reaches_the_caller) {
  class Broken : public ResourceClock {
   public:
    Moment reserve(double) override { return Moment{}; }
    Moment reserve_message(double) override { throw Error(Fault::device, "the wire broke", "mend it"); }
    void wait(Moment) override {}
  } broken;
  for (const char* overlap : {"0", "1"}) {
    Prepared prepared(
        "moe_layer", "cpu_native",
        parse_shape(std::string("tokens=64,hidden=64,intermediate=16,experts=8,top_k=2,ep=8,overlap=") +
                    overlap),
        Dtype::bf16, {.link_send = &broken});
    EXPECT_EQ(error_text([&] { prepared.run(); }), "the wire broke; mend it");
  }
}

}  // namespace
}  // namespace chokepoint::moe
