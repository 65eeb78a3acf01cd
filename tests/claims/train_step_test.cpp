// A training step: from the trace of one layer pair to DeepSeek-V3's whole step, rank by rank.
#include "harness/claims/train_step.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

double ms(std::int64_t ns) { return static_cast<double>(ns) * 1e-6; }

TrainingPhases trace_without_hops() {
  TrainingPhases phases = trace_phases();
  phases.hop_s = 0.0;
  return phases;
}

double hours(double step_s) { return gpu_hours_per_trillion_tokens(step_s, kDsv3Scale); }

TEST(train_step, stages_of_the_published_layout_take_the_published_times) {
  TrainStep step(dsv3_train_plan());
  step.run(trace_phases());
  const StageTimes& times = step.stage_times();
  const struct {
    int stage;
    double forward_ms, backward_input_ms, weight_ms;
  } rows[] = {{0, 45.5, 67.4, 29.9}, {1, 77.6, 98.6, 29.8}, {14, 77.6, 98.6, 29.8}, {15, 66.1, 73.6, 41.1}};
  for (const auto& row : rows) {
    EXPECT_NEAR(ms(times.forward_ns[row.stage]), row.forward_ms, 0.05) << row.stage;
    EXPECT_NEAR(ms(times.backward_input_ns[row.stage]), row.backward_input_ms, 0.05) << row.stage;
    EXPECT_NEAR(ms(times.weight_ns[row.stage]), row.weight_ms, 0.05) << row.stage;
  }
}

TEST(train_step, pairs_of_chunks_take_the_published_times) {
  TrainStep step(dsv3_train_plan());
  step.run(trace_phases());
  EXPECT_NEAR(ms(step.stage_times().overlapped_ns[0]), 134.05, 0.005);
  EXPECT_NEAR(ms(step.stage_times().overlapped_ns[7]), 129.04, 0.005);
  EXPECT_NEAR(ms(step.stage_times().overlapped_ns[15]), 136.71, 0.005);
}

TEST(train_step, the_published_run_takes_18_625_s_and_with_hops_18_700_s) {
  TrainStep step(dsv3_train_plan());
  EXPECT_NEAR(step.run(trace_without_hops()), 18.625, 0.0005);
  EXPECT_NEAR(step.run(trace_phases()), 18.700, 0.0005);
  EXPECT_NEAR(hours(step.run(trace_phases())), 169.1e3, 0.05e3);
}

struct Row {
  double forward_s, idle_s, backward_s, weight_s, overlapped_s, optimizer_s, step_s;
};

// Rank 0, as far as the figures are given.
void expect_row(TrainStep& step, const TrainingPhases& phases, const Row& row, double digit_s) {
  const double near = 0.501 * digit_s;
  EXPECT_NEAR(step.run(phases), row.step_s, near);
  const RankBreakdown rank0 = step.breakdown(0);
  EXPECT_NEAR(rank0.forward_s, row.forward_s, near);
  EXPECT_NEAR(rank0.idle_s, row.idle_s, near);
  EXPECT_NEAR(rank0.backward_s, row.backward_s, near);
  EXPECT_NEAR(rank0.weight_s, row.weight_s, near);
  EXPECT_NEAR(rank0.overlapped_s, row.overlapped_s, near);
  EXPECT_NEAR(rank0.optimizer_s, row.optimizer_s, near);
}

TEST(train_step, rank_0_of_the_published_run_row_by_row) {
  TrainStep step(dsv3_train_plan());
  expect_row(step, trace_without_hops(), {1.211, 1.513, 1.972, 0.527, 13.141, 0.260, 18.625}, 1e-3);
  expect_row(step, trace_phases(), {1.211, 1.589, 1.972, 0.527, 13.141, 0.260, 18.700}, 1e-3);
}

TEST(train_step, imbalance_of_10_percent_adds_3_percent) {
  TrainStep step(dsv3_train_plan());
  expect_row(step, with_imbalance(trace_phases(), 1.10), {1.26, 1.84, 2.04, 0.54, 13.36, 0.26, 19.29}, 1e-2);
  EXPECT_NEAR(hours(step.run(with_imbalance(trace_phases(), 1.10))), 174.4e3, 0.05e3);
}

TEST(train_step, a_uniform_layout_is_what_the_published_breakdown_rejects) {
  TrainStep step({uniform_layout(16, 4), dsv3_train_plan().pipeline});
  expect_row(step, trace_phases(), {1.785, 0.82, 2.51, 0.45, 12.52, 0.26, 18.33},
             1e-2);  // 1.785: published as 1.79
}

TEST(train_step, the_parts_of_every_rank_add_up_to_the_step) {
  TrainStep step(dsv3_train_plan());
  const double step_s = step.run(trace_phases(), {0.03, 5});
  for (int rank = 0; rank < 16; ++rank) {
    const RankBreakdown parts = step.breakdown(rank);
    EXPECT_NEAR(parts.forward_s + parts.idle_s + parts.backward_s + parts.weight_s + parts.overlapped_s +
                    parts.optimizer_s,
                step_s, 1e-9)
        << rank;
  }
}

// The published run, otherwise scheduled, with an imbalance of 10 percent.
double imbalanced_hours(Schedule schedule, int micro_batches, bool overlap) {
  TrainPlan plan = dsv3_train_plan();
  plan.pipeline = {schedule, 16, micro_batches};
  plan.overlap = overlap;
  TrainStep step(plan);
  const StepScale scale{2048, 128.0 * micro_batches * 4096};
  return gpu_hours_per_trillion_tokens(step.run(with_imbalance(trace_phases(), 1.10)), scale);
}

TEST(train_step, without_overlap_every_schedule_costs_half_as_much_again) {
  EXPECT_NEAR(imbalanced_hours(Schedule::dualpipe, 120, false), 257e3, 0.5e3);
  EXPECT_NEAR(imbalanced_hours(Schedule::zb_h1, 120, true), 262e3, 0.5e3);
  EXPECT_NEAR(imbalanced_hours(Schedule::one_f_one_b, 120, true), 273e3, 0.5e3);
}

TEST(train_step, fewer_micro_batches_cost_more_per_token) {
  EXPECT_NEAR(imbalanced_hours(Schedule::dualpipe, 32, true), 243e3, 0.5e3);
  EXPECT_NEAR(imbalanced_hours(Schedule::dualpipe, 60, true), 199.5e3, 0.5e3);  // published as 200
  EXPECT_NEAR(imbalanced_hours(Schedule::dualpipe, 240, true), 162e3, 0.5e3);
}

TEST(train_step, jitter_of_3_to_5_percent_on_an_imbalance_of_5_gives_the_published_step) {
  TrainStep step(dsv3_train_plan());
  const TrainingPhases phases = with_imbalance(trace_phases(), 1.05);
  EXPECT_NEAR(step.run(phases, {0.03, 1}), 19.5, 0.15);
  EXPECT_NEAR(step.run(phases, {0.05, 1}), 19.9, 0.15);
}

TEST(train_step, transfers_that_no_longer_fit_show) {
  TrainStep step(dsv3_train_plan());
  TrainingPhases phases = trace_phases();
  const double fits_s = step.run(phases);
  for (double* transfer : {&phases.expert_layer.dispatch_forward_s, &phases.expert_layer.dispatch_backward_s})
    *transfer *= 2;
  // Two dispatches of 10.75 ms beyond 15 - 12.75 of slack: 8.5 ms in each of 4 layers, about 120 times.
  const double slow_s = step.run(phases);
  EXPECT_EQ(step.pair().exposed_ns(), 8'500'000);
  EXPECT_GT(slow_s - fits_s, 120 * 4 * 8.5e-3);
}

TEST(train_step, a_pair_of_chunks_takes_at_least_its_transfers_and_their_waits) {
  TrainingPhases phases;
  phases.expert_layer = {.dispatch_forward_s = 1,
                         .combine_forward_s = 1,
                         .combine_backward_s = 1,
                         .dispatch_backward_s = 1,
                         .sync_s = 0.5};
  TrainStep step({{{.expert_layers = 2}, {.dense_layers = 1}}, {Schedule::dualpipe, 2, 4}});
  step.run(phases);
  // Two layers of two transfers of 1 s and as many waits of 0.5 s, either way; the other stage transfers
  // nothing.
  EXPECT_EQ(step.stage_times().overlapped_ns[0], 6'000'000'000);
  EXPECT_EQ(step.stage_times().overlapped_ns[1], 6'000'000'000);
}

std::string refusal(const TrainPlan& plan, const TrainingPhases& phases) {
  try {
    TrainStep(plan).run(phases);
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.message();
  }
  return "";
}

TEST(train_step, a_layout_for_other_stages_or_a_time_that_is_none_is_an_error) {
  TrainPlan plan = dsv3_train_plan();
  plan.layout.pop_back();
  EXPECT_EQ(refusal(plan, trace_phases()), "the layout has 15 stages, dualpipe on 16 ranks has 16");
  TrainingPhases phases = trace_phases();
  phases.head.weight_s = -1;
  EXPECT_EQ(refusal(dsv3_train_plan(), phases), "head takes -1 s");
  phases.head.weight_s = 1e9;
  EXPECT_EQ(refusal(dsv3_train_plan(), phases), "head takes 1000000000 s");
  EXPECT_THROW(TrainStep(dsv3_train_plan()).run(trace_phases(), {1e15, 1}), Error) << "jitter";
  phases = trace_phases();
  phases.gap = 0.9;
  EXPECT_EQ(refusal(dsv3_train_plan(), phases), "gap is 0.9, wall time over kernel time");
}

TEST(train_step, the_published_layout_has_61_layers_a_prediction_layer_and_both_ends_on_one_rank) {
  const StageLayout layout = find_stage_layout("dsv3_rank0_shared_ends");
  int layers = 0;
  for (const StageContents& stage : layout) layers += stage.layers();
  EXPECT_EQ(layers, 62);
  EXPECT_EQ(layout.front().dense_layers, 3);
  EXPECT_EQ(layout.back().heads, 2);
  EXPECT_EQ(find_stage_layout("uniform"), uniform_layout(16, 4));
  EXPECT_THROW(find_stage_layout("unifrom"), Error);
}

TEST(train_step, imbalance_below_one_is_an_error) {
  EXPECT_THROW(with_imbalance(trace_phases(), 0.99), Error);
  EXPECT_EQ(with_imbalance(trace_phases(), 1.0).expert_layer.mlp.forward_s, 4.60e-3);
}

}  // namespace
}  // namespace chokepoint
