#include "harness/claims/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <numeric>
#include <tuple>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/claims/fleet_phases.hpp"
#include "harness/claims/nanoseconds.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/trace_phases.hpp"
#include "harness/claims/train_step.hpp"

namespace chokepoint {
namespace {

// Phases under some conditions, for a number of tensor and expert ranks.
struct PlanPhases {
  TrainingPhases phases;
  PairSchedule pair;
  double exchange_bytes_per_s = 0.0;
};

PlanPhases plan_phases(const FleetBasis& basis, const Conditions& conditions, int tensor_ranks) {
  TrainingPhases phases =
      rescaled(basis.phases, basis.parts, basis.conditions, conditions, RescaleReach::whole_step);
  phases = with_tensor_ranks(basis.model, with_imbalance(phases, basis.imbalance), conditions, tensor_ranks);
  return {phases, schedule_pair(phases.expert_layer), exchange_bytes_per_s(conditions)};
}

bool can_share_experts(const FleetModel& model, int expert_ranks, int gpus_per_node) {
  if (expert_ranks < 1 || model.experts % expert_ranks != 0) return false;
  return expert_ranks <= gpus_per_node || expert_ranks % gpus_per_node == 0;
}

// All that does not depend on expert ranks or memory.
std::optional<FleetLimit> shape_limit(const FleetModel& model, const FleetPlan& plan,
                                      const FleetLimits& limits) {
  const int pieces = layout_pieces(model.dense_layers, model.expert_layers, model.prediction_layers);
  const int gpus_per_pipeline = plan.tensor_ranks * plan.pipeline.ranks;
  if (gpus_per_pipeline < 1 || plan.gpus < 1 || plan.gpus % gpus_per_pipeline != 0)
    return FleetLimit::division;
  if (plan.tensor_ranks > limits.gpus_per_node) return FleetLimit::node;
  if (plan.pipeline.stages() > pieces) return FleetLimit::layers;
  if (!can_run(plan.pipeline)) return FleetLimit::schedule;
  const int gpus_per_stage = plan.data_parallel() * plan.tensor_ranks;
  const bool shares = can_share_experts(model, plan.expert_ranks, limits.gpus_per_node);
  if (!shares || gpus_per_stage % plan.expert_ranks != 0) return FleetLimit::experts;
  if (plan.sequences_per_step() > limits.sequences_per_step) return FleetLimit::batch;
  return std::nullopt;
}

// One pipeline, compiled when the first plan gets as far as that, and what its runs write into.
class PlanRunner {
 public:
  PlanRunner(const FleetBasis& basis, const FleetLimits& limits, const PipelinePlan& pipeline)
      : basis_(basis), limits_(limits), train_{.pipeline = pipeline} {}

  std::optional<FleetLimit> limit(const FleetPlan& plan) {
    if (const std::optional<FleetLimit> fails = shape_limit(basis_.model, plan, limits_)) return fails;
    if (!pipeline_) {
      train_.layout = fleet_layout(basis_.model, train_.pipeline, basis_.phases);
      pipeline_ = std::make_unique<Pipeline>(train_.pipeline);
    }
    memory_bytes_ = memory_bytes(basis_.model, plan, train_.layout, *pipeline_);
    if (memory_bytes_ > limits_.memory_bytes) return FleetLimit::memory;
    return std::nullopt;
  }

  double memory() const { return memory_bytes_; }  // of the plan that `limit` was asked for last

  // Without the optimizer.
  double pipeline_s(const PlanPhases& phases) {
    fill_stage_times(train_, phases.phases, phases.pair, times_);
    pipeline_->run(times_, run_);
    return to_s(run_.makespan_ns);
  }

  FleetCost cost(const FleetPlan& plan, const PlanPhases& phases, double pipeline_s, double memory) const {
    const double exchange_s =
        exchanged_bytes(basis_.model, plan, train_.layout) / phases.exchange_bytes_per_s;
    const StepScale scale{static_cast<double>(plan.gpus),
                          plan.sequences_per_step() * basis_.model.tokens_per_micro_batch};
    const double step_s = pipeline_s + exchange_s;
    return {plan, step_s, gpu_hours_per_trillion_tokens(step_s, scale), memory};
  }

 private:
  const FleetBasis& basis_;
  const FleetLimits& limits_;
  TrainPlan train_;
  std::unique_ptr<Pipeline> pipeline_;
  StageTimes times_;
  PipelineRun run_;
  double memory_bytes_ = 0.0;
};

auto order_of(const FleetCost& cost) {
  const FleetPlan& plan = cost.plan;
  return std::tuple(cost.gpu_hours_per_trillion_tokens, plan.tensor_ranks, plan.expert_ranks,
                    plan.pipeline.ranks, plan.pipeline.schedule, plan.pipeline.chunks_per_rank,
                    plan.pipeline.micro_batches);
}

void keep_cheaper(std::optional<FleetCost>& best, const std::optional<FleetCost>& candidate) {
  if (candidate && (!best || order_of(*candidate) < order_of(*best))) best = candidate;
}

class Search {
 public:
  Search(const FleetSpace& space, const FleetBasis& basis, const FleetLimits& limits,
         const std::vector<Conditions>& conditions)
      : space_(space), basis_(basis), limits_(limits), conditions_(conditions), points_(empty_points()) {
    for (int expert_ranks : space.expert_ranks) fill_phases(expert_ranks);
  }

  std::vector<FleetPoint> run() {
    const std::vector<PipelinePlan> pipelines = space_.pipelines();
    parallel_for(static_cast<std::int64_t>(pipelines.size()), 1,
                 [&](std::int64_t begin, std::int64_t end, int) {
                   for (std::int64_t i = begin; i < end; ++i) merge(points_of(pipelines[i]));
                 });
    return std::move(points_);
  }

 private:
  std::vector<FleetPoint> empty_points() const {
    std::vector<FleetPoint> points;
    for (int gpus : space_.gpus)
      for (std::size_t i = 0; i < conditions_.size(); ++i) {
        points.push_back({.gpus = gpus, .conditions = i});
        points.back().best_by_tensor_ranks.resize(space_.tensor_ranks.size());
      }
    return points;
  }

  void fill_phases(int expert_ranks) {
    const bool shares = can_share_experts(basis_.model, expert_ranks, limits_.gpus_per_node);
    const ExpertRows rows =
        shares ? expert_rows(basis_.model, expert_ranks, limits_.gpus_per_node) : ExpertRows{};
    for (const Conditions& conditions : conditions_)
      for (int tensor_ranks : space_.tensor_ranks)
        phases_.push_back(plan_phases(basis_, with_expert_rows(conditions, rows), tensor_ranks));
  }

  const PlanPhases& phases(std::size_t expert, std::size_t conditions, std::size_t tensor) const {
    return phases_[(expert * conditions_.size() + conditions) * space_.tensor_ranks.size() + tensor];
  }

  std::vector<FleetPoint> points_of(const PipelinePlan& pipeline) const {
    std::vector<FleetPoint> points = empty_points();
    PlanRunner runner(basis_, limits_, pipeline);
    for (std::size_t tensor = 0; tensor < space_.tensor_ranks.size(); ++tensor)
      for (std::size_t expert = 0; expert < space_.expert_ranks.size(); ++expert)
        try_fleets(runner, pipeline, tensor, expert, points);
    return points;
  }

  struct Fitting {
    std::size_t fleet;
    FleetPlan plan;
    double memory_bytes;
  };

  // The pipeline takes as long in every fleet; only what is exchanged after it differs.
  void try_fleets(PlanRunner& runner, const PipelinePlan& pipeline, std::size_t tensor, std::size_t expert,
                  std::vector<FleetPoint>& points) const {
    std::vector<Fitting> fitting;
    for (std::size_t fleet = 0; fleet < space_.gpus.size(); ++fleet) {
      const FleetPlan plan{space_.gpus[fleet], space_.tensor_ranks[tensor], space_.expert_ranks[expert],
                           pipeline};
      const std::optional<FleetLimit> fails = runner.limit(plan);
      for (std::size_t i = 0; i < conditions_.size(); ++i) {
        FleetPoint& point = points[fleet * conditions_.size() + i];
        ++(fails ? point.rejected[static_cast<int>(*fails)] : point.within_limits);
      }
      if (!fails) fitting.push_back({fleet, plan, runner.memory()});
    }
    for (std::size_t i = 0; i < conditions_.size() && !fitting.empty(); ++i) {
      const PlanPhases& times = phases(expert, i, tensor);
      const double pipeline_s = runner.pipeline_s(times);
      for (const Fitting& fits : fitting)
        keep_cheaper(points[fits.fleet * conditions_.size() + i].best_by_tensor_ranks[tensor],
                     runner.cost(fits.plan, times, pipeline_s, fits.memory_bytes));
    }
  }

  void merge(const std::vector<FleetPoint>& points) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < points_.size(); ++i) {
      points_[i].within_limits += points[i].within_limits;
      for (int limit = 0; limit < kFleetLimits; ++limit)
        points_[i].rejected[limit] += points[i].rejected[limit];
      for (std::size_t tensor = 0; tensor < space_.tensor_ranks.size(); ++tensor) {
        keep_cheaper(points_[i].best_by_tensor_ranks[tensor], points[i].best_by_tensor_ranks[tensor]);
        keep_cheaper(points_[i].best, points[i].best_by_tensor_ranks[tensor]);
      }
    }
  }

  const FleetSpace& space_;
  const FleetBasis& basis_;
  const FleetLimits& limits_;
  const std::vector<Conditions>& conditions_;
  std::vector<PlanPhases> phases_;  // by expert ranks, conditions and tensor ranks
  std::mutex mutex_;
  std::vector<FleetPoint> points_;
};

}  // namespace

std::vector<PipelinePlan> FleetSpace::pipelines() const {
  std::vector<PipelinePlan> plans;
  for (Schedule schedule : schedules)
    for (int ranks : pipeline_ranks)
      for (int batches : micro_batches) {
        if (schedule != Schedule::interleaved) plans.push_back({schedule, ranks, batches});
        for (int chunks : chunks_per_rank)
          if (schedule == Schedule::interleaved) plans.push_back({schedule, ranks, batches, chunks});
      }
  return plans;
}

std::int64_t FleetSpace::plans_per_point() const {
  return static_cast<std::int64_t>(pipelines().size() * tensor_ranks.size() * expert_ranks.size());
}

std::string_view to_string(FleetLimit limit) {
  static constexpr std::array<std::string_view, kFleetLimits> names = {
      "division", "node", "layers", "schedule", "experts", "batch", "memory"};
  return names[static_cast<int>(limit)];
}

std::int64_t FleetPoint::plans() const {
  return std::accumulate(rejected.begin(), rejected.end(), within_limits);
}

FleetBasis dsv3_fleet_basis() { return {.phases = trace_phases(), .parts = trace_parts()}; }

std::vector<FleetPoint> search_fleet(const FleetSpace& space, const FleetBasis& basis,
                                     const FleetLimits& limits, const std::vector<Conditions>& conditions) {
  if (space.plans_per_point() == 0 || space.gpus.empty() || conditions.empty())
    throw Error(Fault::config, "there is no plan to compare",
                "name at least one of each number and one machine");
  return Search(space, basis, limits, conditions).run();
}

FleetVerdict cost_of_plan(const FleetPlan& plan, const FleetBasis& basis, const FleetLimits& limits,
                          const Conditions& conditions) {
  PlanRunner runner(basis, limits, plan.pipeline);
  if (const std::optional<FleetLimit> fails = runner.limit(plan)) return {.fails = fails};
  const ExpertRows rows = expert_rows(basis.model, plan.expert_ranks, limits.gpus_per_node);
  const PlanPhases phases = plan_phases(basis, with_expert_rows(conditions, rows), plan.tensor_ranks);
  return {.cost = runner.cost(plan, phases, runner.pipeline_s(phases), runner.memory())};
}

}  // namespace chokepoint
