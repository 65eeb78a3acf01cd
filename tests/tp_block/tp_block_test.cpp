// tp_block: the answer by hand, every kernel against it on tiny, prime and ragged shapes, and every byte
// charged once.
#include "kernels/tp_block/tp_block.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kKernels = {"cpu_native", "cpu_reference"};
const std::vector<Dtype> kDtypes = {Dtype::f32, Dtype::bf16};

Shape shape_of(std::int64_t tokens, std::int64_t hidden, std::int64_t intermediate, std::int64_t tp,
               std::int64_t gated = 1, std::int64_t node_size = 8) {
  return {{"tokens", tokens}, {"hidden", hidden}, {"intermediate", intermediate},
          {"tp", tp},         {"gated", gated},   {"node_size", node_size}};
}

std::vector<Shape> shapes() {
  return {shape_of(1, 1, 1, 1),           shape_of(1, 7, 5, 1),          shape_of(2, 1, 2, 2),
          shape_of(3, 13, 9, 3),          shape_of(10, 31, 15, 5, 0),    shape_of(22, 17, 22, 11),
          shape_of(37, 101, 53, 1, 0),    shape_of(34, 67, 38, 2, 1, 1), shape_of(64, 96, 128, 8),
          shape_of(51, 130, 51, 3, 0, 2), shape_of(130, 61, 254, 2)};
}

double silu(double x) { return x / (1.0 + std::exp(-x)); }

// Independent of the operation's code: follows the definition element by element, ring step by ring step.
double expected_by_definition(const TpBlockProblem& problem, std::int64_t token, std::int64_t n) {
  const TpBlockSizes& s = problem.sizes();
  const std::int64_t columns = s.intermediate / s.tp, shard = s.tokens / s.tp;
  double value = 0.0;
  for (std::int64_t j = 0; j < columns; ++j) {
    double first = 0.0, second = 0.0;
    for (std::int64_t k = 0; k < s.hidden; ++k) {
      first += problem.x().at(token * s.hidden + k) * problem.w_up().at(j * s.hidden + k);
      if (s.gated)
        second += problem.x().at(token * s.hidden + k) * problem.w_up().at((columns + j) * s.hidden + k);
    }
    value += (s.gated ? silu(first) * second : silu(first)) * problem.w_down().at(n * columns + j);
  }
  // In step s = 1 .. tp-1 the sum of chunk tp-1-s arrives.
  for (std::int64_t step = 1; step < s.tp; ++step)
    if (token / shard == s.tp - 1 - step)
      value += problem.ring_in().at(((step - 1) * shard + token % shard) * s.hidden + n);
  return value;
}

TEST(tp_block, the_reference_follows_the_definition_on_every_row) {
  for (const Shape& shape : shapes())
    for (Dtype dtype : kDtypes) {
      Prepared prepared("tp_block", "cpu_reference", shape, dtype);
      const auto& problem = dynamic_cast<const TpBlockProblem&>(*prepared.problem);
      const std::int64_t tokens = problem.sizes().tokens, hidden = problem.sizes().hidden;
      std::vector<std::int64_t> rows;  // backwards, so that the order asked for matters
      for (std::int64_t token = tokens - 1; token >= 0; --token) rows.push_back(token);
      const std::vector<double> reference = problem.reference(rows);
      ASSERT_EQ(static_cast<std::int64_t>(reference.size()), tokens * hidden);
      for (std::int64_t token = 0; token < tokens; ++token)
        for (std::int64_t n = token % 5; n < hidden; n += 5)
          ASSERT_NEAR(reference[static_cast<std::size_t>((tokens - 1 - token) * hidden + n)],
                      expected_by_definition(problem, token, n), 1e-11)
              << prepared.shape.text();
    }
}

TEST(tp_block, one_token_per_rank_computed_by_hand) {
  // Ones and twos: x = 1, w = 1, two tokens, hidden 1, intermediate 2 over two ranks: one column each.
  const auto problem = find_operation("tp_block").make(shape_of(2, 1, 2, 2), Dtype::f32, {});
  for (const Tensor* input : problem->inputs())
    for (std::int64_t i = 0; i < input->count(); ++i) const_cast<Tensor*>(input)->set(i, 1.0);
  const_cast<Tensor*>(problem->inputs()[3])->set(0, 2.0);  // what arrives for chunk 0
  const std::vector<std::int64_t> rows = {0, 1};
  const std::vector<double> reference = problem->reference(rows);
  const double partial = 1.0 / (1.0 + std::exp(-1.0));  // silu(1) * 1 * 1
  EXPECT_DOUBLE_EQ(reference[0], partial + 2.0);
  EXPECT_DOUBLE_EQ(reference[1], partial);
}

TEST(tp_block, every_kernel_matches_the_reference_on_ragged_shapes) {
  for (const std::string& kernel : kKernels)
    for (const Shape& shape : shapes())
      for (Dtype dtype : kDtypes) {
        Prepared prepared("tp_block", kernel, shape, dtype);
        EXPECT_LE(prepared.error(), prepared.problem->tolerance())
            << kernel << " " << to_string(dtype) << " " << prepared.shape.text();
      }
}

TEST(tp_block, f32_is_a_few_roundings_and_bf16_is_one) {
  // Tolerances have to leave room for other kernels; ours are held to what they can do.
  for (const std::string& kernel : kKernels) {
    Prepared exact("tp_block", kernel, shape_of(48, 120, 180, 4), Dtype::f32);
    EXPECT_LE(exact.error(), 2e-6) << kernel;
    Prepared rounded("tp_block", kernel, shape_of(48, 120, 180, 4), Dtype::bf16);
    EXPECT_LE(rounded.error(), 0x1p-8) << kernel;
  }
}

TEST(tp_block, runs_repeat_and_other_inputs_do_not_stick) {
  for (const std::string& kernel : kKernels) {
    Prepared prepared("tp_block", kernel, shape_of(12, 20, 16, 4), Dtype::bf16);
    const Tensor first = prepared.run();
    const Tensor& second = prepared.run();
    for (std::int64_t i = 0; i < first.count(); ++i) ASSERT_EQ(first.at(i), second.at(i)) << kernel;
    Prepared other("tp_block", kernel, shape_of(12, 20, 16, 4), Dtype::bf16, {}, {.seed = 2});
    EXPECT_NE(other.run().at(0), first.at(0));
    EXPECT_LE(other.error(), other.problem->tolerance());
  }
}

TEST(tp_block, every_kernel_charges_exactly_the_work) {
  for (const std::string& kernel : kKernels)
    for (const Shape& shape : shapes())
      for (Dtype dtype : kDtypes) {
        const Work work = charged("tp_block", kernel, shape, dtype);
        const Work declared = find_operation("tp_block").work(shape, dtype);
        const std::string text = kernel + " " + shape.text();
        EXPECT_NEAR(work.flop, declared.flop, 1e-9 * declared.flop) << text;
        EXPECT_NEAR(work.memory_bytes, declared.memory_bytes, 1e-9 * declared.memory_bytes) << text;
        EXPECT_EQ(work.link_bytes, declared.link_bytes) << text;
        EXPECT_EQ(work.network_bytes, declared.network_bytes) << text;
        EXPECT_EQ(work.link_messages, declared.link_messages) << text;
        EXPECT_EQ(work.network_messages, declared.network_messages) << text;
      }
}

TEST(tp_block, work_of_a_llama_layer_at_tp_8_is_as_counted_by_hand) {
  // Llama 3.1 405B: hidden 16384, intermediate 53248; 8192 tokens in bf16.
  const Operation& operation = find_operation("tp_block");
  const Shape shape = shape_of(8192, 16384, 53248, 8);
  const Work work = operation.work(shape, Dtype::bf16);
  EXPECT_EQ(work.flop, 6.0 * 8192 * 16384 * 6656);         // three products with 6656 columns
  EXPECT_EQ(work.link_bytes, 2 * 7 * 1024.0 * 16384 * 2);  // 470 MB: 14 shards of 33.6 MB per direction
  EXPECT_EQ(work.link_messages, 14);
  EXPECT_EQ(work.network_bytes, 0);
  // x and output 8192 rows, weights 3 x 6656 rows, ring_in 7 x 1024 rows of 16384 elements of 2 bytes.
  EXPECT_EQ(work.memory_bytes, 2.0 * 16384 * (2 * 8192 + 3 * 6656 + 7 * 1024));
  EXPECT_EQ(work.tokens, 1024);  // this rank's share
  const Work alone = operation.work(shape_of(8192, 16384, 53248, 1), Dtype::bf16);
  EXPECT_EQ(alone.link_bytes + alone.network_bytes + alone.link_messages + alone.network_messages, 0);
  EXPECT_EQ(alone.flop, 8 * work.flop);
  EXPECT_EQ(operation.work(shape, Dtype::f32).link_bytes, 2 * work.link_bytes);
  EXPECT_EQ(operation.work(shape_of(8192, 16384, 53248, 8, 0), Dtype::bf16).flop, work.flop * 2 / 3);
}

TEST(tp_block, a_ring_beyond_one_node_runs_over_the_network) {
  const Operation& operation = find_operation("tp_block");
  const Work within = operation.work(shape_of(64, 32, 64, 8), Dtype::f32);
  const Work beyond = operation.work(shape_of(64, 32, 64, 8, 1, 4), Dtype::f32);
  EXPECT_GT(within.link_bytes, 0);
  EXPECT_EQ(within.network_bytes, 0);
  EXPECT_EQ(beyond.network_bytes, within.link_bytes);
  EXPECT_EQ(beyond.network_messages, within.link_messages);
  EXPECT_EQ(beyond.link_bytes + beyond.link_messages, 0);
}

TEST(tp_block, work_is_the_same_with_and_without_inputs) {
  const Operation& operation = find_operation("tp_block");
  for (const Shape& shape : shapes())
    for (Dtype dtype : kDtypes) {
      const Work built = operation.make(shape, dtype, {})->work(), counted = operation.work(shape, dtype);
      for (Resource resource : kResources) EXPECT_EQ(built.of(resource), counted.of(resource));
      EXPECT_EQ(built.tokens, counted.tokens);
      EXPECT_EQ(built.link_messages + built.network_messages,
                counted.link_messages + counted.network_messages);
    }
}

TEST(tp_block, a_launch_takes_ring_and_products_one_after_the_other) {
  // tp 4: 6 steps of 5 ms, and 6 shards of 4 KiB at 6 x 4096 B per 30 ms: 60 ms of ring. 2 x 32 x 128 x 3
  // FLOP in 7 ms.
  for (const std::string& kernel : kKernels)
    for (std::int64_t node_size : {8, 2}) {
      Timeline timeline;
      TimelineClock wire(timeline, 6 * 4096 / 30e-3, 5e-3), compute(timeline, 2 * 32 * 128 * 3 / 7e-3);
      TimelineClock unused(timeline, 1.0);
      const Pace pace = {.compute = &compute,
                         .link_receive = node_size == 8 ? &wire : &unused,
                         .network_receive = node_size == 8 ? &unused : &wire};
      Prepared prepared("tp_block", kernel, shape_of(32, 128, 4, 4, 1, node_size), Dtype::f32, pace);
      prepared.launch->run();
      EXPECT_NEAR(timeline.elapsed_s(), 67e-3, 1e-6) << kernel;
    }
}

TEST(tp_block, memory_of_the_ring_hides_behind_the_wire_or_the_other_way_round) {
  // Memory: x, weights, ring_in and output are 4 x 128 x (32 + 3 + 24 + 32) B = 46592 B.
  for (const std::string& kernel : kKernels) {
    Timeline timeline;
    TimelineClock memory(timeline, 46592 / 40e-3), wire(timeline, 1e12);
    Prepared prepared("tp_block", kernel, shape_of(32, 128, 4, 4), Dtype::f32,
                      {.memory = &memory, .link_send = &wire});
    prepared.launch->run();
    EXPECT_NEAR(timeline.elapsed_s(), 40e-3, 1e-5) << kernel;
  }
}

TEST(tp_block, clones_hold_the_same_values_elsewhere) {
  for (std::int64_t tp : {1, 4}) {
    const auto problem = find_operation("tp_block").make(shape_of(8, 6, 8, tp), Dtype::bf16, {});
    const auto clone = problem->clone();
    ASSERT_EQ(problem->inputs().size(), tp == 1 ? 3U : 4U);
    for (std::size_t input = 0; input < problem->inputs().size(); ++input) {
      const Tensor &a = *problem->inputs()[input], &b = *clone->inputs()[input];
      EXPECT_NE(a.data(), b.data());
      EXPECT_EQ(a.dims(), b.dims());
      for (std::int64_t i = 0; i < a.count(); ++i) ASSERT_EQ(a.at(i), b.at(i));
    }
  }
}

TEST(tp_block, bad_shapes_name_the_field_and_the_limit) {
  const Operation& operation = find_operation("tp_block");
  EXPECT_EQ(error_text([&] { complete_shape(operation, shape_of(10, 8, 8, 4)); }),
            "tp_block: tokens is 10, not a multiple of tp, which is 4; change tp or tokens");
  EXPECT_EQ(error_text([&] { complete_shape(operation, shape_of(8, 8, 9, 2)); }),
            "tp_block: intermediate is 9, not a multiple of tp, which is 2; change tp or intermediate");
  EXPECT_NE(error_text([&] {
              complete_shape(operation, shape_of(8, 8, 8, 2, 2));
            }).find("gated is 2, outside 0 to 1"),
            std::string::npos);
  EXPECT_NE(
      error_text([&] { complete_shape(operation, shape_of(8, 0, 8, 2)); }).find("hidden is 0, outside 1"),
      std::string::npos);
  EXPECT_NE(error_text([&] { complete_shape(operation, shape_of(8, 8, 8, 0)); }).find("tp is 0, outside 1"),
            std::string::npos);
  EXPECT_NE(error_text([&] {
              complete_shape(operation, {{"tokens", 8}, {"hidden", 8}, {"intermediate", 8}});
            }).find("\"tp\" is missing"),
            std::string::npos);
  const Shape complete =
      complete_shape(operation, {{"tokens", 8}, {"hidden", 8}, {"intermediate", 8}, {"tp", 2}});
  EXPECT_EQ(complete["gated"], 1);
  EXPECT_EQ(complete["node_size"], 8);
}

TEST(tp_block, all_parts_are_registered_without_fault) {
  EXPECT_EQ(registry_faults(), std::vector<std::string>{});
}

}  // namespace
}  // namespace chokepoint
