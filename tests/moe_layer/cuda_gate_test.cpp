// Does the gate on a GPU choose and weigh as routing.hpp has it, ties, groups and biases included? Emulated.
#include "tests/cuda_emulator/emulator.hpp"
// The emulator comes first.
#include <gtest/gtest.h>

#include "harness/base/dtype.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "kernels/moe_layer/cuda_gate.cuh"
#include "kernels/moe_layer/routing.hpp"

namespace chokepoint::moe {
namespace {

using Ids = std::vector<std::int32_t>;
using Floats = std::vector<float>;

// Within +-1.
Floats noise(std::size_t count, const char* name) {
  Floats values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(2.0 * random_unit(1, fnv1a(name), i) - 1.0);
  return values;
}

// ---- Logits ----

struct Sizes {
  std::int64_t tokens, experts, hidden, blocks;
};

template <class T>
void expect_logits(const Sizes& sizes) {
  SCOPED_TRACE(testing::Message() << sizes.tokens << " x " << sizes.experts << " x " << sizes.hidden);
  const auto stored = [](const Floats& values) {
    std::vector<T> bits(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if constexpr (sizeof(T) == 2)
        bits[i] = bf16_from_float(values[i]);
      else
        bits[i] = values[i];
    }
    return bits;
  };
  const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
  // Aligned as memory of a device is.
  struct alignas(16) Vector {
    T values[16 / sizeof(T)];
  };
  const auto aligned = [&](const std::vector<T>& values) {
    std::vector<Vector> memory(values.size() * sizeof(T) / sizeof(Vector) + 1);
    std::memcpy(memory.data(), values.data(), values.size() * sizeof(T));
    return memory;
  };
  const std::vector<T> x = stored(noise(size(sizes.tokens * sizes.hidden), "x"));
  const std::vector<T> weight = stored(noise(size(sizes.experts * sizes.hidden), "weight"));
  const auto device_x = aligned(x), device_weight = aligned(weight);
  unsigned mismatches = 7;
  DeviceClock compute, memory;
  GateLogits task{.x = device_x.data(),
                  .gate_weight = device_weight.data(),
                  .tokens = sizes.tokens,
                  .experts = sizes.experts,
                  .hidden = sizes.hidden,
                  .mismatches = &mismatches,
                  .memory_bytes = 1000003.0,
                  .pace = {.compute = &compute, .memory = &memory}};
  cut_gate(task, sizes.blocks);
  Floats partial(size(task.splits * sizes.tokens * sizes.experts), NAN);
  task.partial = partial.data();
  emulator::launch(gate_logits<T>,
                   dim3(static_cast<unsigned>(task.expert_tiles()), static_cast<unsigned>(task.token_tiles()),
                        static_cast<unsigned>(task.splits)),
                   dim3(kGateThreads), 0, task);
  for (std::int64_t token = 0; token < sizes.tokens; ++token)
    for (std::int64_t expert = 0; expert < sizes.experts; ++expert) {
      double expected = 0.0, found = 0.0;
      for (std::int64_t i = 0; i < sizes.hidden; ++i)
        expected += static_cast<double>(value_of(x[size(token * sizes.hidden + i)])) *
                    static_cast<double>(value_of(weight[size(expert * sizes.hidden + i)]));
      for (std::int64_t s = 0; s < task.splits; ++s)
        found += static_cast<double>(partial[size((s * sizes.tokens + token) * sizes.experts + expert)]);
      ASSERT_NEAR(found, expected, 1e-6 * static_cast<double>(sizes.hidden)) << token << " " << expert;
    }
  EXPECT_EQ(mismatches, 0U);
  EXPECT_EQ(compute.charged, static_cast<std::uint64_t>(2 * sizes.tokens * sizes.experts * sizes.hidden));
  EXPECT_EQ(memory.charged, 1000003U);
}

TEST(cuda_gate, logits_are_those_of_double_on_whole_and_ragged_tiles_cut_or_not) {
  for (const Sizes& sizes : {Sizes{1, 1, 1, 264}, Sizes{3, 5, 7, 264}, Sizes{64, 64, 32, 1}, Sizes{65, 67, 129, 1},
                             Sizes{2, 8, 1024, 264}, Sizes{5, 130, 1000, 20}, Sizes{70, 3, 520, 264}}) {
    expect_logits<float>(sizes);
    expect_logits<std::uint16_t>(sizes);
  }
}

TEST(cuda_gate, k_is_cut_only_where_tokens_and_experts_leave_blocks_idle) {
  GateLogits wide{.tokens = 4096, .experts = 256, .hidden = 7168};
  cut_gate(wide, 264);
  EXPECT_EQ(wide.splits, 1);
  EXPECT_EQ(wide.split_length, 7168);
  GateLogits narrow{.tokens = 64, .experts = 256, .hidden = 7168};  // 4 tiles
  cut_gate(narrow, 264);
  EXPECT_EQ(narrow.splits, 32);
  EXPECT_EQ(narrow.split_length, 224);  // 7 slices of 32
}

// ---- Choices ----

struct Choice {
  Floats weights;
  unsigned mismatches = 0;
};

// One warp per token; the logits of two splits.
Choice choose_on_device(const GateRule& rule, const Floats& logits, const Floats& bias, const Ids& ids,
                        bool gate_decides) {
  const auto tokens = static_cast<std::int64_t>(logits.size()) / rule.experts;
  Floats partial(2 * logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    partial[i] = logits[i] * 0.25F;
    partial[logits.size() + i] = logits[i] * 0.75F;
  }
  Choice choice{.weights = Floats(ids.size(), NAN)};
  const GateChoice task{.partial = partial.data(),
                        .splits = 2,
                        .tokens = tokens,
                        .experts = static_cast<int>(rule.experts),
                        .top_k = static_cast<int>(rule.top_k),
                        .groups = static_cast<int>(rule.groups),
                        .group_limit = static_cast<int>(rule.group_limit),
                        .sigmoid = rule.scoring == Scoring::sigmoid,
                        .renormalise = rule.renormalise,
                        .routed_scaling = static_cast<float>(rule.routed_scaling),
                        .bias = bias.empty() ? nullptr : bias.data(),
                        .ids = ids.data(),
                        .gate_decides = gate_decides,
                        .weights = choice.weights.data(),
                        .mismatches = &choice.mismatches};
  const int warps = choice_warps(rule.experts, rule.groups);
  emulator::launch(gate_choose, dim3(static_cast<unsigned>((tokens + warps - 1) / warps)),
                   dim3(static_cast<unsigned>(32 * warps)),
                   static_cast<std::size_t>(warps * choice_bytes_per_warp(rule.experts, rule.groups)), task);
  return choice;
}

struct Expected {
  Ids ids;
  Floats weights;
};

Expected choose_on_host(const GateRule& rule, const Floats& logits, const Floats& bias) {
  const auto experts = static_cast<std::size_t>(rule.experts), top_k = static_cast<std::size_t>(rule.top_k);
  Expected expected;
  for (std::size_t first = 0; first < logits.size(); first += experts) {
    Floats scores(experts), selection(experts), weights(top_k);
    Ids ids(top_k);
    gate_scores<float>(rule, std::span(logits).subspan(first, experts), scores);
    for (std::size_t e = 0; e < experts; ++e) selection[e] = scores[e] + (bias.empty() ? 0.0F : bias[e]);
    choose<float>(rule, selection, ids);
    gate_weights<float>(rule, scores, ids, weights);
    expected.ids.insert(expected.ids.end(), ids.begin(), ids.end());
    expected.weights.insert(expected.weights.end(), weights.begin(), weights.end());
  }
  return expected;
}

void expect_same_choice(const GateRule& rule, const Floats& logits, const Floats& bias) {
  const Expected expected = choose_on_host(rule, logits, bias);
  const Choice found = choose_on_device(rule, logits, bias, expected.ids, true);
  EXPECT_EQ(found.mismatches, 0U);
  for (std::size_t i = 0; i < expected.weights.size(); ++i)
    ASSERT_NEAR(found.weights[i], expected.weights[i], 1e-5F * static_cast<float>(rule.routed_scaling)) << i;
  // Had it chosen anything else, it would say so: the last choice of every token becomes an expert not chosen.
  if (rule.top_k == rule.experts) return;
  Ids others = expected.ids;
  const auto top_k = static_cast<std::size_t>(rule.top_k);
  for (std::size_t first = 0; first < others.size(); first += top_k) {
    std::int32_t free = 0;
    while (std::count(others.begin() + static_cast<std::ptrdiff_t>(first),
                      others.begin() + static_cast<std::ptrdiff_t>(first + top_k), free) > 0)
      ++free;
    others[first + top_k - 1] = free;
  }
  EXPECT_EQ(choose_on_device(rule, logits, bias, others, true).mismatches, others.size() / top_k);
  EXPECT_EQ(choose_on_device(rule, logits, bias, others, false).mismatches, 0U);
}

const GateRule kRules[] = {
    {.experts = 1, .top_k = 1},
    {.experts = 3, .top_k = 2},
    {.experts = 5, .top_k = 5, .routed_scaling = 2.5},
    {.experts = 67, .top_k = 6, .renormalise = false},
    {.experts = 256, .top_k = 8},
    {.scoring = Scoring::sigmoid, .experts = 8, .top_k = 3, .groups = 4, .group_limit = 2},
    {.scoring = Scoring::sigmoid, .experts = 6, .top_k = 3, .groups = 6, .group_limit = 4},  // groups of one
    {.scoring = Scoring::sigmoid, .experts = 256, .top_k = 8, .groups = 8, .group_limit = 4, .routed_scaling = 2.5},
    {.experts = 99, .top_k = 4, .groups = 3, .group_limit = 1},
};

TEST(cuda_gate, chooses_and_weighs_as_on_the_host) {
  for (const GateRule& rule : kRules) {
    SCOPED_TRACE(testing::Message() << rule.experts << " experts");
    Floats logits = noise(static_cast<std::size_t>(rule.experts * 7), "logits");
    for (float& logit : logits) logit *= 4.0F;
    expect_same_choice(rule, logits, {});
    expect_same_choice(rule, logits, noise(static_cast<std::size_t>(rule.experts), "bias"));
  }
}

// Logits that take three values only: nearly every choice is a tie.
TEST(cuda_gate, ties_go_to_the_smaller_index_of_groups_and_experts) {
  for (const GateRule& rule : kRules) {
    SCOPED_TRACE(testing::Message() << rule.experts << " experts");
    Floats logits = noise(static_cast<std::size_t>(rule.experts * 7), "ties");
    for (float& logit : logits) logit = std::floor(logit * 1.5F);
    expect_same_choice(rule, logits, {});
    expect_same_choice(rule, Floats(logits.size(), 0.0F), {});
  }
}

TEST(cuda_gate, the_order_of_the_choices_within_a_token_does_not_matter) {
  const GateRule rule{.experts = 8, .top_k = 3};
  const Floats logits = noise(8, "logits");
  Expected expected = choose_on_host(rule, logits, {});
  std::reverse(expected.ids.begin(), expected.ids.end());
  std::reverse(expected.weights.begin(), expected.weights.end());
  const Choice found = choose_on_device(rule, logits, {}, expected.ids, true);
  EXPECT_EQ(found.mismatches, 0U);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(found.weights[i], expected.weights[i], 1e-6F);
}

TEST(cuda_gate, scores_that_underflow_share_alike) {
  const GateRule rule{.experts = 4, .top_k = 2};
  // exp(-200) is 0 in f32: experts 1 and 2 are imposed, expert 0 has all of the score.
  const Choice found = choose_on_device(rule, {0.0F, -200.0F, -200.0F, -200.0F}, {}, {1, 2}, false);
  EXPECT_EQ(found.weights, (Floats{0.5F, 0.5F}));
}

TEST(cuda_gate, as_many_warps_per_block_as_shared_memory_holds) {
  EXPECT_EQ(choice_warps(256, 8), 4);
  EXPECT_EQ(choice_warps(6000, 1), 2);
  EXPECT_EQ(choice_warps(12287, 1), 1);
  EXPECT_EQ(choice_warps(12288, 1), 0);  // one float too many for 48 KiB
}

}  // namespace
}  // namespace chokepoint::moe
