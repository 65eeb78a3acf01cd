#include "harness/claims/expert_case.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "harness/claims/chrome_trace.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/claims/nanoseconds.hpp"

namespace chokepoint {

// Steps compiled for one plan. A step is for one thread at a time; draws run on several.
class CompiledSteps {
 public:
  explicit CompiledSteps(TrainPlan plan) : plan_(std::move(plan)) { give_back(take()); }

  std::unique_ptr<TrainStep> take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<TrainStep>(plan_);
    std::unique_ptr<TrainStep> step = std::move(free_.back());
    free_.pop_back();
    return step;
  }

  void give_back(std::unique_ptr<TrainStep> step) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(step));
  }

 private:
  TrainPlan plan_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<TrainStep>> free_;
};

namespace {

TrainingPhases phases_in(const ExpertCase& step, const Drawn& drawn) {
  TrainingPhases phases = step.phases(step.conditions, drawn);
  phases.expert_layer.sync_s = drawn["sync_ms"] * 1e-3;
  phases.optimizer_s = drawn["opt_s"];
  for (double* part : {&phases.head.forward_s, &phases.head.backward_input_s, &phases.head.weight_s})
    *part *= drawn["head_time"];
  return with_imbalance(phases, std::max(1.0, drawn["expert_imbalance"]));
}

Jitter jitter_in(const Drawn& drawn) { return {drawn["jitter_rel"], drawn.seed() + drawn.index()}; }

}  // namespace

std::shared_ptr<CompiledSteps> compiled_steps(const TrainPlan& plan) { return std::make_shared<CompiledSteps>(plan); }

std::vector<double> predict_expert_step(const ExpertCase& step, const Drawn& drawn) {
  std::unique_ptr<TrainStep> run = step.steps->take();
  StepFacts facts = step.facts;
  facts.step_s = run->run(phases_in(step, drawn), jitter_in(drawn));
  if (step.number->needs_rank) facts.rank = run->breakdown(step.report_rank);
  step.steps->give_back(std::move(run));
  return step.number->values(facts);
}

std::string chrome_trace_of_step(const ExpertCase& step, const Drawn& drawn) {
  std::unique_ptr<TrainStep> run = step.steps->take();
  const TrainingPhases phases = phases_in(step, drawn);
  run->run(phases, jitter_in(drawn));
  std::string text = chrome_trace(run->pipeline(), run->pipeline_run(), to_ns(phases.hop_s));
  step.steps->give_back(std::move(run));
  return text;
}

}  // namespace chokepoint
