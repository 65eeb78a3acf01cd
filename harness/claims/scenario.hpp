// What does a training step cost if one thing were otherwise? What `--set key=value` can change, and by how
// much that moves the GPU-hours per token.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/phase_parts.hpp"
#include "harness/claims/phases.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/train_step.hpp"
#include "harness/claims/what_if.hpp"

namespace chokepoint {

struct Profile;

// The defaults are DeepSeek-V3's published run on H800s, its experts out of balance by 10 percent (a prior).
struct Scenario {
  TrainPlan plan = dsv3_train_plan();
  Conditions conditions;
  double imbalance = 1.10;
  double data_parallel = 128;  // copies of the pipeline, one GPU per rank
  double tokens_per_micro_batch = 4096;

  StepScale scale() const;
};

// "link", "network", "memory" (rates: "450GB/s"; link and network per direction), "tensor_clock" (a share:
// "0.9"), "transfer_sms", "gemm", "dispatch", "combine" ("fp8_e4m3" or "bf16"), "node_limit" ("2", "4" or
// "none"), "imbalance", "micro_batches", "schedule", "overlap" ("on" or "off").
const std::vector<std::string>& scenario_keys();

// Throws Error{config} with the nearest key, or with what values the key takes. Several changes add up;
// whether they can run together shows when the step is made.
void set(Scenario& scenario, const std::string& key, const std::string& value);

// Rates of a machine's datasheet, and the share that its link and network achieve where the profile knows it.
// Kernels are taken to reach the same share of compute and memory everywhere. Throws Error{config} where a
// figure is missing.
void set_machine(Scenario& scenario, const Profile& profile);

// Hours of scenarios that all start from the same phases.
class ScenarioModel {
 public:
  ScenarioModel(TrainingPhases phases, PhaseParts parts, Scenario base, RescaleReach reach = RescaleReach::expert_layers);

  double step_s(const Scenario& scenario) const;
  double gpu_hours_per_trillion_tokens(const Scenario& scenario) const;
  double change(const Scenario& scenario) const;  // 0.44: 44 percent more hours than the base

  const Scenario& base() const { return base_; }

 private:
  TrainingPhases phases_;
  PhaseParts parts_;
  Scenario base_;
  RescaleReach reach_;
};

}  // namespace chokepoint
