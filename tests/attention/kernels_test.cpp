// Both kernels against the reference over the forms of attention, and what they charge.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/attention/attention.hpp"
#include "kernels/kernel_choices.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

struct Form {
  std::string name;
  Shape shape;
};

Shape with(Shape shape, std::initializer_list<std::pair<const std::string, std::int64_t>> numbers) {
  for (const auto& [field, value] : numbers) shape.set(field, value);
  return shape;
}

Shape gqa(const char* mode, std::int64_t heads_q, std::int64_t heads_kv, std::int64_t qk_dim,
          std::int64_t v_dim) {
  return {{"mode", mode}, {"heads_q", heads_q}, {"heads_kv", heads_kv}, {"qk_dim", qk_dim}, {"v_dim", v_dim}};
}

Shape mla(const char* mode, std::int64_t heads) {
  const bool decode = std::string(mode) == "decode";
  return {{"mode", mode},
          {"variant", "mla"},
          {"heads_q", heads},
          {"heads_kv", decode ? 1 : heads},
          {"qk_dim", decode ? 576 : 192},
          {"v_dim", decode ? 512 : 128},
          {"scale_dim", 192}};
}

// Every form once per kernel and dtype; sizes are chosen to end inside tiles, panels and pages.
std::vector<Form> forms() {
  std::vector<Form> forms;
  const auto add = [&](const std::string& name, const Shape& shape) { forms.push_back({name, shape}); };
  for (std::int64_t context : {1, 63, 64, 65, 257, 521}) {
    const std::string tail = "_context_" + std::to_string(context);
    add("mha_prefill" + tail, with(gqa("prefill", 2, 2, 40, 24), {{"seq_q", context}, {"context", context}}));
    add("gqa_decode" + tail, with(gqa("decode", 8, 2, 64, 48), {{"batch", 2}, {"context", context}}));
    add("one_query_prefill" + tail, with(gqa("prefill", 3, 3, 17, 5), {{"context", context}}));
  }
  for (std::int64_t causal : {0, 1}) {
    const std::string tail = causal == 1 ? "_causal" : "_full";
    const auto some = [&](Shape shape, std::int64_t seq_q, std::int64_t context) {
      return with(std::move(shape), {{"seq_q", seq_q}, {"context", context}, {"causal", causal}});
    };
    add("gqa_8_2" + tail, with(some(gqa("prefill", 8, 2, 32, 32), 100, 157), {{"batch", 2}}));
    add("gqa_6_3" + tail, some(gqa("prefill", 6, 3, 33, 65), 70, 70));
    add("mqa_5_1" + tail, some(gqa("prefill", 5, 1, 64, 16), 53, 400));
    add("mla_prefill" + tail, some(mla("prefill", 3), 97, 300));
    add("mla_decode" + tail, with(some(mla("decode", 16), 2, 263), {{"batch", 2}, {"page_size", 16}}));
    add("mla_decode_128_heads" + tail, some(mla("decode", 128), 1, 150));
    add("ragged_prefill" + tail,
        with(some(gqa("prefill", 4, 2, 24, 24), 30, 301), {{"batch", 3}, {"ragged", 1}}));
    for (std::int64_t page_size : {1, 16, 64}) {
      const std::string pages = "_pages_of_" + std::to_string(page_size) + tail;
      add("ragged_decode" + pages, with(some(gqa("decode", 6, 3, 40, 24), 3, 131),
                                        {{"batch", 4}, {"ragged", 1}, {"page_size", page_size}}));
      add("thick_decode" + pages,  // more rows than are read in place
          with(some(gqa("decode", 12, 1, 40, 72), 3, 131),
               {{"batch", 2}, {"ragged", 1}, {"page_size", page_size}}));
    }
  }
  add("more_queries_than_keys",
      with(gqa("prefill", 2, 1, 16, 16), {{"seq_q", 200}, {"context", 7}, {"causal", 0}}));
  return forms;
}

class EveryKernel : public testing::TestWithParam<std::tuple<const char*, Dtype>> {};

TEST_P(EveryKernel, agrees_with_the_reference_in_every_form) {
  const auto [kernel, dtype] = GetParam();
  for (const Form& form : forms()) {
    Prepared prepared("attention", kernel, form.shape, dtype);
    EXPECT_LT(prepared.error(), prepared.problem->tolerance()) << form.name;
  }
}

TEST_P(EveryKernel, charges_exactly_the_work_in_every_form) {
  const auto [kernel, dtype] = GetParam();
  for (const Form& form : forms()) {
    const Work charged_work = charged("attention", kernel, form.shape, dtype);
    const Work expected =
        find_operation("attention").work(complete_shape(find_operation("attention"), form.shape), dtype);
    EXPECT_EQ(charged_work.flop, expected.flop) << form.name;
    EXPECT_EQ(charged_work.memory_bytes, expected.memory_bytes) << form.name;
  }
}

// A launch cannot end before its bytes are through, whatever it computes: 2 MiB (bf16) at 40 MB/s take 52 ms.
TEST_P(EveryKernel, waits_for_the_memory_it_charged) {
  const auto [kernel, dtype] = GetParam();
  constexpr double kBytesPerS = 40e6;
  for (const char* mode : {"prefill", "decode"}) {
    RateClock memory(kBytesPerS);
    Prepared prepared("attention", kernel, with(gqa(mode, 16, 16, 64, 64), {{"context", 512}}), dtype,
                      {.memory = &memory});
    const auto start = std::chrono::steady_clock::now();
    prepared.run();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_GE(seconds, 0.999 * prepared.problem->work().memory_bytes / kBytesPerS) << mode;
  }
}

TEST(cpu_native, charges_tile_by_tile) {
  CountingPace clocks;
  const Shape shape = with(gqa("decode", 8, 1, 128, 128), {{"context", 4096}});
  Prepared prepared("attention", "cpu_native", shape, Dtype::bf16, clocks.pace());
  prepared.run();
  // Tiles of at most 256 keys, 16 of them: a 16th of keys and values each, and q and the output with the
  // first.
  const double kv_bytes = 4096.0 * 256 * 2, row_bytes = 8.0 * 256 * 2;
  EXPECT_GE(clocks.memory.reservations(), 16);
  EXPECT_LE(clocks.memory.largest(), kv_bytes / 16 + row_bytes);
  EXPECT_EQ(clocks.memory.waits(), clocks.memory.reservations());
}

TEST_P(EveryKernel, repeats_itself) {
  const auto [kernel, dtype] = GetParam();
  Prepared prepared("attention", kernel,
                    with(gqa("prefill", 4, 2, 24, 24), {{"seq_q", 150}, {"context", 300}}), dtype);
  const Tensor first = prepared.run();
  EXPECT_EQ(std::memcmp(first.data(), prepared.run().data(), static_cast<std::size_t>(first.bytes())), 0);
}

// Scores of +-10^6: the largest key takes all the weight, and nothing overflows on the way.
TEST_P(EveryKernel, extreme_scores_pick_the_best_key) {
  const auto [kernel, dtype] = GetParam();
  for (const char* mode : {"prefill", "decode"}) {
    const Operation& operation = find_operation("attention");
    const Shape shape = complete_shape(
        operation, with(gqa(mode, 4, 2, 16, 8), {{"seq_q", 3}, {"context", 300}, {"causal", 0}}));
    AttentionProblem problem(shape, dtype, {});
    for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 1000.0 * problem.q.at(i));
    Tensor& keys = problem.sizes.decode ? problem.kv_cache : problem.k;
    for (std::int64_t t = 0; t < 300; ++t)
      for (std::int64_t head = 0; head < 2; ++head)
        for (std::int64_t d = 0; d < 16; ++d) {
          const std::int64_t at = problem.key_at(0, head, t) + d;
          keys.set(at, 1000.0 * keys.at(at));
        }
    UnusedDevice device;
    const auto launch = find_kernel("attention", kernel).prepare(problem, device, {});
    launch->output().poison();
    launch->run();
    std::vector<std::int64_t> rows(12);
    for (std::int64_t row = 0; row < 12; ++row) rows[static_cast<std::size_t>(row)] = row;
    const std::vector<double> reference = problem.reference(rows);
    for (std::int64_t i = 0; i < launch->output().count(); ++i)
      EXPECT_NEAR(launch->output().at(i), reference[static_cast<std::size_t>(i)],
                  dtype == Dtype::bf16 ? 0.02 : 1e-5);
  }
}

TEST_P(EveryKernel, equal_scores_of_any_size_give_the_mean) {
  const auto [kernel, dtype] = GetParam();
  for (double size : {0.0, 1e-30, 1e9}) {
    const Operation& operation = find_operation("attention");
    const Shape shape =
        complete_shape(operation, with(gqa("prefill", 20, 1, 4, 4), {{"seq_q", 9}, {"context", 320}}));
    AttentionProblem problem(shape, dtype, {});
    for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, size);
    for (std::int64_t i = 0; i < problem.k.count(); ++i) problem.k.set(i, size);
    for (std::int64_t i = 0; i < problem.v.count(); ++i) problem.v.set(i, 3.0);
    UnusedDevice device;
    const auto launch = find_kernel("attention", kernel).prepare(problem, device, {});
    launch->run();
    for (std::int64_t i = 0; i < launch->output().count(); ++i)
      ASSERT_NEAR(launch->output().at(i), 3.0, 1e-5) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(attention, EveryKernel,
                         testing::Combine(testing::Values("cpu_reference", "cpu_native"),
                                          testing::Values(Dtype::f32, Dtype::bf16)),
                         [](const auto& parameters) {
                           return std::string(std::get<0>(parameters.param)) + "_" +
                                  std::string(to_string(std::get<1>(parameters.param)));
                         });

// Rows that are read in place, that pack their own keys, and that share packed ones.
TEST(attention_choices, every_configuration_of_cpu_native_is_right_and_the_plans_own_comes_first) {
  const KernelChoices& choices = *find_choices("attention", "cpu_native");
  for (const Shape& form : {with(gqa("decode", 8, 2, 40, 24), {{"batch", 2}, {"context", 521}, {"ragged", 1}}),
                            with(gqa("decode", 64, 1, 40, 24), {{"context", 521}}),
                            with(gqa("prefill", 3, 1, 40, 24), {{"seq_q", 90}, {"context", 521}})}) {
    const Shape shape = complete_shape(find_operation("attention"), form);
    const AttentionProblem problem(shape, Dtype::bf16, {});
    UnusedDevice device;
    const std::vector<std::string> names = choices.configurations(shape, Dtype::bf16, device);
    EXPECT_GE(names.size(), 8U);
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    for (const std::string& name : names) {
      const auto launch = choices.prepare(problem, device, Pace{}, name);
      launch->poison();
      launch->run();
      EXPECT_LE(errors_of(problem, launch->output()).worst, problem.tolerance()) << name << " " << shape.text();
    }
    EXPECT_THROW(choices.prepare(problem, device, Pace{}, "keys=17,parts=1"), Error);
  }
}

}  // namespace
}  // namespace chokepoint
