// Pipelines run by dependencies alone: published tables, closed forms over many configurations, deadlocks by
// name.
#include "harness/claims/pipeline.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

PipelineRun run_even(const PipelinePlan& plan, const EvenPasses& passes) {
  return Pipeline(plan).run(even_stages(plan.stages(), passes));
}

std::vector<std::int64_t> idle_of(const PipelineRun& run) {
  std::vector<std::int64_t> idle;
  for (const RankTotals& rank : run.ranks) idle.push_back(rank.idle_ns);
  return idle;
}

std::int64_t most_idle(const PipelineRun& run) {
  const std::vector<std::int64_t> idle = idle_of(run);
  return *std::max_element(idle.begin(), idle.end());
}

// In tenths of a forward pass, each of F, backward input and weight being one.
EvenPasses ones(std::int64_t overlapped = 30) { return {10, 10, 10, overlapped}; }

TEST(pipeline, the_published_table_of_makespans_and_idle_times) {
  const struct {
    PipelinePlan plan;
    std::int64_t overlapped, makespan, idle;
  } rows[] = {
      {{Schedule::dualpipe, 8, 20}, 30, 660, 60},     {{Schedule::dualpipe, 16, 120}, 30, 3740, 140},
      {{Schedule::one_f_one_b, 8, 20}, 30, 810, 210}, {{Schedule::one_f_one_b, 16, 120}, 30, 4050, 450},
      {{Schedule::zb_h1, 8, 20}, 30, 670, 70},        {{Schedule::zb_h1, 16, 120}, 30, 3750, 150},
  };
  for (const auto& row : rows) {
    const PipelineRun run = run_even(row.plan, ones(row.overlapped));
    EXPECT_EQ(run.makespan_ns, row.makespan) << to_string(row.plan.schedule) << row.plan.ranks;
    EXPECT_EQ(idle_of(run), std::vector<std::int64_t>(row.plan.ranks, row.idle))
        << to_string(row.plan.schedule);
  }
}

// What ranks 0 to 7 idle; ranks 8 to 15 are their mirror image.
std::vector<std::int64_t> mirrored(std::vector<std::int64_t> half) {
  std::vector<std::int64_t> whole = half;
  whole.insert(whole.end(), half.rbegin(), half.rend());
  return whole;
}

TEST(pipeline, where_overlap_saves_time_the_idle_time_of_dualpipe_depends_on_the_rank) {
  const PipelineRun at_24 = run_even({Schedule::dualpipe, 16, 120}, ones(24));
  EXPECT_EQ(at_24.makespan_ns, 3080);
  EXPECT_EQ(idle_of(at_24), mirrored({62, 68, 74, 80, 86, 92, 98, 98}));
  const PipelineRun at_26 = run_even({Schedule::dualpipe, 16, 120}, ones(26));
  EXPECT_EQ(at_26.makespan_ns, 3300);
  EXPECT_EQ(idle_of(at_26), mirrored({88, 92, 96, 100, 104, 108, 112, 112}));
}

TEST(pipeline, dualpipe_runs_the_published_number_of_passes_on_every_rank) {
  for (const auto& [ranks, micro_batches] : {std::pair{16, 120}, {8, 20}, {4, 8}, {2, 4}, {12, 50}}) {
    const Pipeline pipeline(PipelinePlan{Schedule::dualpipe, ranks, micro_batches});
    for (int rank = 0; rank < ranks; ++rank) {
      const int outward = std::min(rank, ranks - 1 - rank);
      const int apart = outward == ranks / 2 - 1 ? 1 : 0;  // the middle ranks take one pair apart
      const RankCounts& counts = pipeline.counts()[rank];
      EXPECT_EQ(counts.overlapped, micro_batches - 3 * ranks / 2 + 1 + outward - apart) << rank;
      EXPECT_EQ(counts.forward, 3 * ranks / 2 - 1 - outward + apart) << rank;
      EXPECT_EQ(counts.backward, counts.forward) << rank;
      EXPECT_EQ(counts.weight, ranks - 1 - outward) << rank;
    }
  }
}

TEST(pipeline, rank_0_of_the_published_run_has_97_pairs_23_forward_and_15_weight_passes) {
  const RankCounts counts = Pipeline(PipelinePlan{Schedule::dualpipe, 16, 120}).counts()[0];
  EXPECT_EQ(counts.overlapped, 97);
  EXPECT_EQ(counts.forward, 23);
  EXPECT_EQ(counts.backward, 23);
  EXPECT_EQ(counts.weight, 15);
}

TEST(pipeline, no_rank_holds_more_activations_than_published) {
  const auto held = [](const PipelinePlan& plan) {
    const Pipeline pipeline(plan);
    int most = 0;
    for (const RankCounts& counts : pipeline.counts()) most = std::max(most, counts.held);
    return most;
  };
  EXPECT_EQ(held({Schedule::one_f_one_b, 16, 120}), 16);
  EXPECT_EQ(held({Schedule::zb_h1, 16, 120}), 16);
  EXPECT_EQ(held({Schedule::dualpipe, 16, 120}), 17);
  EXPECT_EQ(held({Schedule::dualpipev, 8, 120}), 17);
  // (PP - 1) 2 + (V - 1) PP + 1 chunks of half a rank's layers: 47/2, half again as much as 1f1b.
  EXPECT_EQ(held({Schedule::interleaved, 16, 128, 2}), 47);
}

TEST(pipeline, activations_are_held_until_the_weight_pass) {
  // The last of 16 ranks starts backward at once, but puts off 15 weight passes.
  const Pipeline put_off(PipelinePlan{Schedule::zb_h1, 16, 120}),
      at_once(PipelinePlan{Schedule::one_f_one_b, 16, 120});
  EXPECT_EQ(put_off.counts()[15].held, 16);
  EXPECT_EQ(at_once.counts()[15].held, 1);
}

// Times for which the closed forms hold; `longer_ns` is what a forward pass takes beyond a backward one of
// the input.
EvenPasses random_passes(std::uint64_t seed, Schedule schedule, std::int64_t longer_ns = 0) {
  const auto draw = [&](std::uint64_t index, std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(
                     random_below(seed, 0, index, static_cast<std::uint64_t>(high - low + 1)));
  };
  EvenPasses passes;
  passes.weight_ns = draw(0, 1, 1000);
  passes.backward_input_ns = passes.weight_ns + draw(1, 0, 1000);
  passes.forward_ns =
      overlaps(schedule) ? passes.backward_input_ns + longer_ns : passes.weight_ns + draw(2, 0, 1000);
  const std::int64_t apart = passes.forward_ns + passes.backward_ns();
  const std::int64_t least = std::max(passes.forward_ns, passes.backward_input_ns) + passes.weight_ns;
  passes.overlapped_ns = draw(3, least, apart);
  return passes;
}

PipelinePlan random_plan(Schedule schedule, std::uint64_t seed) {
  const auto draw = [&](std::uint64_t index, std::uint64_t below) {
    return static_cast<int>(random_below(seed, 1, index, below));
  };
  PipelinePlan plan{schedule, 1 + draw(0, 16), 1, 1 + draw(1, 4)};
  if (schedule == Schedule::dualpipe) plan.ranks = 2 * (1 + draw(0, 9));
  plan.micro_batches = 2 * plan.ranks + 2 * draw(2, 30);
  if (schedule == Schedule::interleaved) plan.micro_batches = plan.ranks * (1 + draw(2, 8));
  return plan;
}

std::string shown(const PipelinePlan& plan, const EvenPasses& passes) {
  return std::string(to_string(plan.schedule)) + " ranks " + std::to_string(plan.ranks) + " micro-batches " +
         std::to_string(plan.micro_batches) + " chunks " + std::to_string(plan.chunks_per_rank) + " F " +
         std::to_string(passes.forward_ns) + " Bin " + std::to_string(passes.backward_input_ns) + " W " +
         std::to_string(passes.weight_ns) + " FB " + std::to_string(passes.overlapped_ns);
}

TEST(pipeline, every_schedule_idles_as_long_as_its_closed_form_over_2000_configurations) {
  for (const std::string& name : schedule_names())
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
      const PipelinePlan plan = random_plan(parse_schedule(name), seed);
      const EvenPasses passes = random_passes(seed, plan.schedule);
      ASSERT_EQ(most_idle(run_even(plan, passes)), closed_form_idle_ns(plan, passes)) << shown(plan, passes);
    }
}

TEST(pipeline, dualpipe_idles_alike_everywhere_when_overlap_saves_nothing) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const PipelinePlan plan = random_plan(Schedule::dualpipe, seed);
    EvenPasses passes = random_passes(seed, Schedule::dualpipe);
    passes.overlapped_ns = passes.forward_ns + passes.backward_ns();
    const std::vector<std::int64_t> alike(plan.ranks, closed_form_idle_ns(plan, passes));
    ASSERT_EQ(idle_of(run_even(plan, passes)), alike) << shown(plan, passes);
  }
}

TEST(pipeline, where_forward_passes_are_the_longer_ones_dualpipe_idles_longer_than_its_published_formula) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const PipelinePlan plan = random_plan(Schedule::dualpipe, seed);
    const EvenPasses passes = random_passes(seed, Schedule::dualpipe, 250);
    const std::int64_t more = (plan.ranks / 2 - 1) * 250;
    ASSERT_EQ(most_idle(run_even(plan, passes)), closed_form_idle_ns(plan, passes) + more)
        << shown(plan, passes);
  }
}

TEST(pipeline, two_directions_folded_are_half_of_two_directions) {
  // Rank r of dualpipev on 8 ranks does what rank r of dualpipe on 16 does.
  const EvenPasses passes{50, 60, 30, 120};
  const PipelineRun folded = run_even({Schedule::dualpipev, 8, 60}, passes);
  const PipelineRun whole = run_even({Schedule::dualpipe, 16, 120}, passes);
  EXPECT_EQ(folded.makespan_ns, whole.makespan_ns);
  for (int rank = 0; rank < 8; ++rank)
    EXPECT_EQ(folded.ranks[rank].idle_ns, whole.ranks[rank].idle_ns) << rank;
}

TEST(pipeline, fewer_micro_batches_than_ranks_run_too_where_the_schedule_allows) {
  // 4 stages, 2 micro-batches, passes of 1: the second forward is out at 5, its last gradient at 5 + 4 x 2.
  EXPECT_EQ(run_even({Schedule::one_f_one_b, 4, 2}, {1, 1, 1}).makespan_ns, 15);
  EXPECT_EQ(run_even({Schedule::one_f_one_b, 1, 3}, {1, 1, 1}).makespan_ns, 9);
}

TEST(pipeline, a_hop_costs_once_per_boundary_on_the_way_in_and_out) {
  // One micro-batch walks 4 stages down and up: 6 hops.
  const PipelinePlan plan{Schedule::one_f_one_b, 4, 1};
  const Pipeline pipeline(plan);
  EXPECT_EQ(pipeline.run(even_stages(4, {10, 10, 10}, 7)).makespan_ns, 4 * 30 + 6 * 7);
  // The two stages in the middle of a fold lie on one rank: 8 stages, 2 x 6 hops.
  const Pipeline folded(PipelinePlan{Schedule::dualpipev, 4, 8});
  for (const CompiledPass& pass : folded.passes()) {
    const bool turns = pass.pass.kind == PassKind::forward && pass.pass.forward_stage == 4;
    EXPECT_TRUE(!turns || pass.hops[0] == 0);
  }
}

TEST(pipeline, stages_may_differ) {
  // Two ranks, one micro-batch: 3 + 5 forward, (7 + 11) + (13 + 17) backward.
  const PipelineRun run =
      Pipeline(PipelinePlan{Schedule::one_f_one_b, 2, 1}).run({{3, 5}, {13, 7}, {17, 11}, {}, 0});
  EXPECT_EQ(run.makespan_ns, 56);
  EXPECT_EQ(run.ranks[0].forward_ns, 3);
  EXPECT_EQ(run.ranks[0].backward_ns, 30);
  EXPECT_EQ(run.ranks[0].idle_ns, 23);
}

TEST(pipeline, each_rank_does_one_thing_at_a_time_and_never_takes_what_is_not_there) {
  for (const std::string& name : schedule_names()) {
    const PipelinePlan plan{parse_schedule(name), 8, 32, 2};
    const Pipeline pipeline(plan);
    const PipelineRun run = pipeline.run(even_stages(plan.stages(), {50, 60, 30, 120}, 7));
    std::vector<std::int64_t> free(8, 0);
    for (std::size_t i = 0; i < pipeline.passes().size(); ++i) {
      const CompiledPass& pass = pipeline.passes()[i];
      EXPECT_GE(run.start_ns[i + 1], free[pass.rank]);
      for (int part : {0, 1}) {
        const std::int64_t there_ns = run.end_ns[pass.needs[part]] + 7 * pass.hops[part];
        EXPECT_GE(run.start_ns[i + 1], there_ns);
      }
      free[pass.rank] = run.end_ns[i + 1];
    }
  }
}

TEST(pipeline, jitter_only_delays_and_comes_back_with_its_seed) {
  const PipelinePlan plan{Schedule::dualpipe, 8, 32};
  const Pipeline pipeline(plan);
  const StageTimes times = even_stages(8, {5000, 6000, 3000, 12000});
  const auto makespan = [&](double sigma, std::uint64_t seed) {
    PipelineRun run;
    pipeline.run(times, run, {sigma, seed});
    return run.makespan_ns;
  };
  const std::int64_t calm = makespan(0.0, 1);
  EXPECT_GT(makespan(0.02, 1), calm);
  EXPECT_GT(makespan(0.05, 1), makespan(0.02, 1));
  EXPECT_EQ(makespan(0.05, 1), makespan(0.05, 1));
  EXPECT_NE(makespan(0.05, 1), makespan(0.05, 2));
}

TEST(pipeline, jitter_lengthens_passes_by_its_half_normal_mean) {
  // E|z| = sqrt(2/pi) = 0.79788; one rank, so that nothing waits for anything.
  const Pipeline pipeline(PipelinePlan{Schedule::one_f_one_b, 1, 20000});
  PipelineRun run;
  pipeline.run(even_stages(1, {1000000, 1000000, 1000000}), run, {0.05, 7});
  EXPECT_NEAR(static_cast<double>(run.makespan_ns) / (20000 * 3e6), 1 + 0.05 * 0.79788, 4e-4);
}

TEST(pipeline, a_run_into_used_memory_gives_the_same_as_a_fresh_one) {
  const PipelinePlan plan{Schedule::zb_h1, 4, 8};
  const Pipeline pipeline(plan);
  PipelineRun used = run_even({Schedule::dualpipe, 8, 32}, ones());
  pipeline.run(even_stages(4, ones()), used);
  const PipelineRun fresh = pipeline.run(even_stages(4, ones()));
  EXPECT_EQ(used.makespan_ns, fresh.makespan_ns);
  EXPECT_EQ(idle_of(used), idle_of(fresh));
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::config);
    return error.message();
  }
  return "";
}

std::string refusal(const PipelineProgram& program) {
  return message_of([&] { Pipeline{program}; });
}

PipelineProgram two_stages() { return pipeline_program({Schedule::one_f_one_b, 2, 2}); }

TEST(pipeline, a_deadlock_names_the_pass_that_waits) {
  PipelineProgram program = two_stages();
  std::swap(program.ranks[0][0], program.ranks[0].back());  // rank 0 starts with its last gradient
  EXPECT_EQ(
      refusal(program),
      "deadlock: rank 0 waits for ever in pass 1 of 4: the backward pass of stage 0, micro-batch 1, for its "
      "gradient");
  program = two_stages();
  program.ranks[0].erase(program.ranks[0].begin());  // the first micro-batch never comes
  EXPECT_EQ(
      refusal(program),
      "deadlock: rank 0 waits for ever in pass 2 of 3: the backward pass of stage 0, micro-batch 0, for its "
      "gradient");
}

TEST(pipeline, a_pass_that_is_missing_doubled_or_outside_is_named) {
  PipelineProgram program = two_stages();
  program.ranks[0].pop_back();
  EXPECT_EQ(refusal(program), "no rank runs the backward pass of stage 0, micro-batch 1");
  program = two_stages();
  program.ranks[0].push_back(program.ranks[0].back());
  EXPECT_EQ(refusal(program),
            "rank 0 runs the backward pass of stage 0, micro-batch 1 a second time, after rank 0");
  program = two_stages();
  program.ranks[0][0].forward_micro_batch = 2;
  EXPECT_EQ(refusal(program), "stage 0, micro-batch 2 is outside 2 stages and 2 micro-batches");
  program = pipeline_program({Schedule::zb_h1, 2, 2});
  program.ranks[1].pop_back();
  EXPECT_EQ(refusal(program), "no rank runs the weight pass of stage 1, micro-batch 1");
}

TEST(pipeline, times_for_another_number_of_stages_are_an_error) {
  const Pipeline pipeline(PipelinePlan{Schedule::dualpipe, 4, 8});
  EXPECT_EQ(message_of([&] { pipeline.run(even_stages(3, ones())); }), "4 stages, but 3 forward times");
  StageTimes times = even_stages(4, ones());
  times.overlapped_ns.clear();
  EXPECT_EQ(message_of([&] { pipeline.run(times); }), "4 stages, but 0 overlapped times");
}

}  // namespace
}  // namespace chokepoint
