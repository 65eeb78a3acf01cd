#include "harness/claims/training_scene.hpp"

#include "harness/claims/claim_model.hpp"
#include "harness/claims/dense_training.hpp"
#include "harness/claims/expert_step.hpp"
#include "harness/claims/kernel_source.hpp"

namespace chokepoint {

std::vector<SettingRule> training_settings() {
  return {{"layout", SettingKind::text},
          {"routing", SettingKind::text, 0.0, {"limit4_of_8"}},
          {"schedule", SettingKind::text, 0.0, {"1f1b", "interleaved_1f1b", "zbh1", "dualpipe", "dualpipev"}},
          {"report_rank", SettingKind::number, 0.0}};
}

std::vector<std::string> training_assumption_keys() {
  return {
      "expert_imbalance", "jitter_rel",         "sync_ms",           "opt_s",          "head_time",        "code_age",
      "compute_in_place", "aux_efficiency",     "transfer_in_place", "effective_time", "bf16_gemm_tflops", "clock_loss",
      "link_efficiency",  "network_efficiency", "tp_shown",          "dp_shown",       "memory_ms"};
}

std::vector<std::string> training_routes() { return {"trace", "kernels"}; }

// Phases are those of an H800: a claim about DeepSeek-V3 that names no machine means that one.
std::string training_hardware(const Claim& claim) {
  return claim.workload.text("model", "deepseek-v3") == "deepseek-v3" ? "h800-sxm" : "";
}

Prepared prepare_training(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that trained");
    return prepared;
  }
  const ModelShapes model = model_of(scene.claim, scene.configs);
  if (!model.architecture)
    prepared.missing.push_back("\"architecture\" in " + model.path);
  else if (model.architecture->experts && scene.route == "kernels")
    prepare_expert_step(scene, kernel_source(scene, prepared), prepared);
  else if (model.architecture->experts)
    prepare_expert_step(scene, aged(trace_source(*scene.machine, prepared), prepared), prepared);
  else
    prepare_dense_step(scene, model, prepared);
  return prepared;
}

}  // namespace chokepoint
