#include "harness/claims/dense_training.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/dense_step.hpp"
#include "harness/claims/missing_input.hpp"
#include "harness/claims/training_numbers.hpp"

namespace chokepoint {
namespace {

// All that a draw needs besides what is drawn.
struct DenseCase {
  DenseShape shape;
  DensePlan plan;
  double link_bytes_per_s = 0.0, network_bytes_per_s = 0.0, memory_slowdown = 1.0, compute_slowdown = 1.0;
  StepFacts facts;
  const TrainingNumber* number = nullptr;
};

DenseRates rates_in(const DenseCase& dense, const Drawn& drawn) {
  DenseRates rates;
  rates.gemm_flop_per_s = drawn["bf16_gemm_tflops"] * 1e12 / dense.compute_slowdown;
  rates.link_bytes_per_s = dense.link_bytes_per_s * std::min(1.0, drawn["link_efficiency"]);
  rates.network_bytes_per_s = dense.network_bytes_per_s * std::min(1.0, drawn["network_efficiency"]);
  rates.memory_time_s = drawn["memory_ms"] * 1e-3 * dense.memory_slowdown;
  rates.tensor_transfers_shown = std::min(1.0, drawn["tp_shown"]);
  rates.data_transfers_shown = std::min(1.0, drawn["dp_shown"]);
  return rates;
}

std::vector<double> predict_dense(const DenseCase& dense, const Drawn& drawn) {
  StepFacts facts = dense.facts;
  facts.step_s = dense_step(dense.shape, dense.plan, rates_in(dense, drawn)).step_s * drawn["clock_loss"];
  facts.effective_time = std::min(1.0, drawn["effective_time"]);
  return dense.number->values(facts);
}

std::vector<Assumption> dense_assumptions() {
  const char* const guess = "a guess at what Llama 3's own code reached";
  return {
      {"bf16_gemm_tflops",
       620,
       580,
       660,
       "measure",
       "rate of BF16 products and attention; a guess until measured here",
       {}},
      {"effective_time",
       0.9,
       0.88,
       0.95,
       "published",
       "Llama 3 paper (arXiv 2407.21783), section 3.3.4: above 90 %",
       {}},
      {"clock_loss", 1.01, 1.001, 1.02, "published",
       "the same section: throughput varies by 1 to 2 % with the time of day", 1.0},
      {"link_efficiency", 0.8, 0.75, 0.85, "published", "DeepEP docs/legacy.md: 160 of 200 GB/s on NVLink", {}},
      {"network_efficiency", 0.9, 0.8, 0.97, "published", "40 GB/s (DeepEP) to 48.5 GB/s (SimAI cef83f9) of 50", {}},
      {"tp_shown",
       1.0,
       0.85,
       1.0,
       "prior",
       std::string(guess) + ": share of transfers between tensor ranks that shows",
       {}},
      {"dp_shown", 0.5, 0.3, 0.8, "prior", std::string(guess) + ": share of gradient exchange that shows", {}},
      {"memory_ms",
       2.2,
       1.8,
       2.7,
       "prior",
       "norms, activations and rotations of a layer, per 8192 tokens; estimated from bytes",
       {}}};
}

DensePlan dense_plan_of(const Claim& claim) {
  DensePlan plan;
  plan.tensor_ranks = whole(claim.system.number("tp", 1.0));
  plan.data_parallel = whole(claim.system.number("dp", 1.0));
  plan.pipeline.ranks = whole(claim.system.number("pp", 1.0));
  plan.pipeline.chunks_per_rank = whole(claim.system.number("vp", 1.0));
  plan.pipeline.micro_batches = whole(claim.workload.number("micro_batches", 1.0));
  plan.sequence = claim.workload.number("seq", 8192.0);
  const bool has_chunks = plan.pipeline.chunks_per_rank > 1;
  const std::string fallback = has_chunks ? "interleaved_1f1b" : "1f1b";
  const std::string name = claim.model.text("schedule", claim.system.text("schedule", fallback));
  plan.pipeline.schedule = parse_schedule(name == "interleaved_1f1b" ? "interleaved" : name == "zbh1" ? "zb-h1" : name);
  return plan;
}

std::string missing_in_dense_claim(const Claim& claim, const TrainingNumber& number) {
  if (number.needs_rank) return "the parts of a step of a dense model, rank by rank";
  if (claim.system.number("cp", 1.0) != 1.0) return "context parallelism in a training step";
  for (const char* key : {"tp", "pp", "dp"})
    if (!claim.system.has(key)) return fmt::format("system.{}", key);
  for (const char* key : {"seq", "micro_batches"})
    if (!claim.workload.has(key)) return fmt::format("workload.{}", key);
  return number.needs_run_tokens && !claim.workload.has("tokens") ? "workload.tokens, the tokens of the whole run" : "";
}

// The assumed rates are those of an H100; another machine has them in proportion to its datasheet.
double against_h100(double h100, double own) { return h100 / own; }

DenseCase case_of(const Scene& scene, const ModelShapes& model, const TrainingNumber& number) {
  const Machine& machine = *scene.machine;
  DenseCase dense;
  dense.shape = dense_shape_of(model);
  dense.plan = dense_plan_of(scene.claim);
  dense.number = &number;
  dense.link_bytes_per_s = machine.nominal(Resource::link);
  dense.network_bytes_per_s = machine.nominal(Resource::network);
  dense.memory_slowdown = against_h100(3.35e12, machine.nominal(Resource::memory));
  dense.compute_slowdown = against_h100(989e12, machine.nominal(Resource::compute));
  dense.facts.scale = dense.plan.scale();
  dense.facts.causal_flop_per_token = dense.shape.model_flop_per_token(dense.plan.sequence, true);
  dense.facts.full_flop_per_token = dense.shape.model_flop_per_token(dense.plan.sequence, false);
  dense.facts.peak_flop_per_s = machine.nominal(Resource::compute);
  dense.facts.run_tokens = scene.claim.workload.number("tokens", 0.0);
  return dense;
}

DenseCase checked_case(const Scene& scene, const ModelShapes& model, const TrainingNumber& number) {
  try {
    const DenseCase dense = case_of(scene, model, number);
    dense_step(dense.shape, dense.plan, {});
    return dense;
  } catch (const MissingInput&) {
    throw;
  } catch (const Error& error) {
    scene.claim.reject("system", error.message(), error.remedy());
  }
}

void add_inputs(const Machine& machine, const ModelShapes& model, Prepared& prepared) {
  prepared.inputs.push_back(
      {"model." + model.id, static_cast<double>(model.layers), "layers", Grade::c, model.source});
  for (const Resource resource : {Resource::compute, Resource::memory, Resource::link, Resource::network})
    prepared.inputs.push_back({"machine." + std::string(to_string(resource)), machine.nominal(resource),
                               std::string(unit_of(resource)) + "/s", Grade::c, machine.rate[resource].source});
  prepared.uses = {Resource::link, Resource::network, Resource::memory};
}

void add_dense_alternatives(const DenseCase& dense, Prepared& prepared) {
  DenseCase one_chunk = dense;
  one_chunk.plan.pipeline.chunks_per_rank = 1;
  one_chunk.plan.pipeline.schedule = Schedule::one_f_one_b;
  prepared.alternatives.push_back(
      {"1F1B with one chunk per rank", [one_chunk](const Drawn& d) { return predict_dense(one_chunk, d); }});
  DenseCase twice = dense;
  twice.plan.pipeline.micro_batches *= 2;
  twice.facts.scale = twice.plan.scale();
  prepared.alternatives.push_back(
      {"twice the micro-batches", [twice](const Drawn& d) { return predict_dense(twice, d); }});
}

}  // namespace

void prepare_dense_step(const Scene& scene, const ModelShapes& model, Prepared& prepared) {
  const TrainingNumber& number = training_number_of(scene.claim);
  if (const std::string missing = missing_in_dense_claim(scene.claim, number); !missing.empty()) {
    prepared.missing.push_back(missing);
    return;
  }
  const DenseCase dense = checked_case(scene, model, number);
  prepared.has_one_route = true;
  prepared.rows = number.rows;
  prepared.base_unit = number.base_unit;
  prepared.assumptions = dense_assumptions();
  add_inputs(*scene.machine, model, prepared);
  add_dense_alternatives(dense, prepared);
  prepared.notes.push_back(
      fmt::format("{} chunks of layers per rank: inferred where the source is silent; products at one rate for all "
                  "shapes, an H100's",
                  dense.plan.pipeline.chunks_per_rank));
  prepared.predict = [dense](const Drawn& drawn) { return predict_dense(dense, drawn); };
  DenseCase hours = dense;
  hours.number = &gpu_time_of(scene.claim);
  prepared.gpu_seconds_of = gpu_time_counts(scene.claim);
  prepared.gpu_seconds = [hours](const Drawn& drawn) { return predict_dense(hours, drawn); };
}

}  // namespace chokepoint
