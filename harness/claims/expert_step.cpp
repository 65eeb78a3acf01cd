#include "harness/claims/expert_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/claim_model.hpp"
#include "harness/claims/expert_case.hpp"
#include "harness/claims/op_model_functions.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

const char* const kTrace = "DeepSeek profile-data 4496024, train.json";

// Micro-batches of one pipeline in a step.
int micro_batches_of(const Claim& claim) {
  if (const auto given = claim.workload.number("micro_batches")) return whole(*given);
  const double sequences = claim.workload.number("global_batch_seqs", 15360.0);
  return whole(sequences / claim.system.number("dp", 128.0) / claim.workload.number("micro_batch_seqs", 1.0));
}

// Names of claims/1 for what harness/claims/schedule.hpp calls otherwise.
Schedule schedule_of(const std::string& name) {
  return parse_schedule(name == "zbh1" ? "zb-h1" : name == "interleaved_1f1b" ? "interleaved" : name);
}

TrainPlan expert_plan_of(const Claim& claim) {
  TrainPlan plan = dsv3_train_plan();
  const std::string schedule = claim.model.text("schedule", claim.system.text("schedule", "dualpipe"));
  plan.pipeline.schedule = schedule_of(schedule);
  plan.pipeline.ranks = whole(claim.system.number("pp", 16.0));
  plan.pipeline.micro_batches = micro_batches_of(claim);
  plan.layout = find_stage_layout(claim.model.text("layout", "dsv3_rank0_shared_ends"));
  return plan;
}

// The same, with the claim's own place in the message.
TrainPlan checked_plan(const Claim& claim) {
  try {
    TrainPlan plan = expert_plan_of(claim);
    TrainStep(plan).run(trace_phases());
    return plan;
  } catch (const Error& error) {
    claim.reject("system", error.message(), error.remedy());
  }
}

StepFacts facts_of(const Scene& scene, const TrainPlan& plan) {
  const Claim& claim = scene.claim;
  const ModelShapes model = model_of(claim, scene.configs);
  const double seq = claim.workload.number("seq", 4096.0), dp = claim.system.number("dp", 128.0);
  StepFacts facts;
  facts.scale.gpus = claim.system.number("gpus", dp * plan.pipeline.ranks);
  facts.scale.tokens_per_step = dp * plan.pipeline.micro_batches * claim.workload.number("micro_batch_seqs", 1.0) * seq;
  facts.causal_flop_per_token = 1e9 * op_model_value(model, "train_gflop_per_token", {{"seq", seq}, {"causal", 1.0}});
  facts.full_flop_per_token = 1e9 * op_model_value(model, "train_gflop_per_token", {{"seq", seq}, {"causal", 0.0}});
  facts.peak_flop_per_s = scene.machine->nominal(Resource::compute);
  facts.run_tokens = claim.workload.number("tokens", 0.0);
  return facts;
}

std::vector<Assumption> expert_assumptions() {
  return {{"expert_imbalance", 1.08, 1.02, 1.15, "prior",
           "rows of the busiest of 64 ranks over the mean; no training figure was published", 1.0},
          {"jitter_rel", 0.02, 0.005, 0.05, "prior", "half-normal deviation of every pass; a guess", 0.0},
          {"sync_ms", 1.0, 0.6, 1.8, "trace", std::string(kTrace) + ": waits at a collective, which also absorb skew",
           std::nullopt},
          {"opt_s", 0.26, 0.2, 0.36, "derived", "11.7 GB of gradients and parameters per GPU (ZeRO-1) at 45 GB/s",
           std::nullopt},
          {"head_time", 1.0, 0.85, 1.15, "prior",
           "of the output heads over 650 TFLOP/s and 1.5 ms for the loss, which are assumed", 1.0}};
}

std::string missing_in_expert_claim(const Claim& claim, const TrainingNumber& number) {
  if (number.needs_run_tokens && !claim.workload.has("tokens")) return "workload.tokens, the tokens of the whole run";
  if (claim.workload.text("model", "deepseek-v3") != "deepseek-v3")
    return fmt::format("phases of a training step of {}", claim.workload.text("model"));
  if (claim.workload.number("seq", 4096.0) != 4096.0) return "phases of a training step at another length than 4096";
  return "";
}

void add_machine_inputs(const Machine& machine, Prepared& prepared) {
  for (const Resource resource : {Resource::compute, Resource::memory, Resource::link, Resource::network}) {
    const MachineRate& rate = machine.rate[resource];
    if (rate.nominal)
      prepared.inputs.push_back({"machine." + std::string(to_string(resource)), *rate.nominal,
                                 std::string(unit_of(resource)) + "/s", Grade::c, rate.source});
  }
  prepared.uses = {Resource::memory, Resource::link, Resource::network, Resource::compute};
}

ExpertCase with_number(ExpertCase step, const TrainingNumber& number) {
  step.number = &number;
  return step;
}

using Change = std::function<void(TrainPlan&, Conditions&)>;

void add_alternative(const std::string& text, const ExpertCase& base, const TrainPlan& plan, const Change& change,
                     Prepared& prepared) {
  TrainPlan other = plan;
  ExpertCase step = base;
  change(other, step.conditions);
  if (!can_run(other.pipeline)) return;
  step.facts.scale.tokens_per_step *= static_cast<double>(other.pipeline.micro_batches) / plan.pipeline.micro_batches;
  step.steps = compiled_steps(other);
  prepared.alternatives.push_back({text, [step](const Drawn& drawn) { return predict_expert_step(step, drawn); }});
}

void add_expert_alternatives(const ExpertCase& step, const TrainPlan& plan, bool can_change_formats,
                             Prepared& prepared) {
  const auto add = [&](const std::string& text, const Change& change) {
    add_alternative(text, step, plan, change, prepared);
  };
  if (plan.pipeline.schedule == Schedule::dualpipe) {
    add("DualPipe without overlap of transfers", [](TrainPlan& p, Conditions&) { p.overlap = false; });
    add("ZB-H1, no overlap, instead of DualPipe",
        [](TrainPlan& p, Conditions&) { p.pipeline.schedule = Schedule::zb_h1; });
    add("1F1B, no overlap, instead of DualPipe",
        [](TrainPlan& p, Conditions&) { p.pipeline.schedule = Schedule::one_f_one_b; });
  }
  add("half the micro-batches", [](TrainPlan& p, Conditions&) { p.pipeline.micro_batches /= 2; });
  if (!can_change_formats) return;  // phases of single kernels are those of the formats they were measured in
  add("BF16 instead of FP8 products", [](TrainPlan&, Conditions& c) { c.gemm = Dtype::bf16; });
  add("BF16 instead of FP8 dispatch", [](TrainPlan&, Conditions& c) { c.dispatch = Dtype::bf16; });
  add("FP8 instead of BF16 combine", [](TrainPlan&, Conditions& c) { c.combine = Dtype::fp8_e4m3; });
  add("6 instead of 20 SMs for transfers", [](TrainPlan&, Conditions& c) { c.transfer_sms = 6; });
}

}  // namespace

void prepare_expert_step(const Scene& scene, const PhaseSource& phases, Prepared& prepared) {
  const Claim& claim = scene.claim;
  if (!prepared.missing.empty()) return;
  const TrainingNumber& number = training_number_of(claim);
  if (const std::string missing = missing_in_expert_claim(claim, number); !missing.empty()) {
    prepared.missing.push_back(missing);
    return;
  }
  const TrainPlan plan = checked_plan(claim);
  const int rank = whole(claim.model.number("report_rank", 0.0));
  if (rank >= plan.pipeline.ranks)
    claim.reject("model/report_rank", fmt::format("is {}, but there are ranks 0 to {}", rank, plan.pipeline.ranks - 1),
                 "correct it");
  const ExpertCase step{compiled_steps(plan),  phases,  conditions_of(*scene.machine, scene.configs),
                        facts_of(scene, plan), &number, rank};
  prepared.rows = number.rows;
  prepared.base_unit = number.base_unit;
  for (Assumption& assumption : expert_assumptions()) prepared.assumptions.push_back(std::move(assumption));
  add_machine_inputs(*scene.machine, prepared);
  if (scene.route != "kernels")  // the trace has no head
    prepared.inputs.push_back({"head", 1e3 * (trace_phases().head.forward_s + trace_phases().head.backward_s()), "ms",
                               Grade::d, "2 x 4096 x 7168 x 129280 FLOP at an assumed 650 TFLOP/s"});
  if (scene.route == "kernels") std::erase(prepared.uses, Resource::compute);  // rows are of the machine as it is
  add_expert_alternatives(step, plan, scene.route != "kernels", prepared);
  prepared.notes.push_back("stage layout: inferred, not published; DualPipe's schedule run by its dependencies");
  if (number.needs_rank) prepared.notes.push_back(fmt::format("of rank {}; which one was meant is inferred", rank));
  prepared.predict = [step](const Drawn& drawn) { return predict_expert_step(step, drawn); };
  prepared.gpu_seconds_of = gpu_time_counts(claim);
  prepared.gpu_seconds = [hours = with_number(step, gpu_time_of(claim))](const Drawn& drawn) {
    return predict_expert_step(hours, drawn);
  };
  const ExpertArchitecture experts = *model_of(claim, scene.configs).architecture->experts;
  prepared.expert_ranks = {"expert_imbalance", experts.count, experts.top_k, whole(claim.system.number("ep", 64.0))};
  prepared.chrome_trace = [step](const Drawn& drawn) { return chrome_trace_of_step(step, drawn); };
}

}  // namespace chokepoint
