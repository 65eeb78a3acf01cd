// opmodel: work and sizes that follow from a model's matrices alone.
#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/claims/claim_model.hpp"
#include "harness/claims/derivation.hpp"
#include "harness/claims/op_model_functions.hpp"
#include "harness/claims/quantity_unit.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kOpmodelNumbers = {"seq", "ctx"};
const std::vector<std::string> kFlags = {"causal", "mtp", "embedding"};

std::vector<SettingRule> settings() {
  std::vector<SettingRule> rules = {{"fn", SettingKind::text}};
  for (const std::string& key : kOpmodelNumbers) rules.push_back({key});
  for (const std::string& key : kFlags) rules.push_back({key, SettingKind::flag});
  return rules;
}

OpModelArguments arguments_of(const Claim& claim) {
  OpModelArguments arguments;
  for (const std::string& key : kOpmodelNumbers)
    if (const auto value = claim.model.number(key)) arguments[key] = *value;
  for (const std::string& key : kFlags)
    if (claim.model.has(key)) arguments[key] = claim.model.flag(key, false) ? 1.0 : 0.0;
  return arguments;
}

const OpModelFunction& function_of(const Claim& claim) {
  const std::string name = claim.model.text("fn");
  if (name.empty()) claim.reject("model", "names no function", "add \"fn\", e.g. \"train_gflop_per_token\"");
  try {
    return find_op_model_function(name);
  } catch (const Error& error) {
    claim.reject("model", error.message(), error.remedy());
  }
}

double opmodel_value_of(const Claim& claim, const ModelShapes& model, const std::string& function,
                        const OpModelArguments& arguments) {
  try {
    return op_model_value(model, function, arguments);
  } catch (const Error& error) {
    claim.reject("model", error.message(), error.remedy());
  }
}

OpModelArguments with_defaults(const OpModelFunction& function, OpModelArguments arguments) {
  arguments.insert(function.defaults.begin(), function.defaults.end());
  return arguments;
}

// What the number would be with one definition changed: the traps that others fell into.
void add_alternatives(Prepared& prepared, const Claim& claim, const ModelShapes& model, const OpModelFunction& function,
                      const OpModelArguments& arguments) {
  for (const std::string& key : kFlags) {
    if (!arguments.contains(key)) continue;
    OpModelArguments other = arguments;
    other[key] = 1.0 - other[key];
    if (key == "mtp" && !model.architecture->prediction) continue;  // there is none to count
    const double value = opmodel_value_of(claim, model, function.name, other) * quantity_unit(function.unit)->scale;
    prepared.alternatives.push_back({fmt::format("{} {}", key, other[key] == 0.0 ? "left out" : "counted"),
                                     [value](const Drawn&) { return std::vector{value}; }});
  }
}

Prepared prepare_opmodel(const Scene& scene) {
  const Claim& claim = scene.claim;
  Prepared prepared;
  const OpModelFunction& function = function_of(claim);
  const ModelShapes model = model_of(claim, scene.configs);
  if (!model.architecture) {
    prepared.missing.push_back(fmt::format("\"architecture\" in {}", model.path));
    return prepared;
  }
  const OpModelArguments arguments = with_defaults(function, arguments_of(claim));
  const QuantityUnit unit = *quantity_unit(function.unit);
  prepared.base_unit = unit.base;
  const double value = opmodel_value_of(claim, model, function.name, arguments) * unit.scale;
  for (const auto& [key, argument] : arguments)
    prepared.inputs.push_back({key, argument, "", Grade::c, "the claim's definition"});
  prepared.inputs.push_back({"model." + model.id, static_cast<double>(model.layers), "layers", Grade::c, model.source});
  prepared.notes.push_back(function.name + ": " + function.summary);
  add_alternatives(prepared, claim, model, function, arguments);
  prepared.predict = [value](const Drawn&) { return std::vector{value}; };
  return prepared;
}

const Register<Derivation> opmodel_derivation{{.name = "opmodel",
                                               .summary = "work and sizes that follow from a model's matrices",
                                               .is_arithmetic = true,
                                               .settings = settings(),
                                               .prepare = prepare_opmodel}};

}  // namespace
}  // namespace chokepoint
