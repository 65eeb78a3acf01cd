// Do the arrays that a device copies, gathers and adds up by cover every row once?
#include "kernels/moe_layer/device_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "kernels/moe_layer/imposed_ids.hpp"

namespace chokepoint::moe {
namespace {

using Ids = std::vector<std::int32_t>;

struct Case {
  Placement placement;
  std::int64_t top_k, tokens;
};

const Case kCases[] = {
    {{.experts = 8, .ep = 1, .node_size = 8}, 2, 5},   {{.experts = 8, .ep = 8, .node_size = 8}, 3, 17},
    {{.experts = 8, .ep = 8, .node_size = 1}, 3, 17},  {{.experts = 32, .ep = 16, .node_size = 2}, 5, 64},
    {{.experts = 32, .ep = 16, .node_size = 8}, 4, 1}, {{.experts = 64, .ep = 32, .node_size = 8}, 8, 200},
};

Ids ids_of(const Case& c) { return zipf_ids({.experts = c.placement.experts, .top_k = c.top_k}, c.tokens); }

DevicePlan plan_of(const Case& c, const Ids& ids) {
  return device_plan(plan_exchange(c.placement, c.top_k, ids, std::vector<float>(ids.size(), 0.0F), 1));
}

// Sorted and joined.
Ids joined(std::initializer_list<const Ids*> parts) {
  Ids all;
  for (const Ids* part : parts) all.insert(all.end(), part->begin(), part->end());
  std::sort(all.begin(), all.end());
  return all;
}

Ids counted(std::int64_t count) {
  Ids numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(device_plan, every_row_of_the_experts_every_choice_and_every_returned_row_is_added_once) {
  for (const Case& c : kCases) {
    const Ids ids = ids_of(c);
    const DevicePlan plan = plan_of(c, ids);
    const std::int64_t choices = c.tokens * c.top_k;
    EXPECT_EQ(plan.expert_rows(), choices);
    EXPECT_EQ(joined({&plan.to_link.use_row, &plan.to_network.use_row, &plan.to_tokens.use_row}), counted(choices));
    EXPECT_EQ(joined({&plan.to_link.use_choice, &plan.to_network.use_choice, &plan.to_tokens.use_choice}),
              counted(choices));
    EXPECT_TRUE(plan.to_link.term_row.empty());
    EXPECT_EQ(joined({&plan.to_network.term_row, &plan.to_tokens.term_row}),
              counted(plan.link_rows + plan.network_rows));
    EXPECT_EQ(plan.to_link.rows(), plan.link_rows);
    EXPECT_EQ(plan.to_network.rows(), plan.network_rows);
    EXPECT_EQ(plan.to_tokens.rows(), c.tokens);
  }
}

// Follows numbers instead of rows: token t starts as t, every copy and sum is done by the plan's arrays, and what
// comes back has to be the token's own number times the sum of its weights, through the experts it chose.
TEST(device_plan, what_comes_back_to_a_token_is_what_its_experts_made_of_it) {
  for (const Case& c : kCases) {
    const Ids ids = ids_of(c);
    const DevicePlan plan = plan_of(c, ids);
    std::vector<double> inbox(static_cast<std::size_t>(plan.inbox_rows()));
    for (std::int64_t token = 0; token < c.tokens; ++token)
      inbox[static_cast<std::size_t>(token)] = static_cast<double>(token + 1);
    auto next = static_cast<std::size_t>(c.tokens);
    for (std::int32_t from : plan.network_from) inbox[next++] = inbox[static_cast<std::size_t>(from)];
    for (std::int32_t from : plan.link_from) inbox[next++] = inbox[static_cast<std::size_t>(from)];
    std::vector<double> results(static_cast<std::size_t>(plan.expert_rows()));
    for (std::size_t expert = 0; expert + 1 < plan.expert_begin.size(); ++expert)
      for (auto row = static_cast<std::size_t>(plan.expert_begin[expert]);
           row < static_cast<std::size_t>(plan.expert_begin[expert + 1]); ++row)
        results[row] = inbox[static_cast<std::size_t>(plan.expert_inbox[row])] * static_cast<double>(expert + 1);
    const auto weight = [](std::int32_t choice) { return 1.0 + 0.25 * choice; };
    std::vector<double> returned;
    const auto add_up = [&](const SummedRows& sums) {
      std::vector<double> out;
      for (std::size_t row = 0; row < static_cast<std::size_t>(sums.rows()); ++row) {
        double sum = 0.0;
        for (auto u = static_cast<std::size_t>(sums.use_begin[row]); u < static_cast<std::size_t>(sums.use_begin[row + 1]);
             ++u)
          sum += weight(sums.use_choice[u]) * results[static_cast<std::size_t>(sums.use_row[u])];
        for (auto t = static_cast<std::size_t>(sums.term_begin[row]);
             t < static_cast<std::size_t>(sums.term_begin[row + 1]); ++t)
          sum += returned.at(static_cast<std::size_t>(sums.term_row[t]));
        out.push_back(sum);
      }
      return out;
    };
    returned = add_up(plan.to_link);
    const std::vector<double> from_nodes = add_up(plan.to_network);
    returned.insert(returned.end(), from_nodes.begin(), from_nodes.end());
    const std::vector<double> output = add_up(plan.to_tokens);
    for (std::int64_t token = 0; token < c.tokens; ++token) {
      double expected = 0.0;
      for (std::int64_t k = 0; k < c.top_k; ++k) {
        const auto choice = static_cast<std::int32_t>(token * c.top_k + k);
        const std::int64_t local = ids[static_cast<std::size_t>(choice)] % c.placement.experts_per_rank();
        expected += weight(choice) * static_cast<double>((token + 1) * (local + 1));
      }
      EXPECT_NEAR(output[static_cast<std::size_t>(token)], expected, 1e-9 * expected);
    }
  }
}

TEST(device_plan, counts_the_experts_that_have_rows) {
  // Experts 1 and 5 of 8 are local experts 1 and 1 of 4 on each of two ranks.
  const Ids ids = {1, 5};
  EXPECT_EQ(plan_of({{.experts = 8, .ep = 2}, 2, 1}, ids).experts_hit, 1);
  EXPECT_EQ(plan_of({{.experts = 8, .ep = 1}, 2, 1}, ids).experts_hit, 2);
}

}  // namespace
}  // namespace chokepoint::moe
