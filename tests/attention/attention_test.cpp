// The operation attention: work counts, layouts, lengths, the reference by hand, and shapes that make no
// sense.
#include "kernels/attention/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <set>

#include "tests/kernels/check.hpp"

namespace chokepoint {
namespace {

const Operation& attention() { return find_operation("attention"); }

Work work_of(const Shape& shape, Dtype dtype) {
  return attention().work(complete_shape(attention(), shape), dtype);
}

AttentionProblem problem_of(const Shape& shape, Dtype dtype = Dtype::f32, const InputSpec& inputs = {}) {
  return {complete_shape(attention(), shape), dtype, inputs};
}

Shape mla_decode(std::int64_t context) {
  return {{"mode", "decode"}, {"variant", "mla"}, {"heads_q", 128},     {"heads_kv", 1},
          {"qk_dim", 576},    {"v_dim", 512},     {"context", context}, {"scale_dim", 192}};
}

TEST(attention_work, absorbed_mla_decode_costs_what_deepseek_v3_s_shapes_say) {
  // 2 * 128 heads * S * (576 + 512) FLOP per token: 1.141 GFLOP at 4096, 1.390 at 4989; 576 bf16 numbers per
  // key.
  const Work at_4096 = work_of(mla_decode(4096), Dtype::bf16),
             at_4989 = work_of(mla_decode(4989), Dtype::bf16);
  EXPECT_NEAR(at_4096.flop, 1.141e9, 0.0005e9);
  EXPECT_NEAR(at_4989.flop, 1.390e9, 0.0005e9);
  const double q_and_output_bytes = 2.0 * 128 * (576 + 512);
  EXPECT_EQ(at_4096.memory_bytes - q_and_output_bytes, 1152.0 * 4096);
  EXPECT_EQ(at_4989.memory_bytes - q_and_output_bytes, 1152.0 * 4989);
  EXPECT_EQ(at_4096.tokens, 1);
}

TEST(attention_work, causal_prefill_counts_the_attended_pairs_only) {
  // 1 + 2 + ... + 7 = 28 pairs per head, 7 * 7 = 49 without the mask; 2 * (192 + 128) FLOP each.
  Shape shape{{"variant", "mla"}, {"heads_q", 3}, {"qk_dim", 192},
              {"v_dim", 128},     {"seq_q", 7},   {"context", 7}};
  EXPECT_EQ(work_of(shape, Dtype::f32).flop, 3.0 * 28 * 640);
  shape.set("causal", std::int64_t{0});
  EXPECT_EQ(work_of(shape, Dtype::f32).flop, 3.0 * 49 * 640);
  EXPECT_EQ(work_of(shape, Dtype::f32).memory_bytes, 4.0 * 3 * 7 * 2 * (192 + 128));
  EXPECT_EQ(work_of(shape, Dtype::bf16).memory_bytes, 2.0 * 3 * 7 * 2 * (192 + 128));
}

TEST(attention_work, prefill_of_4096_tokens_costs_0_1678_gflop_per_token) {
  // DeepSeek-V3, per layer: 2 * S/2 * (192 + 128) * 128, and half a key more for the diagonal.
  const Work work = work_of({{"variant", "mla"},
                             {"heads_q", 128},
                             {"qk_dim", 192},
                             {"v_dim", 128},
                             {"seq_q", 4096},
                             {"context", 4096}},
                            Dtype::bf16);
  EXPECT_EQ(work.tokens, 4096);
  EXPECT_NEAR(work.flop / work.tokens, 0.1678e9, 0.0001e9);
}

TEST(attention_work, grouped_queries_share_the_bytes_of_their_keys_but_not_the_flop) {
  const Shape shape{{"heads_q", 8}, {"heads_kv", 2}, {"qk_dim", 16},
                    {"v_dim", 8},   {"seq_q", 3},    {"context", 10}};
  // Queries see 8, 9 and 10 keys.
  EXPECT_EQ(work_of(shape, Dtype::f32).flop, 8.0 * 27 * 2 * 24);
  EXPECT_EQ(work_of(shape, Dtype::f32).memory_bytes, 4.0 * (3 * 8 * 24 + 10 * 2 * 24));
}

TEST(attention_work, work_is_the_same_with_and_without_inputs) {
  for (const char* mode : {"prefill", "decode"})
    for (std::int64_t ragged : {0, 1})
      for (std::uint64_t seed : {1U, 2U}) {
        const Shape shape{{"mode", mode},    {"batch", 5},      {"heads_q", 4}, {"heads_kv", 2},
                          {"qk_dim", 8},     {"v_dim", 4},      {"seq_q", 2},   {"context", 37},
                          {"page_size", 16}, {"ragged", ragged}};
        const Work built = problem_of(shape, Dtype::bf16, {.seed = seed}).work();
        const Work counted = work_of(shape, Dtype::bf16);
        EXPECT_EQ(built.flop, counted.flop);
        EXPECT_EQ(built.memory_bytes, counted.memory_bytes);
        EXPECT_EQ(built.tokens, 10);
      }
}

TEST(attention_work, charges_add_up_to_the_work_where_counts_exceed_the_53_bits_of_a_double) {
  for (std::int64_t context = 107551; context < 107591; ++context) {
    const Shape shape = complete_shape(attention(), {{"heads_q", 7},
                                                     {"heads_kv", 1},
                                                     {"qk_dim", 577},
                                                     {"v_dim", 511},
                                                     {"seq_q", 90001},
                                                     {"context", context}});
    const AttentionSizes sizes = attention_sizes(shape);
    const AttentionCost cost(sizes, Dtype::bf16);
    double flop = 0.0, bytes = 0.0;
    for (std::int64_t row = 0; row < sizes.rows_per_kv(); row += 70001) {
      const Charge charge = cost.charge(0, row, std::min(row + 70001, sizes.rows_per_kv()), 0, context);
      flop += charge.flop;
      bytes += charge.memory_bytes;
    }
    ASSERT_EQ(bytes, cost.work().memory_bytes) << context;
    ASSERT_NEAR(flop / cost.work().flop, 1.0, 1e-12) << context;
  }
}

TEST(attention_problem, ragged_lengths_lie_between_half_of_the_context_and_all_of_it) {
  const AttentionProblem problem = problem_of({{"mode", "decode"},
                                               {"batch", 200},
                                               {"heads_q", 1},
                                               {"qk_dim", 4},
                                               {"v_dim", 4},
                                               {"context", 7},
                                               {"ragged", 1}});
  std::set<std::int64_t> seen;
  for (std::int64_t b = 0; b < 200; ++b) {
    EXPECT_EQ(problem.context_lengths.at(b), problem.sizes.context_length[static_cast<std::size_t>(b)]);
    seen.insert(problem.sizes.context_length[static_cast<std::size_t>(b)]);
  }
  EXPECT_EQ(seen, (std::set<std::int64_t>{4, 5, 6, 7}));
}

TEST(attention_problem, pages_are_shuffled_each_used_once_and_drawn_from_the_seed) {
  const Shape shape{{"mode", "decode"}, {"batch", 3}, {"heads_q", 2},  {"heads_kv", 1},
                    {"qk_dim", 4},      {"v_dim", 4}, {"context", 65}, {"page_size", 4}};
  const AttentionProblem problem = problem_of(shape), other = problem_of(shape, Dtype::f32, {.seed = 2});
  EXPECT_EQ(problem.block_table.dims(), (std::vector<std::int64_t>{3, 17}));
  std::set<std::int32_t> pages;
  int in_place = 0, same = 0;
  for (std::size_t i = 0; i < 51; ++i) {
    const std::int32_t page = problem.block_table.as<std::int32_t>()[i];
    pages.insert(page);
    in_place += page == static_cast<std::int32_t>(i) ? 1 : 0;
    same += page == other.block_table.as<std::int32_t>()[i] ? 1 : 0;
  }
  EXPECT_EQ(pages.size(), 51U);
  EXPECT_EQ(*pages.rbegin(), 50);
  EXPECT_LT(in_place, 8);
  EXPECT_LT(same, 8);
}

TEST(attention_problem, a_token_lies_where_the_layout_text_says) {
  const Shape gqa{{"mode", "decode"}, {"batch", 2}, {"heads_q", 6},  {"heads_kv", 3},
                  {"qk_dim", 8},      {"v_dim", 4}, {"context", 21}, {"page_size", 4}};
  const AttentionProblem problem = problem_of(gqa);
  EXPECT_EQ(problem.kv_cache.dims(), (std::vector<std::int64_t>{12, 3, 4, 12}));
  // Tokens 0 to 3 lie in the slots of the first page of the sequence's row of the table, 4 to 7 in the
  // second, ...
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t head = 0; head < 3; ++head)
      for (std::int64_t column = 0, token = 0; column < 6; ++column)
        for (std::int64_t slot = 0; slot < 4; ++slot, ++token) {
          const auto page = static_cast<std::int64_t>(problem.block_table.at(b * 6 + column));
          const std::int64_t row = (page * 3 + head) * 4 + slot;
          ASSERT_EQ(problem.key_at(b, head, token), row * 12) << token;
          ASSERT_EQ(problem.value_at(b, head, token), row * 12 + 8) << token;
        }

  const AttentionProblem mla = problem_of(mla_decode(70));
  EXPECT_EQ(mla.kv_cache.dims(), (std::vector<std::int64_t>{2, 64, 576}));
  EXPECT_EQ(mla.key_at(0, 0, 65), (static_cast<std::int64_t>(mla.block_table.at(1)) * 64 + 1) * 576);
  EXPECT_EQ(mla.value_at(0, 0, 65), mla.key_at(0, 0, 65));
}

TEST(attention_problem, unused_slots_hold_large_finite_numbers_and_used_ones_do_not) {
  for (const char* mode : {"prefill", "decode"}) {
    const AttentionProblem problem = problem_of({{"mode", mode},
                                                 {"batch", 4},
                                                 {"heads_q", 1},
                                                 {"qk_dim", 16},
                                                 {"v_dim", 16},
                                                 {"context", 50},
                                                 {"page_size", 16},
                                                 {"ragged", 1}},
                                                Dtype::bf16, {.distribution = "uniform"});
    const std::int64_t slots = problem.sizes.decode ? 64 : 50;
    double used = 0.0, unused_rms = 0.0;
    std::int64_t unused = 0;
    for (std::int64_t b = 0; b < 4; ++b)
      for (std::int64_t t = 0; t < slots; ++t)
        for (std::int64_t d = 0; d < 16; ++d) {
          const double key = problem.keys().at(problem.key_at(b, 0, t) + d);
          const double value = problem.values().at(problem.value_at(b, 0, t) + d);
          ASSERT_TRUE(std::isfinite(key) && std::isfinite(value));
          if (t < problem.sizes.context_length[static_cast<std::size_t>(b)]) {
            used = std::max({used, std::abs(key), std::abs(value)});
          } else {
            unused_rms += key * key + value * value;
            unused += 2;
          }
        }
    EXPECT_LE(used, 1.0) << mode;
    EXPECT_GT(std::sqrt(unused_rms / static_cast<double>(unused)), 40.0) << mode;
  }
}

TEST(attention_problem, a_clone_is_independent_and_equal) {
  AttentionProblem problem = problem_of(mla_decode(5));
  const std::unique_ptr<Problem> clone = problem.clone();
  const std::vector<std::int64_t> rows = {0, 127};
  EXPECT_EQ(clone->reference(rows), problem.reference(rows));
  problem.kv_cache.set(problem.key_at(0, 0, 0), 50.0);
  EXPECT_NE(clone->reference(rows), problem.reference(rows));
}

TEST(attention_problem, inputs_are_the_arrays_of_a_dump) {
  const auto roles = [](const AttentionProblem& problem) {
    std::vector<std::string> names;
    for (const Tensor* tensor : problem.inputs()) names.push_back(tensor->role());
    return names;
  };
  Shape shape{{"heads_q", 1}, {"qk_dim", 2}, {"v_dim", 2}, {"context", 3}};
  EXPECT_EQ(roles(problem_of(shape)), (std::vector<std::string>{"q", "k", "v"}));
  shape.set("ragged", std::int64_t{1});
  EXPECT_EQ(roles(problem_of(shape)), (std::vector<std::string>{"q", "k", "v", "context_lengths"}));
  shape.set("mode", "decode");
  EXPECT_EQ(roles(problem_of(shape)),
            (std::vector<std::string>{"q", "kv_cache", "block_table", "context_lengths"}));
}

TEST(attention_reference, two_keys_by_hand) {
  // Scores 0 and ln 3 (scale 1/sqrt(4) of a dot product of 2 ln 3): weights 1/4 and 3/4.
  Shape shape{{"heads_q", 1}, {"qk_dim", 4}, {"v_dim", 1}, {"seq_q", 2}, {"context", 2}};
  AttentionProblem problem = problem_of(shape);
  for (std::int64_t i = 0; i < 8; ++i) problem.q.set(i, i % 4 == 0 ? 1.0 : 0.0);
  for (std::int64_t i = 0; i < 8; ++i)
    problem.k.set(i, i == 4 ? 2.0 * std::log(3.0) : i % 4 == 0 ? 0.0 : 7.0);
  problem.v.set(0, 8.0);
  problem.v.set(1, 16.0);
  const std::vector<std::int64_t> rows = {0, 1};
  const std::vector<double> output = problem.reference(rows);
  EXPECT_NEAR(output[0], 8.0, 1e-12);  // the first query sees the first key only
  EXPECT_NEAR(output[1], 0.25 * 8.0 + 0.75 * 16.0, 1e-6);
}

TEST(attention_reference, equal_keys_give_the_mean_of_the_values_a_query_sees) {
  // 5 query heads on one KV head, q = 0: query i of the last 3 of 7 tokens averages values 0 .. 4 + i.
  AttentionProblem problem = problem_of(
      {{"heads_q", 5}, {"heads_kv", 1}, {"qk_dim", 3}, {"v_dim", 1}, {"seq_q", 3}, {"context", 7}});
  for (std::int64_t i = 0; i < problem.q.count(); ++i) problem.q.set(i, 0.0);
  for (std::int64_t t = 0; t < 7; ++t) problem.v.set(t, static_cast<double>(t));
  std::vector<std::int64_t> rows(15);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<double> output = problem.reference(rows);
  for (std::size_t row = 0; row < 15; ++row)
    EXPECT_NEAR(output[row], 0.5 * (4.0 + static_cast<double>(row / 5)), 1e-9);
}

TEST(attention_shape, nonsense_is_refused_with_the_field_and_the_remedy) {
  const auto error = [](Shape shape, const std::string& field, Shape::Value value) {
    shape.set(field, std::move(value));
    return error_text([&] { complete_shape(attention(), shape); });
  };
  const Shape gqa{{"heads_q", 8}, {"heads_kv", 2}, {"qk_dim", 64}, {"v_dim", 64}, {"context", 100}};
  EXPECT_EQ(
      error(gqa, "heads_kv", std::int64_t{3}),
      "attention: heads_kv is 3, which does not divide heads_q = 8; every KV head serves the same number of "
      "query heads: change one of them");
  EXPECT_NE(error(gqa, "seq_q", std::int64_t{101}).find("seq_q is 101 but the context has only 100 tokens"),
            std::string::npos);
  EXPECT_NE(error(gqa, "variant", "mla").find("heads_kv is 2 in mla prefill"), std::string::npos);
  EXPECT_NE(error(mla_decode(10), "v_dim", std::int64_t{577})
                .find("v_dim is 577 but the cached row of mla decode has"),
            std::string::npos);
  EXPECT_NE(error(mla_decode(10), "heads_kv", std::int64_t{2}).find("set heads_kv=1"), std::string::npos);
  EXPECT_NE(error(gqa, "context", std::int64_t{0}).find("context is 0, outside 1 to"), std::string::npos);
  EXPECT_NE(error(gqa, "context", std::int64_t{1} << 31).find("the limit of each is 2147483647"),
            std::string::npos);
  EXPECT_NE(error(gqa, "mode", "prefil").find("did you mean \"prefill\""), std::string::npos);
  Shape ragged = gqa;
  ragged.set("ragged", std::int64_t{1});
  EXPECT_NE(
      error(ragged, "seq_q", std::int64_t{51}).find("the shortest sequence of a ragged batch has only 50"),
      std::string::npos);
  Shape all_see_all = gqa;
  all_see_all.set("causal", std::int64_t{0});
  EXPECT_EQ(error(all_see_all, "seq_q", std::int64_t{101}), "no error");
}

}  // namespace
}  // namespace chokepoint
