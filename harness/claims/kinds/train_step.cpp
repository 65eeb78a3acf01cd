// train_step: hours, rates and parts of a training step from its phases and its schedule.
#include "harness/claims/claim_model.hpp"
#include "harness/claims/expert_step.hpp"

namespace chokepoint {
namespace {

Prepared prepare(const Scene& scene) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that trained");
    return prepared;
  }
  const ModelShapes model = model_of(scene.claim, scene.configs);
  if (!model.architecture || !model.architecture->experts) {
    prepared.missing.push_back("a training step of a model without experts");
    return prepared;
  }
  prepare_expert_step(scene, trace_source(prepared), prepared);
  return prepared;
}

const Register<Derivation> derivation{
    {.name = "train_step",
     .summary = "a training step from phases and a pipeline schedule",
     .settings = {{"layout", SettingKind::text},
                  {"routing", SettingKind::text, 0.0, {"limit4_of_8"}},
                  {"schedule", SettingKind::text, 0.0, {"1f1b", "interleaved_1f1b", "zbh1", "dualpipe", "dualpipev"}},
                  {"report_rank", SettingKind::number, 0.0}},
     .assumption_keys = {"expert_imbalance", "jitter_rel", "sync_ms", "opt_s", "effective_time", "bf16_gemm_tflops"},
     .prepare = prepare}};

}  // namespace
}  // namespace chokepoint
