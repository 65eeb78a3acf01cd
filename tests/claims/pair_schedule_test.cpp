// The pair schedule: its period is the slowest cycle, and transfers that fit under compute cost nothing.
#include "harness/claims/pair_schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/random.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

ExpertLayerTimes trace() { return trace_phases().expert_layer; }

// Transfers on a network of `gb_per_s`; the trace's has 50. Waiting for others stays as long as it is.
ExpertLayerTimes trace_at(double gb_per_s) {
  ExpertLayerTimes layer = trace();
  for (double* transfer : {&layer.dispatch_forward_s, &layer.combine_forward_s, &layer.combine_backward_s,
                           &layer.dispatch_backward_s})
    *transfer *= 50.0 / gb_per_s;
  return layer;
}

double to_ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

std::int64_t slack(const PairSchedule& pair, PairTask task) { return pair.slack_ns[static_cast<int>(task)]; }

TEST(pair_schedule, a_layer_pair_of_the_trace_is_bound_by_compute_at_31_35_ms) {
  const PairSchedule pair = schedule_pair(trace());
  EXPECT_EQ(pair.period_ns, 31'350'000);
  EXPECT_EQ(pair.compute_ns, 31'350'000);
  EXPECT_EQ(pair.exposed_ns(), 0);
  EXPECT_EQ(pair.transfer_ns, 24'150'000);  // 20.15 of transfers, 4 waits of 1
}

TEST(pair_schedule, slower_networks_stretch_the_period_as_published) {
  const struct {
    double gb_per_s, period_ms;
  } rows[] = {{50, 31.4}, {45, 31.4}, {40, 31.8}, {35, 33.7}, {30, 37.6}, {25, 44.3}};
  for (const auto& row : rows)
    EXPECT_NEAR(to_ms(schedule_pair(trace_at(row.gb_per_s)).period_ns), row.period_ms, 0.0501) << row.gb_per_s;
}

TEST(pair_schedule, transfers_start_to_show_when_they_and_their_waits_grow_by_15_to_18_percent) {
  // (5.35 + 7.40) x = 5.35 + 5.05 + 4.60 gives x = 1.1765: the two dispatches no longer fit under the mlp.
  const auto grown = [](double factor) {
    ExpertLayerTimes layer = trace_at(50.0 / factor);
    layer.sync_s *= factor;
    return schedule_pair(layer).exposed_ns();
  };
  EXPECT_EQ(grown(1.176), 0);
  EXPECT_GT(grown(1.177), 0);
}

TEST(pair_schedule, slack_is_the_time_between_a_transfers_end_and_its_use) {
  // By hand, from the end of attention_forward: dispatch_forward 0 to 5.35, used at 10.4.
  // dispatch_backward 5.35 to 12.75, used at 15. combine_forward 15 to 22, used at 15 + 9.5 + 2.4 = 26.9.
  // combine_backward 24.5 to 28.9, used at 26.9 + 4.45 = 31.35.
  const PairSchedule pair = schedule_pair(trace());
  EXPECT_EQ(slack(pair, PairTask::dispatch_forward), 5'050'000);
  EXPECT_EQ(slack(pair, PairTask::dispatch_backward), 2'250'000);
  EXPECT_EQ(slack(pair, PairTask::combine_forward), 4'900'000);
  EXPECT_EQ(slack(pair, PairTask::combine_backward), 2'450'000);
}

TEST(pair_schedule, the_traces_own_waits_give_its_slacks) {
  // Published slacks are 1.6, 4.75, 1.2 and 3.7 ms; waits of 1.85, 1.3, 1.75 and 2.2 ms in place of 1 ms each
  // give them, within the 0.75 to 3.8 ms that the trace's barriers take, and fill 27.25 of the 28.6 ms
  // published as busy.
  ExpertLayerTimes layer = trace();
  layer.sync_s = 0.0;
  layer.combine_backward_s += 1.85e-3;
  layer.dispatch_forward_s += 1.3e-3;
  layer.dispatch_backward_s += 1.75e-3;
  layer.combine_forward_s += 2.2e-3;
  const PairSchedule pair = schedule_pair(layer);
  EXPECT_EQ(pair.period_ns, 31'350'000);
  EXPECT_NEAR(to_ms(slack(pair, PairTask::combine_backward)), 1.6, 1e-6);
  EXPECT_NEAR(to_ms(slack(pair, PairTask::dispatch_forward)), 4.75, 1e-6);
  EXPECT_NEAR(to_ms(slack(pair, PairTask::dispatch_backward)), 1.2, 1e-6);
  EXPECT_NEAR(to_ms(slack(pair, PairTask::combine_forward)), 3.7, 1e-6);
}

TEST(pair_schedule, a_lone_stream_decides_where_the_other_is_empty) {
  ExpertLayerTimes compute_only{.attention = {1e-3, 2e-3, 3e-3}, .mlp = {4e-3, 5e-3, 6e-3}};
  EXPECT_EQ(schedule_pair(compute_only).period_ns, 21'000'000);
  ExpertLayerTimes transfers_only;
  transfers_only.dispatch_forward_s = 1e-3;
  transfers_only.sync_s = 2e-3;
  EXPECT_EQ(schedule_pair(transfers_only).period_ns, 9'000'000);
  EXPECT_EQ(schedule_pair(transfers_only).exposed_ns(), 9'000'000);
}

// The same thing without algebra: run many pairs one after the other.
struct Streams {
  double compute = 0, transfer = 0;
};

Streams after_one(Streams before, const ExpertLayerTimes& t) {
  const double weight = before.compute + t.attention.weight_s;
  const double attention = std::max(weight, before.transfer) + t.attention.forward_s;
  const double combine_b = std::max(before.transfer, before.compute) + t.combine_backward_s + t.sync_s;
  const double mlp_b = std::max(attention, combine_b) + t.mlp.backward_input_s;
  const double dispatch_f = std::max(combine_b, attention) + t.dispatch_forward_s + t.sync_s;
  const double dispatch_b = std::max(dispatch_f, mlp_b) + t.dispatch_backward_s + t.sync_s;
  const double mlp_f = std::max(mlp_b + t.mlp.weight_s, dispatch_f) + t.mlp.forward_s;
  const double combine_f = std::max(dispatch_b, mlp_f) + t.combine_forward_s + t.sync_s;
  return {std::max(mlp_f, dispatch_b) + t.attention.backward_input_s, combine_f};
}

ExpertLayerTimes random_layer(std::uint64_t seed) {
  std::uint64_t draw = 0;
  const auto next = [&] { return 1e-3 * (0.1 + 9.9 * random_unit(seed, 0, draw++)); };
  ExpertLayerTimes layer{.attention = {next(), next(), next()}, .mlp = {next(), next(), next()}};
  layer.dispatch_forward_s = next();
  layer.combine_forward_s = next();
  layer.combine_backward_s = next();
  layer.dispatch_backward_s = next();
  layer.sync_s = 0.1 * next();
  return layer;
}

TEST(pair_schedule, the_period_is_what_two_thousand_pairs_in_a_row_settle_at) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const ExpertLayerTimes layer = random_layer(seed);
    Streams streams;
    for (int pair = 0; pair < 2000; ++pair) streams = after_one(streams, layer);
    const double start = streams.compute;
    for (int pair = 0; pair < 2000; ++pair) streams = after_one(streams, layer);
    EXPECT_NEAR((streams.compute - start) / 2000 * 1e9, static_cast<double>(schedule_pair(layer).period_ns),
                10)
        << seed;
  }
}

TEST(pair_schedule, slack_is_never_negative_and_streams_never_do_two_things_at_once) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const PairSchedule pair = schedule_pair(random_layer(seed));
    for (std::int64_t slack_ns : pair.slack_ns) EXPECT_GE(slack_ns, 0) << seed;
    for (int task = 1; task < kPairTasks; ++task) {
      const bool same_stream = is_transfer(PairTask{task}) == is_transfer(PairTask{task - 1});
      EXPECT_TRUE(!same_stream || pair.tasks[task].start_ns >= pair.tasks[task - 1].end_ns) << seed;
    }
    const std::int64_t longest = std::max(pair.compute_ns, pair.transfer_ns);
    EXPECT_GE(pair.period_ns, longest) << seed;
  }
}

TEST(pair_schedule, tasks_have_names_and_streams) {
  EXPECT_EQ(to_string(PairTask::attention_weight), "attention_weight");
  EXPECT_EQ(to_string(PairTask::combine_forward), "combine_forward");
  EXPECT_FALSE(is_transfer(PairTask::attention_backward));
  EXPECT_TRUE(is_transfer(PairTask::combine_backward));
}

}  // namespace
}  // namespace chokepoint
