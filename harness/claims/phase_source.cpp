#include "harness/claims/phase_source.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/claims/claim_kernels.hpp"
#include "harness/claims/missing_input.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

const char* const kTracedMachine = "h800-sxm";
const char* const kPublicTrace = "DeepSeek profile-data 4496024, train.json";

double datasheet_rate(const Machine& machine, Dtype dtype) {
  const auto found = machine.compute.find(dtype);
  if (found != machine.compute.end() && found->second.nominal) return *found->second.nominal;
  throw MissingInput(Fault::config,
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
      products ? set * traced.gemm_flop_per_s / *products : datasheet_rate(machine, Dtype::fp8_e4m3);
  conditions.attention_flop_per_s =
      attention ? set * traced.attention_flop_per_s / *attention : datasheet_rate(machine, Dtype::bf16);
  conditions.memory_bytes_per_s = machine.nominal(Resource::memory);
  conditions.link_bytes_per_s = machine.nominal(Resource::link);
  conditions.network_bytes_per_s = machine.nominal(Resource::network);
  // A rate that nobody measured is taken to be achieved as well as an H800's.
  if (machine.profile.link.achieved) conditions.link_efficiency = machine.rate[Resource::link].efficiency;
  if (machine.profile.network.achieved) conditions.network_efficiency = machine.rate[Resource::network].efficiency;
  if (machine.profile.sm_count) conditions.sms = static_cast<int>(std::lround(machine.profile.sm_count->value));
  return conditions;
}

PhaseSource trace_source(const Machine& machine, Prepared& prepared) {
  const TrainingPhases phases = trace_phases();
  const std::string in_trace = std::string(kPublicTrace) + ", kernels of one layer pair in place";
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
  prepared.notes.push_back("phases: " + std::string(kPublicTrace) +
                           ", one rank of 64, perfectly balanced, without transfers between stages");
  const RescaleReach reach =
      machine.profile.id == kTracedMachine ? RescaleReach::expert_layers : RescaleReach::whole_step;
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

}  // namespace chokepoint
