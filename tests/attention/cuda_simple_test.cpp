// The device code of cuda_simple, run without a GPU: against the reference over the forms of attention, with
// NaN wherever nobody may read, and what it charges.
#include "tests/cuda_emulator/emulator.hpp"
//
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "harness/base/error.hpp"
#include "kernels/attention/cuda_simple.cuh"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Shape with(Shape shape, std::initializer_list<std::pair<const std::string, std::int64_t>> numbers) {
  for (const auto& [field, value] : numbers) shape.set(field, value);
  return shape;
}

Shape gqa(const char* mode, std::int64_t heads_q, std::int64_t heads_kv, std::int64_t qk_dim,
          std::int64_t v_dim) {
  return {{"mode", mode}, {"heads_q", heads_q}, {"heads_kv", heads_kv}, {"qk_dim", qk_dim}, {"v_dim", v_dim}};
}

Shape mla_decode(std::int64_t heads, std::int64_t qk_dim = 576, std::int64_t v_dim = 512) {
  return {{"mode", "decode"}, {"variant", "mla"}, {"heads_q", heads}, {"heads_kv", 1},
          {"qk_dim", qk_dim}, {"v_dim", v_dim},   {"scale_dim", 192}};
}

Shape complete(const Shape& shape) { return complete_shape(find_operation("attention"), shape); }

// Slots and tokens that no sequence uses become NaN: reading one shows, whatever its weight.
void poison_unused(AttentionProblem& problem) {
  const AttentionSizes& s = problem.sizes;
  const std::int64_t slots = s.decode ? s.pages_per_sequence() * s.page_size : s.context;
  Tensor& keys = s.decode ? problem.kv_cache : problem.k;
  Tensor& values = s.decode ? problem.kv_cache : problem.v;
  for (std::int64_t b = 0; b < s.batch; ++b)
    for (std::int64_t t = s.context_length[static_cast<std::size_t>(b)]; t < slots; ++t)
      for (std::int64_t head = 0; head < s.heads_kv; ++head) {
        for (std::int64_t d = 0; d < s.qk_dim; ++d) keys.set(problem.key_at(b, head, t) + d, kNan);
        for (std::int64_t d = 0; d < s.v_dim; ++d) values.set(problem.value_at(b, head, t) + d, kNan);
      }
}

struct Ran {
  Tensor output;
  double flop = 0.0, memory_bytes = 0.0;  // charged
  double error = INFINITY;
  SimplePlan plan;
};

// The largest |out - ref| / (|ref| + rms(ref)) over all elements; infinite when one is not finite.
double error_of(const AttentionProblem& problem, const Tensor& output) {
  std::vector<std::int64_t> rows(static_cast<std::size_t>(problem.output_rows()));
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<double> reference = problem.reference(rows);
  double squares = 0.0, worst = 0.0;
  for (double value : reference) squares += value * value;
  const double rms = std::sqrt(squares / static_cast<double>(reference.size()));
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double difference = std::abs(output.at(static_cast<std::int64_t>(i)) - reference[i]);
    if (!std::isfinite(difference)) return INFINITY;
    worst = std::max(worst, difference / (std::abs(reference[i]) + rms));
  }
  return worst;
}

// What the launcher in cuda_simple.cu does, on host memory.
template <class T>
Ran run_as(const AttentionProblem& problem, const SimplePlan& plan, const DevicePace& pace, bool reversed) {
  const AttentionSizes& sizes = problem.sizes;
  Ran ran{.output = Tensor("output", problem.output_dims(), problem.dtype), .plan = plan};
  ran.output.poison();
  std::vector<float> partial(static_cast<std::size_t>(plan.partial_floats(sizes)), static_cast<float>(kNan));
  const std::vector<std::int32_t> lengths(sizes.context_length.begin(), sizes.context_length.end());
  SimpleArguments<T> a = simple_arguments<T>(sizes, plan);
  a.q = problem.q.as<T>().data();
  a.keys = problem.keys().as<T>().data();
  a.values = problem.values().as<T>().data();
  a.block_table = sizes.decode ? problem.block_table.as<std::int32_t>().data() : nullptr;
  a.context_lengths = lengths.data();
  a.output = ran.output.as<T>().data();
  const std::int64_t rows = problem.output_rows();
  if (plan.splits > 1) {
    a.partial = partial.data();
    a.partial_log = partial.data() + rows * plan.splits * sizes.v_dim;
  }
  a.pace = pace;
  with_simple_kernel<T>(plan, [&](auto* kernel) {
    emulator::launch({.grid = dim3(static_cast<unsigned>(plan.blocks)),
                      .block = dim3(static_cast<unsigned>(plan.threads)),
                      .shared_bytes = static_cast<std::size_t>(plan.shared_bytes),
                      .reversed = reversed},
                     kernel, a);
  });
  if (plan.splits > 1)
    emulator::launch(&merge_splits<T>, dim3(static_cast<unsigned>(rows)), dim3(kMergeThreads), 0, a);
  ran.error = error_of(problem, ran.output);
  return ran;
}

Ran run(const AttentionProblem& problem, const SimplePlan& plan, const DevicePace& pace = {},
        bool reversed = false) {
  return problem.dtype == Dtype::bf16 ? run_as<std::uint16_t>(problem, plan, pace, reversed)
                                      : run_as<float>(problem, plan, pace, reversed);
}

Ran run(const Shape& shape, Dtype dtype, const SimpleMachine& machine = {}, bool reversed = false) {
  AttentionProblem problem(complete(shape), dtype, {});
  poison_unused(problem);
  DeviceClock memory, compute;  // released: they count
  DevicePace pace;
  pace.memory = &memory;
  pace.compute = &compute;
  Ran ran = run(problem, plan_simple(problem.sizes, dtype, machine), pace, reversed);
  ran.flop = static_cast<double>(compute.charged);
  ran.memory_bytes = static_cast<double>(memory.charged);
  return ran;
}

constexpr SimpleMachine kOneMultiprocessor{.multiprocessors = 1};

// Right, and charged as the operation says: each charge is rounded to a whole number, so sums are off a
// little.
void expect_right(const std::string& name, const Shape& shape, Dtype dtype, const SimpleMachine& machine = {},
                  bool reversed = false) {
  const Ran ran = run(shape, dtype, machine, reversed);
  const AttentionProblem problem(complete(shape), dtype, {});
  EXPECT_LT(ran.error, problem.tolerance()) << name;
  const Work work = problem.work();
  EXPECT_EQ(ran.flop, work.flop) << name;
  EXPECT_NEAR(ran.memory_bytes, work.memory_bytes,
              std::min(0.005 * work.memory_bytes,
                       0.5 * static_cast<double>(ran.plan.blocks + ran.plan.blocks * problem.sizes.context)))
      << name;
}

Shape some(Shape shape, std::int64_t seq_q, std::int64_t context, std::int64_t causal) {
  return with(std::move(shape), {{"seq_q", seq_q}, {"context", context}, {"causal", causal}});
}

TEST(cuda_simple, is_right_in_prefill_at_every_head_size) {
  for (std::int64_t causal : {0, 1}) {
    const std::string tail = causal == 1 ? " causal" : " full";
    expect_right("64" + tail, some(gqa("prefill", 2, 2, 64, 64), 131, 131, causal), Dtype::bf16);
    expect_right("128" + tail, some(gqa("prefill", 2, 1, 128, 128), 97, 203, causal), Dtype::bf16);
    expect_right("192" + tail, some(gqa("prefill", 1, 1, 192, 128), 130, 149, causal), Dtype::bf16);
    expect_right("256" + tail, some(gqa("prefill", 1, 1, 256, 256), 67, 131, causal), Dtype::bf16);
    expect_right("padded 40, 72" + tail, some(gqa("prefill", 3, 1, 40, 72), 41, 100, causal), Dtype::bf16);
    expect_right("padded 200, 8" + tail, some(gqa("prefill", 1, 1, 200, 8), 70, 70, causal), Dtype::bf16);
  }
}

TEST(cuda_simple, is_right_with_few_rows_at_every_head_size) {
  for (const char* mode : {"prefill", "decode"})
    for (std::int64_t causal : {0, 1}) {
      const std::string tail = std::string(mode) + (causal == 1 ? " causal" : " full");
      expect_right("64 " + tail, some(gqa(mode, 14, 2, 64, 64), 1, 193, causal), Dtype::bf16);
      expect_right("128 " + tail, some(gqa(mode, 8, 1, 128, 128), 3, 257, causal), Dtype::bf16);
      expect_right("192 " + tail, some(gqa(mode, 5, 5, 192, 128), 2, 67, causal), Dtype::bf16);
      expect_right("256 " + tail, some(gqa(mode, 4, 1, 256, 256), 2, 131, causal), Dtype::bf16);
      expect_right("padded " + tail, some(gqa(mode, 6, 3, 40, 24), 3, 131, causal), Dtype::bf16);
    }
}

TEST(cuda_simple, is_right_where_contexts_end_around_tiles) {
  for (std::int64_t context : {1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129}) {
    const std::string name = "context " + std::to_string(context);
    expect_right(name, with(gqa("decode", 4, 1, 64, 64), {{"context", context}, {"batch", 2}}), Dtype::bf16);
    expect_right(name, some(gqa("prefill", 1, 1, 64, 64), context, context, 1), Dtype::bf16);
    expect_right(name, with(mla_decode(3), {{"context", context}}), Dtype::bf16);
    expect_right(name, some(gqa("prefill", 2, 1, 17, 5), context, context, 1), Dtype::f32);
  }
}

TEST(cuda_simple, finds_pages_of_any_size) {
  for (Dtype dtype : {Dtype::bf16, Dtype::f32})
    for (std::int64_t page_size : {1, 3, 16, 48, 64, 100}) {
      const std::string name = "pages of " + std::to_string(page_size);
      expect_right(name,
                   with(some(gqa("decode", 6, 3, 64, 64), 3, 131, 1),
                        {{"batch", 3}, {"ragged", 1}, {"page_size", page_size}}),
                   dtype);
      expect_right(name + ", many rows",
                   with(some(gqa("decode", 24, 1, 40, 72), 2, 131, 1),
                        {{"batch", 2}, {"ragged", 1}, {"page_size", page_size}}),
                   dtype);
      expect_right(
          name + ", mla",
          with(some(mla_decode(5), 2, 75, 1), {{"batch", 2}, {"ragged", 1}, {"page_size", page_size}}),
          dtype);
    }
}

TEST(cuda_simple, is_right_for_absorbed_mla) {
  for (std::int64_t causal : {0, 1}) {
    const std::string tail = causal == 1 ? " causal" : " full";
    expect_right("128 heads" + tail, some(mla_decode(128), 1, 150, causal), Dtype::bf16);
    expect_right("16 heads" + tail, with(some(mla_decode(16), 2, 263, causal), {{"batch", 2}}), Dtype::bf16);
    expect_right("41 heads" + tail, some(mla_decode(41), 2, 97, causal), Dtype::bf16);
    expect_right("other columns" + tail, some(mla_decode(33, 40, 24), 2, 97, causal), Dtype::bf16);
    expect_right("value is the whole key" + tail, some(mla_decode(7, 512, 512), 1, 70, causal), Dtype::bf16);
  }
}

TEST(cuda_simple, is_right_for_ragged_prefill) {
  for (Dtype dtype : {Dtype::bf16, Dtype::f32})
    for (std::int64_t causal : {0, 1}) {
      expect_right("ragged",
                   with(some(gqa("prefill", 4, 2, 64, 64), 30, 301, causal), {{"batch", 3}, {"ragged", 1}}),
                   dtype);
      expect_right("more queries than keys", some(gqa("prefill", 2, 1, 16, 16), 200, 7, 0), dtype);
    }
}

TEST(cuda_simple, is_right_in_f32_with_any_columns) {
  for (std::int64_t causal : {0, 1}) {
    expect_right("17, 5", some(gqa("prefill", 3, 3, 17, 5), 53, 70, causal), Dtype::f32);
    expect_right("33, 300", some(gqa("decode", 6, 3, 33, 300), 2, 70, causal), Dtype::f32);
    expect_right("1, 1", some(gqa("prefill", 1, 1, 1, 1), 9, 9, causal), Dtype::f32);
    expect_right("1024", some(gqa("decode", 2, 1, 1024, 1024), 1, 40, causal), Dtype::f32);
    expect_right("mla", some(mla_decode(9), 1, 75, causal), Dtype::f32);
  }
}

// One multiprocessor gets no splits, 132 get as many as there are tiles.
TEST(cuda_simple, is_right_with_any_number_of_splits) {
  const Shape shapes[] = {with(gqa("decode", 8, 1, 64, 64), {{"seq_q", 2}, {"context", 700}}),
                          with(gqa("decode", 4, 2, 64, 64), {{"batch", 2}, {"context", 300}, {"ragged", 1}}),
                          some(gqa("prefill", 1, 1, 64, 64), 129, 300, 1),
                          with(mla_decode(7), {{"context", 300}}),
                          with(mla_decode(40), {{"context", 300}, {"seq_q", 2}})};
  for (Dtype dtype : {Dtype::bf16, Dtype::f32})
    for (const Shape& shape : shapes) {
      AttentionProblem problem(complete(shape), dtype, {});
      poison_unused(problem);
      SimplePlan plan = plan_simple(problem.sizes, dtype, kOneMultiprocessor);
      const std::int64_t blocks = plan.blocks / plan.splits;
      for (int splits : {1, 3, 31}) {  // 31: some have no keys
        plan.splits = splits;
        plan.blocks = blocks * splits;
        EXPECT_LT(run(problem, plan).error, problem.tolerance()) << shape.text() << " splits " << splits;
      }
    }
}

TEST(cuda_simple, does_not_depend_on_the_order_of_threads) {
  for (const Shape& shape :
       {some(gqa("prefill", 2, 1, 128, 128), 67, 130, 1),
        with(gqa("decode", 8, 1, 128, 128), {{"context", 300}}), with(mla_decode(40), {{"context", 150}}),
        with(mla_decode(8), {{"context", 150}})})
    for (Dtype dtype : {Dtype::bf16, Dtype::f32}) {
      const Ran one = run(shape, dtype, kOneMultiprocessor),
                other = run(shape, dtype, kOneMultiprocessor, true);
      EXPECT_EQ(
          std::memcmp(one.output.data(), other.output.data(), static_cast<std::size_t>(one.output.bytes())),
          0)
          << shape.text();
      EXPECT_LT(other.error, 0x1p-7) << shape.text();
    }
}

// Scores of some 10^6: the largest key takes all the weight, and nothing overflows on the way.
TEST(cuda_simple, extreme_scores_pick_the_best_key) {
  for (Dtype dtype : {Dtype::bf16, Dtype::f32})
    for (const Shape& shape :
         {some(gqa("prefill", 4, 2, 64, 64), 40, 200, 0), some(gqa("decode", 4, 2, 64, 64), 3, 200, 0),
          some(mla_decode(4), 1, 100, 0)}) {
      AttentionProblem problem(complete(shape), dtype, {.seed = 2});  // seed 1 has a tie of two keys
      for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 1e6 * problem.q.at(i));
      const Ran ran = run(problem, plan_simple(problem.sizes, dtype, {}));
      EXPECT_LT(ran.error, problem.tolerance()) << shape.text();
    }
}

TEST(cuda_simple, charges_tile_by_tile_and_waits_until_its_work_is_through) {
  // Memory of 10 MB/s, and compute that is never the slower one.
  for (const Shape& shape :
       {some(gqa("prefill", 2, 2, 64, 64), 130, 260, 1),
        with(gqa("decode", 8, 1, 64, 64), {{"context", 600}}), with(mla_decode(4), {{"context", 130}})})
    for (Dtype dtype : {Dtype::bf16, Dtype::f32}) {
      AttentionProblem problem(complete(shape), dtype, {});
      DeviceClock memory{.ps_per_unit = 100e3}, compute{.ps_per_unit = 1e-3};
      DevicePace pace;
      pace.memory = &memory;
      pace.compute = &compute;
      emulator::virtual_time() = {};
      const std::uint64_t begin_ns = emulator::virtual_time().now_ns;
      run(problem, plan_simple(problem.sizes, dtype, kOneMultiprocessor), pace);
      const double elapsed_ns = static_cast<double>(emulator::virtual_time().now_ns - begin_ns);
      const double least_ns = 100.0 * problem.work().memory_bytes;
      EXPECT_GE(elapsed_ns, 0.995 * least_ns) << shape.text();
      // Waiting overlaps with everything else.
      EXPECT_LE(elapsed_ns, 1.1 * least_ns) << shape.text();
    }
}

TEST(cuda_simple, refuses_what_is_out_of_reach_with_a_reason) {
  const auto limit = [](const Shape& shape, Dtype dtype) {
    return simple_limit(attention_sizes(complete(with(shape, {{"context", 9}}))), dtype).value_or("");
  };
  EXPECT_NE(limit(gqa("prefill", 1, 1, 20, 16), Dtype::bf16).find("multiples of 8"), std::string::npos);
  EXPECT_NE(limit(gqa("prefill", 1, 1, 264, 16), Dtype::bf16).find("beyond 256"), std::string::npos);
  EXPECT_NE(limit(mla_decode(4, 584, 512), Dtype::bf16).find("beyond 576"), std::string::npos);
  EXPECT_NE(limit(gqa("decode", 1, 1, 1025, 1), Dtype::f32).find("beyond 1024"), std::string::npos);
  EXPECT_EQ(limit(gqa("prefill", 1, 1, 256, 256), Dtype::bf16), "");
  EXPECT_EQ(limit(gqa("prefill", 1, 1, 20, 17), Dtype::f32), "");
}

}  // namespace
}  // namespace chokepoint
