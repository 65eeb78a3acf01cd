#include "harness/claims/scenario.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <utility>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/expert_imbalance.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {
namespace {

[[noreturn]] void reject(const std::string& key, const std::string& value, const std::string& takes) {
  throw Error(Fault::config, fmt::format("{}={} is not possible", key, value),
              fmt::format("{} takes {}", key, takes));
}

double number(const std::string& key, const std::string& value, double least, const std::string& takes) {
  char* end = nullptr;
  const double parsed = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(parsed >= least) || parsed > 1e12) reject(key, value, takes);
  return parsed;
}

int count(const std::string& key, const std::string& value, int least, const std::string& takes) {
  const double parsed = number(key, value, least, takes);
  if (parsed > 1e6 || parsed != static_cast<int>(parsed)) reject(key, value, takes);
  return static_cast<int>(parsed);
}

Dtype format(const std::string& key, const std::string& value) {
  if (value == "fp8_e4m3" || value == "fp8") return Dtype::fp8_e4m3;
  if (value == "bf16") return Dtype::bf16;
  reject(key, value, "fp8_e4m3 or bf16");
}

// Where the 8 of 256 experts of a token lie, on 8 nodes of 8 GPUs; without a limit and for 2 nodes by
// sampling DeepSeek-V3's gate on random scores.
void set_node_limit(Conditions& conditions, const std::string& value) {
  if (value == "2") {
    conditions.nodes_per_token = 2.0, conditions.gpus_per_token = 6.8;
  } else if (value == "4") {
    conditions.nodes_per_token = Conditions{}.nodes_per_token;
    conditions.gpus_per_token = Conditions{}.gpus_per_token;
  } else if (value == "none") {
    conditions.nodes_per_token = 5.25, conditions.gpus_per_token = 7.68;
  } else {
    reject("node_limit", value, "2, 4 or none");
  }
}

using Setter = std::function<void(Scenario&, const std::string&)>;

const std::vector<std::pair<std::string, Setter>>& setters() {
  static const std::vector<std::pair<std::string, Setter>> all = {
      {"link",
       [](Scenario& s, const std::string& v) { s.conditions.link_bytes_per_s = parse_rate(v, "B/s"); }},
      {"network",
       [](Scenario& s, const std::string& v) { s.conditions.network_bytes_per_s = parse_rate(v, "B/s"); }},
      {"memory",
       [](Scenario& s, const std::string& v) { s.conditions.memory_bytes_per_s = parse_rate(v, "B/s"); }},
      {"tensor_clock",
       [](Scenario& s, const std::string& v) {
         s.conditions.tensor_clock =
             number("tensor_clock", v, 1e-3, "a share of the datasheet's, such as 0.9");
       }},
      {"transfer_sms",
       [](Scenario& s, const std::string& v) {
         const std::string takes = fmt::format("a number of SMs from 0 to {}", s.conditions.sms - 1);
         const int sms = count("transfer_sms", v, 0, takes);
         if (sms >= s.conditions.sms) reject("transfer_sms", v, takes);
         s.conditions.transfer_sms = sms;
       }},
      {"gemm", [](Scenario& s, const std::string& v) { s.conditions.gemm = format("gemm", v); }},
      {"dispatch", [](Scenario& s, const std::string& v) { s.conditions.dispatch = format("dispatch", v); }},
      {"combine", [](Scenario& s, const std::string& v) { s.conditions.combine = format("combine", v); }},
      {"node_limit", [](Scenario& s, const std::string& v) { set_node_limit(s.conditions, v); }},
      {"imbalance",
       [](Scenario& s, const std::string& v) {
         s.imbalance = number("imbalance", v, 1.0, "the busiest rank's rows over the mean, at least 1");
       }},
      {"micro_batches",
       [](Scenario& s, const std::string& v) {
         s.plan.pipeline.micro_batches = count("micro_batches", v, 1, "a number of at least 1");
       }},
      {"schedule", [](Scenario& s, const std::string& v) { s.plan.pipeline.schedule = parse_schedule(v); }},
      {"overlap",
       [](Scenario& s, const std::string& v) {
         if (v != "on" && v != "off") reject("overlap", v, "on or off");
         s.plan.overlap = v == "on";
       }},
  };
  return all;
}

double datasheet(const std::optional<Figure>& figure, const Profile& profile, const char* what) {
  if (!figure)
    throw Error(Fault::config, fmt::format("profile {} has no datasheet figure for {}", profile.id, what),
                fmt::format("add one with its source to {}", profile.path));
  return figure->value;
}

double compute_rate(const Profile& profile, Dtype dtype, const char* what) {
  const auto found = profile.compute.find(dtype);
  return datasheet(found == profile.compute.end() ? std::nullopt : found->second.datasheet, profile, what);
}

void set_wire(const Rates& rates, const Profile& profile, const char* what, double& bytes_per_s,
              double& efficiency) {
  bytes_per_s = datasheet(rates.datasheet, profile, what);
  if (rates.achieved) efficiency = rates.achieved->value / bytes_per_s;
}

}  // namespace

StepScale Scenario::scale() const {
  const PipelinePlan& pipeline = plan.pipeline;
  return {data_parallel * pipeline.ranks, data_parallel * pipeline.micro_batches * tokens_per_micro_batch};
}

const std::vector<std::string>& scenario_keys() {
  static const std::vector<std::string> keys = [] {
    std::vector<std::string> names;
    for (const auto& [name, setter] : setters()) names.push_back(name);
    return names;
  }();
  return keys;
}

void set(Scenario& scenario, const std::string& key, const std::string& value) {
  for (const auto& [name, setter] : setters())
    if (name == key) return setter(scenario, value);
  throw Error(Fault::config, fmt::format("\"{}\" is nothing that a training step depends on", key),
              suggestion(key, scenario_keys()));
}

void set_machine(Scenario& scenario, const Profile& profile) {
  Conditions& conditions = scenario.conditions;
  conditions.gemm_flop_per_s = compute_rate(profile, Dtype::fp8_e4m3, "compute in fp8_e4m3");
  conditions.attention_flop_per_s = compute_rate(profile, Dtype::bf16, "compute in bf16");
  conditions.memory_bytes_per_s = datasheet(profile.memory.datasheet, profile, "memory");
  set_wire(profile.link, profile, "link", conditions.link_bytes_per_s, conditions.link_efficiency);
  set_wire(profile.network, profile, "network", conditions.network_bytes_per_s,
           conditions.network_efficiency);
  conditions.sms = static_cast<int>(datasheet(profile.sm_count, profile, "sm_count"));
}

ScenarioModel::ScenarioModel(TrainingPhases phases, PhaseParts parts, Scenario base, RescaleReach reach)
    : phases_(phases), parts_(parts), base_(std::move(base)), reach_(reach) {}

double ScenarioModel::step_s(const Scenario& scenario) const {
  const TrainingPhases changed = rescaled(phases_, parts_, base_.conditions, scenario.conditions, reach_);
  return TrainStep(scenario.plan).run(with_imbalance(changed, scenario.imbalance));
}

double ScenarioModel::gpu_hours_per_trillion_tokens(const Scenario& scenario) const {
  return chokepoint::gpu_hours_per_trillion_tokens(step_s(scenario), scenario.scale());
}

double ScenarioModel::change(const Scenario& scenario) const {
  return gpu_hours_per_trillion_tokens(scenario) / gpu_hours_per_trillion_tokens(base_) - 1.0;
}

}  // namespace chokepoint
