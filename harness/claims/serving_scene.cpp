#include "harness/claims/serving_scene.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/claim_model.hpp"
#include "harness/claims/missing_input.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kNumbers = {"tok_s_node", "tok_s_node_computed", "tok_s_gpu"};

double per_gpu_or_node(const Claim& claim, double tokens_per_s) {
  return claim.quantity.name == "tok_s_gpu" ? tokens_per_s : 8.0 * tokens_per_s;
}

bool assumes(const Claim& claim, const std::string& key) {
  return std::any_of(claim.assumptions.begin(), claim.assumptions.end(),
                     [&](const Assumption& assumption) { return assumption.key == key; });
}

bool has_load(const Claim& claim) { return assumes(claim, "utilization"); }

// Faster kernels are a faster machine, where kernels bind.
double per_build(double rate, Resource bound, const Drawn& drawn) {
  return bound == Resource::compute ? rate * drawn["builds"] : rate;
}

void add_assumption(Prepared& prepared, Assumption assumption) {
  for (const Assumption& known : prepared.assumptions)
    if (known.key == assumption.key) return;
  prepared.assumptions.push_back(std::move(assumption));
}

void add_shared(const Scene& scene, Prepared& prepared) {
  add_assumption(
      prepared,
      {"ep_imbalance", 1.05, 1.0, 1.2, "prior",
       "rows of the busiest GPU over the average; SGLang measured 18 % between default and perfect placement", 1.0});
  add_assumption(prepared,
                 {"builds",
                  1.0,
                  0.9,
                  1.1,
                  "prior",
                  "rate of kernels in use over those measured one by one: DeepGEMM changed by 5 % in a month of 2025, "
                  "FlashMLA's authors state 20 % more than was measured",
                  {}});
  if (!has_load(scene.claim)) return;
  add_assumption(
      prepared,
      {"utilization", 0.55, 0.35, 0.8, "prior", "share of a day at the kernels' limit; load is not published", {}});
  prepared.load_factor = "utilization";
}

double load_in(const Prepared& prepared, const Drawn& drawn) {
  return prepared.load_factor.empty() ? 1.0 : std::min(1.0, drawn["utilization"]);
}

double imbalance_in(const Drawn& drawn) { return std::max(1.0, drawn["ep_imbalance"]); }

PrefillPlan prefill_plan(const Claim& claim) {
  PrefillPlan plan;
  plan.sequence = claim.workload.number("seq", plan.sequence);
  plan.micro_batches = static_cast<int>(claim.workload.number("microbatches", plan.micro_batches));
  plan.tokens = claim.workload.number("tokens_per_gpu", 2.0 * plan.tokens) / plan.micro_batches;
  if (claim.kind == "serve_prefill")
    plan.placement.nodes = static_cast<std::int64_t>(claim.workload.number("ep", 32.0) / 8.0);
  return plan;
}

DecodePlan decode_plan(const Claim& claim) {
  DecodePlan plan;
  plan.sequences = claim.workload.number("batch_per_gpu", plan.sequences);
  plan.context = claim.workload.number("ctx", plan.context);
  plan.micro_batches = static_cast<int>(claim.workload.number("microbatches", plan.micro_batches));
  plan.ranks = static_cast<std::int64_t>(claim.workload.number("ep", static_cast<double>(plan.ranks)));
  plan.redundant = static_cast<std::int64_t>(claim.workload.number("redundant", 0.0));
  plan.accepted_drafts = claim.workload.number("mtp_acceptance", 0.0);
  return plan;
}

std::shared_ptr<const ModelShapes> shared_model(const Scene& scene) {
  return std::make_shared<const ModelShapes>(model_of(scene.claim, scene.configs));
}

std::string missing_in_model(const ModelShapes& model) {
  if (!model.architecture) return "\"architecture\" in " + model.path;
  if (!model.architecture->experts || model.architecture->attention.kind != AttentionKind::latent)
    return fmt::format("kernels of serving {}: only models with experts and latent attention are modelled", model.id);
  return "";
}

// What only the claim can have caused carries its place; a kernel that nobody measured is not of that kind.
template <class Body>
auto with_place(const Claim& claim, const Body& body) {
  try {
    return body();
  } catch (const MissingInput&) {
    throw;
  } catch (const Error& error) {
    claim.reject("workload", error.message(), error.remedy());
  }
}

void add_ranks(const ModelShapes& model, std::int64_t ranks, Prepared& prepared) {
  const ExpertArchitecture& experts = *model.architecture->experts;
  prepared.expert_ranks = {"ep_imbalance", experts.count, experts.top_k, ranks};
}

void add_uses(Prepared& prepared) { prepared.uses = {Resource::memory, Resource::network, Resource::link}; }

}  // namespace

std::vector<std::string> serving_assumption_keys() {
  return {"ep_imbalance",    "utilization", "aux_us_per_mb", "aux_ms_per_mb",
          "nodes_per_token", "builds",      "batch_per_gpu"};
}

Predict prefill_source(const Scene& scene, Prepared& prepared) {
  const auto table = kernels_for(scene);
  const auto model = shared_model(scene);
  PrefillPlan plan = prefill_plan(scene.claim);
  const double sms = scene.machine->profile.sm_count ? scene.machine->profile.sm_count->value : 132.0;
  plan.compute_sms *= sms / 132.0;  // DeepSeek's 108 of an H800's, and the same share elsewhere
  PrefillFactors base;
  base.network_ratio = set_ratio(*scene.machine, Resource::network);
  base.link_ratio = set_ratio(*scene.machine, Resource::link);
  base.memory_ratio = set_ratio(*scene.machine, Resource::memory);
  const PrefillKernels kernels = with_place(scene.claim, [&] { return prefill_kernels(*table, *model, sms, plan); });
  const PrefillRate rate = with_place(scene.claim, [&] { return prefill_rate(kernels, *model, sms, plan, base); });
  add_kernel_inputs(*table, kernels.sources, prepared);
  add_shared(scene, prepared);
  add_assumption(
      prepared,
      {"aux_ms_per_mb",
       4.3,
       3.6,
       5.0,
       "derived",
       "norms, casts and permutes of 8192 tokens in a layer: the training trace's forward pass, twice its tokens",
       {}});
  add_assumption(prepared, {"nodes_per_token",
                            22.0 / 7.0,
                            22.0 / 7.0,
                            4.0,
                            "derived",
                            "closed form: two groups on each of 4 nodes, or groups apart",
                            {}});
  add_uses(prepared);
  add_ranks(*model, plan.placement.gpus(), prepared);
  prepared.notes.push_back(
      fmt::format("prefill: prompts of {:.0f} tokens, {:.0f} per micro-batch, {} GPUs share the experts; {} bound",
                  plan.sequence, plan.tokens, plan.placement.gpus(), to_string(rate.bound)));
  return [=, claim = scene.claim, load = prepared](const Drawn& drawn) {
    PrefillFactors factors = base;
    factors.expert_imbalance = imbalance_in(drawn);
    factors.traffic_s_per_token = drawn["aux_ms_per_mb"] * 1e-3 / 8192.0;
    PrefillPlan drawn_plan = plan;
    drawn_plan.nodes_per_token = std::min(static_cast<double>(plan.placement.nodes), drawn["nodes_per_token"]);
    const PrefillRate drawn_rate = prefill_rate(kernels, *model, sms, drawn_plan, factors);
    return std::vector{per_gpu_or_node(claim, per_build(drawn_rate.tokens_per_s, drawn_rate.bound, drawn)) *
                       load_in(load, drawn)};
  };
}

Predict decode_source(const Scene& scene, Prepared& prepared) {
  const auto table = kernels_for(scene);
  const auto model = shared_model(scene);
  const DecodePlan plan = decode_plan(scene.claim);
  const DecodeMachine machine = decode_machine(scene.machine->profile);
  DecodeFactors base;
  base.memory_ratio = set_ratio(*scene.machine, Resource::memory);
  base.network_ratio = set_ratio(*scene.machine, Resource::network);
  const DecodeKernels kernels = with_place(scene.claim, [&] { return decode_kernels(*table, *model, plan); });
  const DecodeRate rate =
      with_place(scene.claim, [&] { return decode_rate(kernels, *model, machine, plan, base); });
  add_kernel_inputs(*table, kernels.sources, prepared);
  add_shared(scene, prepared);
  add_assumption(prepared, {"aux_us_per_mb",
                            70,
                            50,
                            100,
                            "trace-fit",
                            "norms, casts and gate, per micro-batch and layer; 72 fits DeepSeek's decode profile",
                            {}});
  add_uses(prepared);
  add_ranks(*model, plan.ranks, prepared);
  const bool draws_batch = assumes(scene.claim, "batch_per_gpu");
  if (draws_batch)
    add_assumption(prepared,
                   {"batch_per_gpu", plan.sequences, plan.sequences, plan.sequences, "derived", "Little's law", {}});
  prepared.notes.push_back(fmt::format(
      "decode: {:.0f} sequences per GPU at a context of {:.0f} on {} GPUs{}; {} bound; cache {:.1f} GB, weights {:.1f} "
      "GB, {}",
      plan.sequences, plan.context, plan.ranks, plan.accepted_drafts > 0.0 ? ", with drafts" : ", without drafts",
      to_string(rate.bound), rate.memory.cache_bytes / 1e9, rate.memory.weights_bytes / 1e9,
      rate.memory.fits() ? "which fits" : "which does not fit"));
  return [=, claim = scene.claim, load = prepared](const Drawn& drawn) {
    DecodeFactors factors = base;
    factors.expert_imbalance = imbalance_in(drawn);
    factors.traffic_s = drawn["aux_us_per_mb"] * 1e-6;
    if (draws_batch) {
      DecodePlan drawn_plan = plan;
      drawn_plan.sequences = drawn["batch_per_gpu"];
      const DecodeRate other = decode_rate(*table, *model, machine, drawn_plan, factors);
      return std::vector{per_gpu_or_node(claim, per_build(other.tokens_per_s, other.bound, drawn)) *
                         load_in(load, drawn)};
    }
    const DecodeRate drawn_rate = decode_rate(kernels, *model, machine, plan, factors);
    return std::vector{per_gpu_or_node(claim, per_build(drawn_rate.tokens_per_s, drawn_rate.bound, drawn)) *
                       load_in(load, drawn)};
  };
}

Prepared prepare_serving(const Scene& scene, std::vector<std::string> rows,
                         const std::function<Predict(const Scene&, Prepared&)>& source) {
  Prepared prepared;
  if (!scene.machine) {
    prepared.missing.push_back("hardware, the machine that served");
    return prepared;
  }
  const Claim& claim = scene.claim;
  if (std::find(kNumbers.begin(), kNumbers.end(), claim.quantity.name) == kNumbers.end())
    claim.reject("quantity/name", fmt::format("is \"{}\", which serving does not give", claim.quantity.name),
                 suggestion(claim.quantity.name, kNumbers));
  if (const std::string missing = missing_in_model(model_of(claim, scene.configs)); !missing.empty()) {
    prepared.missing.push_back(missing);
    return prepared;
  }
  prepared.rows = std::move(rows);
  prepared.base_unit = "1/s";
  prepared.predict = source(scene, prepared);
  return prepared;
}

}  // namespace chokepoint
