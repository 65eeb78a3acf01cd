// How long does a step of a pipeline take, and what does every rank do meanwhile? A program is compiled once,
// then run for any times: nothing but the order of each rank and the dependencies of the data decides.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/claims/pipeline_program.hpp"

namespace chokepoint {

// Times of the passes of each stage over one micro-batch, by stage.
struct StageTimes {
  std::vector<std::int64_t> forward_ns, backward_input_ns, weight_ns;
  std::vector<std::int64_t>
      overlapped_ns;        // stage s forward beside its mirror's backward; may be empty elsewhere
  std::int64_t hop_ns = 0;  // from one rank to another
};

StageTimes even_stages(int stages, const EvenPasses& passes, std::int64_t hop_ns = 0);

// Every pass takes longer by a half-normal factor, 1 + sigma |z|: stragglers, not luck.
struct Jitter {
  double sigma = 0.0;
  std::uint64_t seed = 0;
};

struct RankTotals {
  std::int64_t forward_ns = 0, backward_ns = 0, weight_ns = 0, overlapped_ns = 0;  // backward: split or not
  std::int64_t idle_ns = 0;  // until the last rank is through
};

struct RankCounts {
  int forward = 0, backward = 0, weight = 0, overlapped = 0;
  int held =
      0;  // most micro-batches between forward and end of weight pass at a time, over the rank's chunks
};

// A pass as it is run. Earlier passes have lower indices.
struct CompiledPass {
  Pass pass;
  std::int32_t rank = 0;
  std::int32_t duration = 0;       // which of the times of `StageTimes`
  std::int32_t needs[2] = {0, 0};  // passes whose results it takes, plus one; 0 for none
  std::int32_t hops[2] = {0, 0};   // 1 where the result comes from another rank
};

// Kept by the caller and used again, so that a run allocates nothing after the first.
struct PipelineRun {
  std::int64_t makespan_ns = 0;
  std::vector<RankTotals> ranks;
  std::vector<std::int64_t> start_ns, end_ns;  // by index of pass, plus one; 0 is the start of the step
  std::vector<std::int64_t> durations_ns, rank_free_ns;
};

class Pipeline {
 public:
  // Throws Error{config} that names the rank and pass that waits for ever, or what is missing or done twice.
  explicit Pipeline(const PipelineProgram& program);
  explicit Pipeline(const PipelinePlan& plan) : Pipeline(pipeline_program(plan)) {}

  // `times` has an entry per stage. Throws Error{config} when it does not.
  void run(const StageTimes& times, PipelineRun& run, const Jitter& jitter = {}) const;
  PipelineRun run(const StageTimes& times) const;

  const std::vector<CompiledPass>& passes() const { return passes_; }  // in an order that can be run
  const std::vector<RankCounts>& counts() const { return counts_; }
  int ranks() const { return static_cast<int>(counts_.size()); }
  int stages() const { return stages_; }

 private:
  int stages_ = 0;
  bool overlaps_ = false;
  std::vector<CompiledPass> passes_;
  std::vector<RankCounts> counts_;
};

}  // namespace chokepoint
