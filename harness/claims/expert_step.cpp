#include "harness/claims/expert_step.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <mutex>

#include "harness/base/error.hpp"
#include "harness/claims/chrome_trace.hpp"
#include "harness/claims/claim_kernels.hpp"
#include "harness/claims/claim_model.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/claims/nanoseconds.hpp"
#include "harness/claims/op_model_functions.hpp"
#include "harness/claims/trace_phases.hpp"
#include "harness/claims/training_numbers.hpp"

namespace chokepoint {
namespace {

const char* const kTracedMachine = "h800-sxm";
const char* const kTrace = "DeepSeek profile-data 4496024, train.json";

// Steps compiled for one plan. A step is for one thread at a time; draws run on several.
class Steps {
 public:
  explicit Steps(TrainPlan plan) : plan_(std::move(plan)) { give_back(take()); }

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

// All that a draw needs besides what is drawn.
struct StepCase {
  std::shared_ptr<Steps> steps;
  PhaseSource phases;
  Conditions conditions;
  StepFacts facts;
  const TrainingNumber* number = nullptr;
  int report_rank = 0;
};

TrainingPhases phases_in(const StepCase& step, const Drawn& drawn) {
  TrainingPhases phases = step.phases(step.conditions, drawn);
  phases.expert_layer.sync_s = drawn["sync_ms"] * 1e-3;
  phases.optimizer_s = drawn["opt_s"];
  for (double* part : {&phases.head.forward_s, &phases.head.backward_input_s, &phases.head.weight_s})
    *part *= drawn["head_time"];
  return with_imbalance(phases, std::max(1.0, drawn["expert_imbalance"]));
}

Jitter jitter_in(const Drawn& drawn) { return {drawn["jitter_rel"], drawn.seed() + drawn.index()}; }

std::vector<double> predict_expert(const StepCase& step, const Drawn& drawn) {
  std::unique_ptr<TrainStep> run = step.steps->take();
  StepFacts facts = step.facts;
  facts.step_s = run->run(phases_in(step, drawn), jitter_in(drawn));
  if (step.number->needs_rank) facts.rank = run->breakdown(step.report_rank);
  step.steps->give_back(std::move(run));
  return step.number->values(facts);
}

// The step with every assumption at its value.
std::string trace_of(const StepCase& step, const Drawn& drawn) {
  std::unique_ptr<TrainStep> run = step.steps->take();
  const TrainingPhases phases = phases_in(step, drawn);
  run->run(phases, jitter_in(drawn));
  std::string text = chrome_trace(run->pipeline(), run->pipeline_run(), to_ns(phases.hop_s));
  step.steps->give_back(std::move(run));
  return text;
}

int whole_steps(double value) { return static_cast<int>(std::lround(value)); }

// Micro-batches of one pipeline in a step.
int micro_batches_of(const Claim& claim) {
  if (const auto given = claim.workload.number("micro_batches")) return whole_steps(*given);
  const double sequences = claim.workload.number("global_batch_seqs", 15360.0);
  return whole_steps(sequences / claim.system.number("dp", 128.0) /
                     claim.workload.number("micro_batch_seqs", 1.0));
}

// Names of claims/1 for what harness/claims/schedule.hpp calls otherwise.
Schedule schedule_of(const std::string& name) {
  return parse_schedule(name == "zbh1" ? "zb-h1" : name == "interleaved_1f1b" ? "interleaved" : name);
}

TrainPlan expert_plan_of(const Claim& claim) {
  TrainPlan plan = dsv3_train_plan();
  const std::string schedule = claim.model.text("schedule", claim.system.text("schedule", "dualpipe"));
  plan.pipeline.schedule = schedule_of(schedule);
  plan.pipeline.ranks = whole_steps(claim.system.number("pp", 16.0));
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

using Change = std::function<void(TrainPlan&, Conditions&)>;

void add_alternative(const std::string& text, const StepCase& base, const TrainPlan& plan, const Change& change,
                     Prepared& prepared) {
  TrainPlan other = plan;
  StepCase step = base;
  change(other, step.conditions);
  if (!can_run(other.pipeline)) return;
  step.facts.scale.tokens_per_step *= static_cast<double>(other.pipeline.micro_batches) / plan.pipeline.micro_batches;
  step.steps = std::make_shared<Steps>(other);
  prepared.alternatives.push_back({text, [step](const Drawn& drawn) { return predict_expert(step, drawn); }});
}

void add_expert_alternatives(const StepCase& step, const TrainPlan& plan, bool can_change_formats,
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

double rate_of_dtype(const Machine& machine, Dtype dtype) {
  const auto found = machine.compute.find(dtype);
  if (found != machine.compute.end() && found->second.nominal) return *found->second.nominal;
  throw Error(Fault::config,
              fmt::format("profile {} has no rate for compute in {}", machine.profile.id, to_string(dtype)),
              "name a machine that multiplies in it");
}

}  // namespace

Conditions conditions_of(const Machine& machine, const std::string& configs) {
  Conditions conditions;
  const double set = set_ratio(machine, Resource::compute);
  const std::string& id = machine.profile.id;
  const auto products = measured_time_ratio(configs, "matmul", id, kTracedMachine);
  const auto attention = measured_time_ratio(configs, "attention", id, kTracedMachine);
  const Conditions traced;
  conditions.gemm_flop_per_s =
      products ? set * traced.gemm_flop_per_s / *products : rate_of_dtype(machine, Dtype::fp8_e4m3);
  conditions.attention_flop_per_s =
      attention ? set * traced.attention_flop_per_s / *attention : rate_of_dtype(machine, Dtype::bf16);
  conditions.memory_bytes_per_s = machine.nominal(Resource::memory);
  conditions.link_bytes_per_s = machine.nominal(Resource::link);
  conditions.network_bytes_per_s = machine.nominal(Resource::network);
  // A rate that nobody measured is taken to be achieved as well as an H800's.
  if (machine.profile.link.achieved) conditions.link_efficiency = machine.rate[Resource::link].efficiency;
  if (machine.profile.network.achieved) conditions.network_efficiency = machine.rate[Resource::network].efficiency;
  if (machine.profile.sm_count) conditions.sms = whole_steps(machine.profile.sm_count->value);
  return conditions;
}

PhaseSource trace_source(const Machine& machine, Prepared& prepared) {
  const TrainingPhases phases = trace_phases();
  const std::string in_trace = std::string(kTrace) + ", kernels of one layer pair in place";
  const auto add = [&](const std::string& key, double seconds, const std::string& source) {
    prepared.inputs.push_back({key, seconds * 1e3, "ms", Grade::c, source});
  };
  const ExpertLayerTimes& layer = phases.expert_layer;
  add("gemm.fp8.attention", layer.attention.forward_s + layer.attention.backward_s(), in_trace);
  add("gemm.fp8.mlp", layer.mlp.forward_s + layer.mlp.backward_s(), in_trace);
  add("attn.fwd.192_128", trace_parts().attention.forward.attention_s, in_trace);
  add("attn.bwd.192_128", trace_parts().attention.backward_input.attention_s, in_trace);
  add("stream.aux", trace_parts().attention.forward.memory_s + trace_parts().mlp.forward.memory_s, in_trace);
  add("a2a.dispatch.fp8", layer.dispatch_forward_s, in_trace);
  add("a2a.combine.bf16", layer.combine_forward_s, in_trace);
  prepared.notes.push_back("phases: " + std::string(kTrace) +
                           ", one rank of 64, perfectly balanced, without transfers between stages");
  const RescaleReach reach = machine.profile.id == kTracedMachine ? RescaleReach::expert_layers : RescaleReach::whole_step;
  return [phases, reach, parts = trace_parts()](const Conditions& conditions, const Drawn&) {
    return rescaled(phases, parts, Conditions{}, conditions, reach);
  };
}

PhaseSource aged(PhaseSource source, Prepared& prepared) {
  prepared.assumptions.push_back(
      {"code_age", 1.0, 0.97, 1.03, "prior",
       "kernels of August to December 2024, when the run was, over those of February 2025, when the trace was", 1.0});
  return [source = std::move(source)](const Conditions& conditions, const Drawn& drawn) {
    TrainingPhases phases = source(conditions, drawn);
    ExpertLayerTimes& layer = phases.expert_layer;
    for (PassTimes* pass : {&layer.attention, &layer.mlp, &phases.dense_mlp})
      for (double* part : {&pass->forward_s, &pass->backward_input_s, &pass->weight_s}) *part *= drawn["code_age"];
    for (double* part :
         {&layer.dispatch_forward_s, &layer.combine_forward_s, &layer.combine_backward_s, &layer.dispatch_backward_s})
      *part *= drawn["code_age"];
    return phases;
  };
}

void prepare_expert_step(const Scene& scene, const PhaseSource& phases, Prepared& prepared) {
  const Claim& claim = scene.claim;
  if (!prepared.missing.empty()) return;
  const TrainingNumber& number = training_number_of(claim);
  if (const std::string missing = missing_in_expert_claim(claim, number); !missing.empty()) {
    prepared.missing.push_back(missing);
    return;
  }
  const TrainPlan plan = checked_plan(claim);
  const int rank = whole_steps(claim.model.number("report_rank", 0.0));
  if (rank >= plan.pipeline.ranks)
    claim.reject("model/report_rank", fmt::format("is {}, but there are ranks 0 to {}", rank, plan.pipeline.ranks - 1),
                 "correct it");
  const StepCase step{std::make_shared<Steps>(plan), phases,  conditions_of(*scene.machine, scene.configs),
                      facts_of(scene, plan),         &number, rank};
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
  prepared.predict = [step](const Drawn& drawn) { return predict_expert(step, drawn); };
  prepared.chrome_trace = [step](const Drawn& drawn) { return trace_of(step, drawn); };
}

}  // namespace chokepoint
