// Does every row arrive where its experts are, once, over the right wire, and in parts that cost one latency?
#include "kernels/moe_layer/exchange.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "harness/base/random.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"
#include "tests/kernels/check.hpp"

namespace chokepoint::moe {
namespace {

using Ids = std::vector<std::int32_t>;

ExchangePlan plan_of(const Placement& placement, std::int64_t top_k, const Ids& ids,
                     std::int64_t segments = 1) {
  return plan_exchange(placement, top_k, ids, std::vector<float>(ids.size(), 0.5F), segments);
}

TEST(exchange, a_token_goes_to_its_ranks_over_the_right_wires) {
  // One expert per rank, two nodes of 8: the own rank, rank 1 of the own node, landing rank 8 and rank 9 of
  // node 1.
  const ExchangePlan plan = plan_of({.experts = 16, .ep = 16, .node_size = 8}, 4, {9, 0, 8, 1});
  ASSERT_EQ(plan.deliveries.size(), 4U);
  const Delivery &own = plan.deliveries[0], &near = plan.deliveries[1], &landing = plan.deliveries[2],
                 &far = plan.deliveries[3];
  EXPECT_EQ(plan.network.count(), 1);
  EXPECT_EQ(plan.link.count(), 2);
  EXPECT_EQ(plan.inbox_rows(), 4);
  EXPECT_EQ(own.inbox_row, 0);
  EXPECT_FALSE(own.link_row || own.network_row);
  EXPECT_TRUE(near.link_row && !near.network_row);
  EXPECT_TRUE(!landing.link_row && landing.network_row);
  EXPECT_TRUE(far.link_row && far.network_row);
  EXPECT_EQ(landing.inbox_row, 1);
  // What rank 9 gets was forwarded by the landing rank; what rank 1 gets is the own row.
  EXPECT_EQ(plan.link.rows[static_cast<std::size_t>(*far.link_row)].from_inbox_row, landing.inbox_row);
  EXPECT_EQ(plan.link.rows[static_cast<std::size_t>(*near.link_row)].from_inbox_row, 0);
}

TEST(exchange, two_experts_of_one_rank_share_a_row) {
  // 8 experts on 4 ranks: experts 2, 3 on rank 1 and 6 on rank 3; ids out of order.
  const ExchangePlan plan = plan_of({.experts = 8, .ep = 4, .node_size = 4}, 3, {6, 3, 2});
  ASSERT_EQ(plan.deliveries.size(), 2U);
  EXPECT_EQ(plan.link.count(), 2);
  EXPECT_EQ(plan.deliveries[0].last_use - plan.deliveries[0].first_use, 2);
  EXPECT_EQ(plan.expert_begin,
            (std::vector<std::int64_t>{0, 2, 3}));  // local expert 0: experts 2 and 6; 1: expert 3
}

TEST(exchange, rows_are_sent_by_destination_within_a_segment) {
  const Placement placement{.experts = 64, .ep = 32, .node_size = 4};
  const Ids ids = zipf_ids({.experts = 64, .top_k = 4}, 61);
  for (std::int64_t segments : {1, 7, 61}) {
    const ExchangePlan plan = plan_of(placement, 4, ids, segments);
    EXPECT_EQ(plan.segments, segments);
    EXPECT_EQ(plan.link.segment_begin.back(), plan.link.count());
    for (std::int64_t s = 0; s < segments; ++s)
      for (std::int64_t row = plan.network.segment_begin[static_cast<std::size_t>(s)];
           row < plan.network.segment_begin[static_cast<std::size_t>(s) + 1]; ++row) {
        const std::int32_t token = plan.network.rows[static_cast<std::size_t>(row)].token;
        EXPECT_GE(token, plan.first_token(s));
        EXPECT_LT(token, plan.first_token(s + 1));
      }
  }
}

struct Case {
  Placement placement;
  std::int64_t top_k, tokens;
};

const Case kCases[] = {
    {{.experts = 8, .ep = 1, .node_size = 8}, 2, 5},   {{.experts = 8, .ep = 8, .node_size = 8}, 3, 17},
    {{.experts = 8, .ep = 8, .node_size = 1}, 3, 17},  {{.experts = 32, .ep = 16, .node_size = 2}, 5, 64},
    {{.experts = 32, .ep = 16, .node_size = 8}, 4, 1}, {{.experts = 64, .ep = 32, .node_size = 8}, 8, 200},
};

TEST(exchange, counts_agree_with_reach_and_every_use_has_a_row) {
  for (const Case& c : kCases) {
    const Ids ids = zipf_ids({.experts = c.placement.experts, .top_k = c.top_k}, c.tokens);
    const ExchangePlan plan = plan_of(c.placement, c.top_k, ids, 8);
    Reach total;
    for (std::int64_t token = 0; token < c.tokens; ++token)
      total += reach_of(c.placement, std::span(ids).subspan(static_cast<std::size_t>(token * c.top_k),
                                                            static_cast<std::size_t>(c.top_k)));
    EXPECT_EQ(plan.network.count(), total.network_rows);
    EXPECT_EQ(plan.link.count(), total.link_rows);
    EXPECT_EQ(std::ssize(plan.deliveries), total.gpus);
    std::set<std::int32_t> rows;
    for (const Use& use : plan.uses) rows.insert(use.row);
    EXPECT_EQ(std::ssize(rows), c.tokens * c.top_k);
    EXPECT_EQ(plan.expert_begin.back(), c.tokens * c.top_k);
  }
}

TEST(exchange, dispatch_brings_every_row_to_its_readers_with_its_scales) {
  constexpr std::int64_t kLength = 130;  // two scale blocks
  for (const Case& c : kCases)
    for (std::int64_t segments : {1, 8}) {
      const Ids ids = zipf_ids({.experts = c.placement.experts, .top_k = c.top_k}, c.tokens);
      const ExchangePlan plan = plan_of(c.placement, c.top_k, ids, segments);
      RowBuffer inbox;
      inbox.resize(plan.inbox_rows(), kLength, Dtype::fp8_e4m3);
      const auto mark = [](std::int64_t token, std::int64_t i) {
        return static_cast<std::byte>((token * 31 + i) % 251);
      };
      for (std::int64_t row = 0; row < plan.inbox_rows(); ++row) {
        for (std::int64_t i = 0; i < kLength; ++i)
          inbox.row(row)[i] = row < c.tokens ? mark(row, i) : std::byte{255};
        for (std::int64_t i = 0; i < 2; ++i)
          inbox.scales(row)[i] = row < c.tokens ? static_cast<float>(2 * row + i) : -1;
      }
      dispatch(plan, inbox.store(), {});
      for (const Delivery& delivery : plan.deliveries) {
        for (std::int64_t i = 0; i < kLength; ++i)
          ASSERT_EQ(inbox.row(delivery.inbox_row)[i], mark(delivery.token, i));
        EXPECT_EQ(inbox.scales(delivery.inbox_row)[1], static_cast<float>(2 * delivery.token + 1));
      }
    }
}

// A message of many parts is one message: both wires, both ways.
TEST(exchange, parts_of_a_message_pay_one_latency_and_all_bytes) {
  const Placement placement{.experts = 64, .ep = 32, .node_size = 8};
  const Ids ids = zipf_ids({.experts = 64, .top_k = 8}, 200);
  const ExchangePlan plan = plan_of(placement, 8, ids, 8);
  RowBuffer inbox;
  inbox.resize(plan.inbox_rows(), 64, Dtype::bf16);
  CountingPace clocks;
  dispatch(plan, inbox.store(), clocks.pace());
  for (const CountingClock* clock : {&clocks.link_send, &clocks.link_receive}) {
    EXPECT_EQ(clock->messages(), 1);
    EXPECT_GT(clock->reservations(), 4);
    EXPECT_EQ(clock->amount(), static_cast<double>(plan.link.count() * 128));
  }
  for (const CountingClock* clock : {&clocks.network_send, &clocks.network_receive}) {
    EXPECT_EQ(clock->messages(), 1);
    EXPECT_EQ(clock->amount(), static_cast<double>(plan.network.count() * 128));
  }
  EXPECT_EQ(clocks.memory.amount(),
            static_cast<double>(2 * (plan.link.count() + plan.network.count()) * 128));
}

double seconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Network and link each need 80 ms for their bytes. Sent in 8 parts, the link follows one part behind: 90 ms,
// not 160.
TEST(exchange, the_second_wire_starts_before_the_first_is_through) {
  const Placement placement{.experts = 64, .ep = 32, .node_size = 8};
  const Ids ids = balanced_ids({.experts = 64, .top_k = 8}, 256);
  for (std::int64_t segments : {1, 8}) {
    const ExchangePlan plan = plan_of(placement, 8, ids, segments);
    RowBuffer inbox;
    inbox.resize(plan.inbox_rows(), 512, Dtype::bf16);
    RateClock link(static_cast<double>(plan.link.count() * 1024) / 0.08, 0.005);
    RateClock network(static_cast<double>(plan.network.count() * 1024) / 0.08, 0.005);
    const Pace pace{.link_send = &link, .network_send = &network};
    double elapsed_s = 1.0;  // best of three: a busy machine may be late
    for (int i = 0; i < 3; ++i)
      elapsed_s = std::min(elapsed_s, seconds([&] { dispatch(plan, inbox.store(), pace); }));
    EXPECT_GE(elapsed_s, segments == 1 ? 0.17 : 0.09);  // in one part: 2 x (80 ms + 5 ms)
    EXPECT_LE(elapsed_s, segments == 1 ? 0.25 : 0.14);
  }
}

// Unwinds while parts are on their way: nobody may write into freed memory (the sanitizer builds look for
// it).
TEST(exchange, an_error_on_a_wire_arrives_at_the_caller) {
  class Broken : public ResourceClock {
   public:
    Moment reserve(double) override { return Moment{}; }
    Moment reserve_message(double) override { throw Error(Fault::device, "the wire broke", "mend it"); }
    void wait(Moment) override {}
  } broken;
  const Placement placement{.experts = 64, .ep = 32, .node_size = 8};
  const ExchangePlan plan = plan_of(placement, 8, balanced_ids({.experts = 64, .top_k = 8}, 64), 8);
  RowBuffer inbox;
  inbox.resize(plan.inbox_rows(), 512, Dtype::bf16);
  EXPECT_EQ(error_text([&] { dispatch(plan, inbox.store(), {.link_send = &broken}); }),
            "the wire broke; mend it");
  EXPECT_EQ(error_text([&] { dispatch(plan, inbox.store(), {.network_send = &broken}); }),
            "the wire broke; mend it");
}

}  // namespace
}  // namespace chokepoint::moe
