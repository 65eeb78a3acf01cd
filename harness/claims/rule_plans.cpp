// Which plans does a rule's cost depend on? DeepSeek-V3 trained and served with its experts spread over
// nodes, a dense model split within a node, and one that only sums gradients.
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/claim_kernels.hpp"
#include "harness/claims/dense_step.hpp"
#include "harness/claims/kernel_siblings.hpp"
#include "harness/claims/rule_cost.hpp"
#include "harness/claims/scenario.hpp"
#include "harness/claims/serve_decode.hpp"
#include "harness/claims/serve_prefill.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

// An H100's datasheet, which DenseRates were achieved on.
constexpr double kBf16FlopPerS = 989e12, kMemoryBytesPerS = 3.35e12, kLinkBytesPerS = 450e9,
                 kNetworkBytesPerS = 50e9;

double datasheet_machine(const Rates& rates, const Profile& profile, const char* what) {
  if (rates.datasheet) return rates.datasheet->value;
  throw Error(Fault::config, fmt::format("{} has no datasheet rate of {}", profile.id, what),
              fmt::format("add it to {}", profile.path));
}

double datasheet_machine(const Profile& profile, Dtype dtype) {
  const auto found = profile.compute.find(dtype);
  return datasheet_machine(found == profile.compute.end() ? Rates{} : found->second, profile,
                           std::string(to_string(dtype)).c_str());
}

// Of the H800 that the phases are of, slower by as much as the same kernels were measured to be; by the datasheet where
// nobody measured them.
double flop_per_s_on(const Profile& profile, const RuleCostInputs& inputs, const char* operation, double traced,
                     Dtype dtype) {
  const double by_datasheet = datasheet_machine(profile, dtype);
  const std::optional<double> slower = measured_time_ratio(inputs.kernels, operation, profile.id, "h800-sxm");
  return slower ? traced / *slower : by_datasheet;
}

// The published run; experts out of balance by 10 percent, 2 at best and 15 at worst (priors).
double expert_throughput(const Profile& profile, const RuleCostInputs& inputs, double imbalance) {
  const Conditions traced;
  Scenario scenario;
  Conditions& conditions = scenario.conditions;
  conditions.gemm_flop_per_s = flop_per_s_on(profile, inputs, "matmul", traced.gemm_flop_per_s, Dtype::fp8_e4m3);
  conditions.attention_flop_per_s =
      flop_per_s_on(profile, inputs, "attention", traced.attention_flop_per_s, Dtype::bf16);
  if (profile.sm_count) conditions.sms = static_cast<int>(profile.sm_count->value);
  conditions.memory_bytes_per_s = datasheet_machine(profile.memory, profile, "memory");
  conditions.link_bytes_per_s = datasheet_machine(profile.link, profile, "link");
  conditions.network_bytes_per_s = datasheet_machine(profile.network, profile, "network");
  scenario.imbalance = imbalance;
  const ScenarioModel model(trace_phases(), trace_parts(), Scenario{}, RescaleReach::whole_step);
  return tokens_per_s_per_gpu(model.step_s(scenario), scenario.scale());
}

PlanThroughput expert_plan(const Profile& profile, const RuleCostInputs& inputs) {
  return {expert_throughput(profile, inputs, 1.10), expert_throughput(profile, inputs, 1.02),
          expert_throughput(profile, inputs, 1.15)};
}

std::string expert_reason(const Profile& cut, const Profile&, const RuleCostInputs&) {
  Conditions conditions;
  conditions.network_bytes_per_s = datasheet_machine(cut.network, cut, "network");
  const double enough = break_even_link_bytes_per_s(conditions);
  const double link = datasheet_machine(cut.link, cut, "link");
  return fmt::format("the network decides while the link has {} per direction; it has {}",
                     with_unit(enough, "B/s", 2), with_unit(link, "B/s"));
}

DenseRates rates_on(const Profile& profile, double tensor_transfers_shown) {
  DenseRates rates;
  rates.gemm_flop_per_s *= datasheet_machine(profile, Dtype::bf16) / kBf16FlopPerS;
  rates.link_bytes_per_s *= datasheet_machine(profile.link, profile, "link") / kLinkBytesPerS;
  rates.network_bytes_per_s *= datasheet_machine(profile.network, profile, "network") / kNetworkBytesPerS;
  rates.memory_time_s *= kMemoryBytesPerS / datasheet_machine(profile.memory, profile, "memory");
  rates.tensor_transfers_shown = tensor_transfers_shown;
  return rates;
}

// Transfers between tensor ranks show in full, as published; at best half of them hide.
PlanThroughput dense_plan(const Profile& profile, const DenseShape& shape, const DensePlan& plan) {
  const auto at = [&](double shown) {
    return tokens_per_s_per_gpu(dense_step(shape, plan, rates_on(profile, shown)).step_s, plan.scale());
  };
  return {at(1.0), at(1.0), at(0.5)};
}

PlanThroughput tensor_plan(const Profile& profile, const RuleCostInputs& inputs) {
  return dense_plan(profile, dense_shape_of(find_model(inputs.models, "llama-3.1-405b")), DensePlan{});
}

std::string tensor_reason(const Profile& cut, const Profile& full, const RuleCostInputs&) {
  const DenseLayerTimes before = dense_layer_times({}, {}, rates_on(full, 1.0));
  const DenseLayerTimes after = dense_layer_times({}, {}, rates_on(cut, 1.0));
  const auto transfers = [](const DenseLayerTimes& layer) {
    return (layer.transfer_forward_s + layer.transfer_backward_s) / layer.total_s();
  };
  return fmt::format(
      "transfers within a node take {:.0f} % of a layer instead of {:.0f} %; half of them may hide",
      100 * transfers(after), 100 * transfers(before));
}

// One GPU per copy: gradients and parameters cross the network.
PlanThroughput data_plan(const Profile& profile, const RuleCostInputs& inputs) {
  DensePlan plan{.tensor_ranks = 1, .data_parallel = 64};
  plan.pipeline = {.schedule = Schedule::one_f_one_b, .ranks = 1, .micro_batches = 8};
  return dense_plan(profile, dense_shape_of(find_model(inputs.models, "llama-3.1-8b")), plan);
}

std::string data_reason(const Profile&, const Profile&, const RuleCostInputs&) {
  return "gradients cross the network, nothing the link";
}

double sms_of(const Profile& profile) {
  if (profile.sm_count) return profile.sm_count->value;
  throw Error(Fault::config, fmt::format("{} has no number of SMs", profile.id),
              fmt::format("add it to {}", profile.path));
}

// Prompts of 4096 tokens over four nodes; 108 of 132 SMs compute, and the same share of any other number. The
// busiest GPU has as many rows as the others, or a fifth more (a prior).
PrefillRate prefill_on(const Profile& profile, const RuleCostInputs& inputs, double imbalance) {
  PrefillPlan plan;
  plan.compute_sms *= sms_of(profile) / 132.0;
  return prefill_rate(kernel_table_for(profile, inputs.kernels, inputs.profiles),
                      find_model(inputs.models, "deepseek-v3"), sms_of(profile), plan,
                      {.expert_imbalance = imbalance});
}

PlanThroughput prefill_under_rule(const Profile& profile, const RuleCostInputs& inputs) {
  const double even = prefill_on(profile, inputs, 1.0).tokens_per_s;
  return {even, even, prefill_on(profile, inputs, 1.2).tokens_per_s};
}

std::string prefill_reason(const Profile& cut, const Profile&, const RuleCostInputs& inputs) {
  const PrefillRate rate = prefill_on(cut, inputs, 1.0);
  return fmt::format("{} decides, and the other has {:.0f} % of room before it does", to_string(rate.bound),
                     100 * rate.slack);
}

// 128 sequences of 4989 tokens per GPU (the day's average of DeepSeek's service, open-infra-index 56d8685),
// experts over 128 GPUs. Norms, casts and copies take 60 us per micro-batch and layer, 50 to 100 (fitted to a
// trace).
DecodeRate decode_on(const Profile& profile, const RuleCostInputs& inputs, double traffic_s) {
  return decode_rate(kernel_table_for(profile, inputs.kernels, inputs.profiles),
                     find_model(inputs.models, "deepseek-v3"), decode_machine(profile), {.context = 4989},
                     {.traffic_s = traffic_s});
}

PlanThroughput decode_under_rule(const Profile& profile, const RuleCostInputs& inputs) {
  const auto at = [&](double traffic_s) { return decode_on(profile, inputs, traffic_s).tokens_per_s; };
  return {at(60e-6), at(50e-6), at(100e-6)};
}

std::string decode_reason(const Profile& cut, const Profile&, const RuleCostInputs& inputs) {
  const DecodeRate rate = decode_on(cut, inputs, 60e-6);
  return fmt::format(
      "{} decides; rows cross the network alone, {:.0f} us of them beside {:.0f} us of compute",
      to_string(rate.bound), 1e6 * rate.layer.transfer_s(), 1e6 * rate.layer.compute_s());
}

}  // namespace

const std::vector<RulePlan>& rule_plans() {
  static const std::vector<RulePlan> plans = {
      {"DeepSeek-V3 training, 2048 GPUs, experts over 64", "expert", expert_plan, expert_reason},
      {"Llama-3.1-405B training, 16,384 GPUs, tensors over 8", "tensor", tensor_plan, tensor_reason},
      {"Llama-3.1-8B training, 64 GPUs, data-parallel", "data", data_plan, data_reason},
      {"DeepSeek-V3 prefill, experts over 32", "prefill", prefill_under_rule, prefill_reason},
      {"DeepSeek-V3 decode, experts over 128", "decode", decode_under_rule, decode_reason}};
  return plans;
}

}  // namespace chokepoint
