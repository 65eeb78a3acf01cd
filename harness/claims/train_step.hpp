// How long is a training step, and what does every rank do in it?
#pragma once

#include <vector>

#include "harness/claims/pair_schedule.hpp"
#include "harness/claims/phases.hpp"
#include "harness/claims/pipeline.hpp"
#include "harness/claims/stage_layout.hpp"

namespace chokepoint {

struct TrainPlan {
  StageLayout layout;  // as many entries as `pipeline.stages()`
  PipelinePlan pipeline;
  bool overlap = true;  // transfers of one chunk under compute of another, where the schedule pairs chunks
};

// DeepSeek-V3's published run: 2048 GPUs, 16 stages, 120 sequences per data-parallel rank.
TrainPlan dsv3_train_plan();

// Where the seconds of a step go on one rank; they add up to the step.
struct RankBreakdown {
  double forward_s = 0.0, idle_s = 0.0, backward_s = 0.0, weight_s = 0.0, overlapped_s = 0.0,
         optimizer_s = 0.0;
};

// Compiles the pipeline once; each run after that is some ten microseconds and allocates nothing. One per
// thread.
class TrainStep {
 public:
  explicit TrainStep(TrainPlan plan);  // throws Error{config} where layout and pipeline do not fit

  // Seconds per step. Throws Error{config} where a time is negative or not finite.
  double run(const TrainingPhases& phases, const Jitter& jitter = {});

  // Of the last run.
  RankBreakdown breakdown(int rank) const;
  const PairSchedule& pair() const { return pair_; }
  const StageTimes& stage_times() const { return times_; }
  const PipelineRun& pipeline_run() const { return run_; }

  const Pipeline& pipeline() const { return pipeline_; }
  const TrainPlan& plan() const { return plan_; }

 private:
  TrainPlan plan_;
  Pipeline pipeline_;
  PairSchedule pair_;
  StageTimes times_;
  PipelineRun run_;
  double optimizer_s_ = 0.0;
};

// Times of the passes of every stage: forward and backward passes that run alone show their transfers, pairs
// of chunks only what does not fit under compute.
void fill_stage_times(const TrainPlan& plan, const TrainingPhases& phases, const PairSchedule& pair,
                      StageTimes& times);

}  // namespace chokepoint
