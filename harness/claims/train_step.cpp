#include "harness/claims/train_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/base/error.hpp"
#include "harness/claims/nanoseconds.hpp"

namespace chokepoint {
namespace {

// What a stage computes and transfers for one micro-batch, apart.
struct Chunk {
  PassTimes compute;
  double transfer_forward_s = 0.0, transfer_backward_s = 0.0;  // without waits

  double forward_s() const { return compute.forward_s + transfer_forward_s; }
  double backward_input_s() const { return compute.backward_input_s + transfer_backward_s; }
};

void add(PassTimes& sum, const PassTimes& part, int times) {
  sum.forward_s += times * part.forward_s;
  sum.backward_input_s += times * part.backward_input_s;
  sum.weight_s += times * part.weight_s;
}

Chunk chunk_of(const StageContents& stage, const TrainingPhases& phases) {
  const ExpertLayerTimes& layer = phases.expert_layer;
  Chunk chunk;
  add(chunk.compute, layer.attention, stage.layers());
  add(chunk.compute, layer.mlp, stage.expert_layers);
  add(chunk.compute, phases.dense_mlp, stage.dense_layers);
  add(chunk.compute, phases.head, stage.heads);
  add(chunk.compute, phases.projection, stage.projections);
  chunk.transfer_forward_s = stage.expert_layers * (layer.dispatch_forward_s + layer.combine_forward_s);
  chunk.transfer_backward_s = stage.expert_layers * (layer.combine_backward_s + layer.dispatch_backward_s);
  return chunk;
}

// A forward pass of stage `a` beside a backward pass of stage `b`: as long as its compute and what of the
// transfers shows in as many layer pairs as there are, but at least as long as all transfers with their
// waits.
double overlapped_s(const StageContents& a, const StageContents& b, const TrainingPhases& phases,
                    const PairSchedule& pair) {
  const Chunk forward = chunk_of(a, phases), backward = chunk_of(b, phases);
  const int pairs = std::min(a.expert_layers, b.expert_layers);
  const int transfers = 2 * (a.expert_layers + b.expert_layers);
  const double compute_s = forward.compute.forward_s + backward.compute.backward_s();
  const double transfer_s =
      forward.transfer_forward_s + backward.transfer_backward_s + transfers * phases.expert_layer.sync_s;
  return std::max(compute_s + pairs * to_s(pair.exposed_ns()), transfer_s) * phases.gap;
}

constexpr double kMostJitter = 10.0;      // of a pass
constexpr double kLongestPart_s = 100.0;  // of one micro-batch; 1e6 of them still fit nanoseconds in 64 bits

void check_phase_time(double seconds, const char* name) {
  if (!(seconds >= 0.0) || seconds > kLongestPart_s)
    throw Error(Fault::config, fmt::format("{} takes {} s", name, seconds),
                fmt::format("times are from 0 to {} s", kLongestPart_s));
}

void check_phase_times(const PassTimes& times, const char* name) {
  check_phase_time(times.forward_s, name);
  check_phase_time(times.backward_input_s, name);
  check_phase_time(times.weight_s, name);
}

void check_phases(const TrainingPhases& phases) {
  const ExpertLayerTimes& layer = phases.expert_layer;
  check_phase_times(layer.attention, "attention");
  check_phase_times(layer.mlp, "mlp");
  check_phase_times(phases.dense_mlp, "dense_mlp");
  check_phase_times(phases.head, "head");
  check_phase_times(phases.projection, "projection");
  check_phase_time(layer.dispatch_forward_s, "dispatch_forward");
  check_phase_time(layer.combine_forward_s, "combine_forward");
  check_phase_time(layer.combine_backward_s, "combine_backward");
  check_phase_time(layer.dispatch_backward_s, "dispatch_backward");
  check_phase_time(layer.sync_s, "sync");
  check_phase_time(phases.hop_s, "hop");
  check_phase_time(phases.optimizer_s, "optimizer");
  if (!(phases.gap >= 1.0) || !std::isfinite(phases.gap))
    throw Error(Fault::config, fmt::format("gap is {}, wall time over kernel time", phases.gap),
                "it is at least 1");
}

void check_jitter(const Jitter& jitter) {
  if (!(jitter.sigma >= 0.0) || jitter.sigma > kMostJitter)
    throw Error(Fault::config, fmt::format("passes deviate by {} of themselves", jitter.sigma),
                fmt::format("take a share from 0 to {}", kMostJitter));
}

TrainPlan checked(TrainPlan plan) {
  check(plan.pipeline);
  if (static_cast<int>(plan.layout.size()) != plan.pipeline.stages())
    throw Error(Fault::config,
                fmt::format("the layout has {} stages, {} on {} ranks has {}", plan.layout.size(),
                            to_string(plan.pipeline.schedule), plan.pipeline.ranks, plan.pipeline.stages()),
                "give every stage its layers");
  return plan;
}

}  // namespace

TrainPlan dsv3_train_plan() {
  return {dsv3_rank0_shared_ends(), {.schedule = Schedule::dualpipe, .ranks = 16, .micro_batches = 120}};
}

void fill_stage_times(const TrainPlan& plan, const TrainingPhases& phases, const PairSchedule& pair,
                      StageTimes& times) {
  const std::size_t stages = plan.layout.size();
  for (std::vector<std::int64_t>* of :
       {&times.forward_ns, &times.backward_input_ns, &times.weight_ns, &times.overlapped_ns})
    of->resize(stages);
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const Chunk chunk = chunk_of(plan.layout[stage], phases);
    times.forward_ns[stage] = to_ns(chunk.forward_s());
    times.backward_input_ns[stage] = to_ns(chunk.backward_input_s());
    times.weight_ns[stage] = to_ns(chunk.compute.weight_s);
  }
  for (std::size_t stage = 0; stage < stages; ++stage) {
    const std::size_t mirror = stages - 1 - stage;
    times.overlapped_ns[stage] =
        plan.overlap ? to_ns(overlapped_s(plan.layout[stage], plan.layout[mirror], phases, pair))
                     : times.forward_ns[stage] + times.backward_input_ns[mirror] + times.weight_ns[mirror];
  }
  times.hop_ns = to_ns(phases.hop_s);
}

TrainStep::TrainStep(TrainPlan plan) : plan_(checked(std::move(plan))), pipeline_(plan_.pipeline) {}

double TrainStep::run(const TrainingPhases& phases, const Jitter& jitter) {
  check_phases(phases);
  check_jitter(jitter);
  pair_ = schedule_pair(phases.expert_layer);
  fill_stage_times(plan_, phases, pair_, times_);
  pipeline_.run(times_, run_, jitter);
  optimizer_s_ = phases.optimizer_s;
  return to_s(run_.makespan_ns) + optimizer_s_;
}

RankBreakdown TrainStep::breakdown(int rank) const {
  const RankTotals& totals = run_.ranks.at(rank);
  return {to_s(totals.forward_ns), to_s(totals.idle_ns),       to_s(totals.backward_ns),
          to_s(totals.weight_ns),  to_s(totals.overlapped_ns), optimizer_s_};
}

}  // namespace chokepoint
