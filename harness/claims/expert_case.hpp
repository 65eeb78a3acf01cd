// What does one draw of a training step with experts come to? Phases, what is assumed about them, and the compiled
// schedule.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "harness/claims/phase_source.hpp"
#include "harness/claims/train_step.hpp"
#include "harness/claims/training_numbers.hpp"

namespace chokepoint {

class CompiledSteps;

// All that a draw needs besides what is drawn. Draws may run on several threads.
struct ExpertCase {
  std::shared_ptr<CompiledSteps> steps;
  PhaseSource phases;
  Conditions conditions;
  StepFacts facts;
  const TrainingNumber* number = nullptr;
  int report_rank = 0;
};

std::shared_ptr<CompiledSteps> compiled_steps(const TrainPlan& plan);  // throws Error{config} where it cannot run

// The draw has "sync_ms", "opt_s", "head_time", "expert_imbalance" and "jitter_rel".
std::vector<double> predict_expert_step(const ExpertCase& step, const Drawn& drawn);
std::string chrome_trace_of_step(const ExpertCase& step, const Drawn& drawn);

}  // namespace chokepoint
