#include "harness/claims/kernel_source.hpp"

#include <algorithm>
#include <cmath>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/claims/claim_kernels.hpp"
#include "harness/claims/claim_model.hpp"
#include "harness/claims/kernel_phases.hpp"

namespace chokepoint {
namespace {

KernelPhaseFactors factors_in(const Conditions& conditions, const Drawn& drawn) {
  KernelPhaseFactors factors;
  factors.compute_in_place = drawn["compute_in_place"];
  factors.traffic_efficiency = std::min(1.0, drawn["aux_efficiency"]);
  factors.transfer_in_place = std::min(1.0, drawn["transfer_in_place"]);
  factors.network_efficiency = conditions.network_efficiency;
  factors.link_efficiency = conditions.link_efficiency;
  return factors;
}

StepMachine machine_under(const Conditions& conditions) {
  const double sms = conditions.sms;
  return {sms, sms - conditions.transfer_sms, conditions.memory_bytes_per_s, conditions.network_bytes_per_s,
          conditions.link_bytes_per_s};
}

void add_assumptions(Prepared& prepared) {
  const std::string compared =
      "kernels of DeepSeek profile-data 4496024 against the same kernels alone (InferSim f2293da)";
  prepared.assumptions.push_back(
      {"compute_in_place", 1.06, 1.0, 1.13, "prior", compared + ": time beside transfers", {}});
  prepared.assumptions.push_back(
      {"aux_efficiency",
       0.58,
       0.48,
       0.70,
       "prior",
       "of memory's rate, for norms, casts and permutes; the trace implies 0.52 of estimated bytes",
       {}});
  prepared.assumptions.push_back({"transfer_in_place",
                                  0.75,
                                  0.62,
                                  0.88,
                                  "prior",
                                  "rate of transfers beside compute over that alone, one trace of one rank",
                                  {}});
}

// Absent where the table has no row for a kernel of the step, which `missing` then names.
std::optional<StepParts> parts_of(const KernelTable& table, const ModelShapes& model, const Scene& scene,
                                  Prepared& prepared) {
  try {
    return step_parts(table, model, StepPlan{}, machine_under(conditions_of(scene.machine.value(), scene.configs)));
  } catch (const Error& error) {
    prepared.missing.push_back(error.message());
    return std::nullopt;
  }
}

}  // namespace

PhaseSource kernel_source(const Scene& scene, Prepared& prepared) {
  const std::shared_ptr<const KernelTable> table = kernels_for(scene);
  const ModelShapes model = model_of(scene.claim, scene.configs);
  const std::optional<StepParts> found = parts_of(*table, model, scene, prepared);
  if (!found) return {};
  const StepParts& parts = *found;
  add_kernel_inputs(*table, parts.sources, prepared);
  prepared.inputs.push_back({"a2a.dispatch.fp8", parts.rows.network.rows * parts.dispatch_row_bytes,
                             "B over the network", Grade::c,
                             "closed form: rows of 7392 B to 4 nodes per token, less the own one"});
  prepared.inputs.push_back({"a2a.combine.bf16", parts.rows.network.rows * parts.combine_row_bytes,
                             "B over the network", Grade::c,
                             "closed form: rows of 14336 B from 4 nodes per token, less the own one"});
  add_assumptions(prepared);
  prepared.notes.push_back(
      "phases: single kernels measured alone, stretched to the SMs that transfers leave; weight "
      "gradients and attention's backward pass are the trace's, nobody published them alone");
  return [table, parts = *found](const Conditions& conditions, const Drawn& drawn) {
    return phases_from_kernels(parts, machine_under(conditions), factors_in(conditions, drawn));
  };
}

}  // namespace chokepoint
