#include "harness/claims/op_model_functions.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/op_model.hpp"

namespace chokepoint {
namespace {

constexpr double kGiga = 1e9;
constexpr double kMostTokens = 1e9;  // of a sequence, a context or a batch

bool flag(const OpModelArguments& arguments, const std::string& name) { return arguments.at(name) != 0.0; }

TrainingWorkload training_workload(const OpModelArguments& arguments) {
  return {.sequence = static_cast<std::int64_t>(arguments.at("seq")),
          .causal = flag(arguments, "causal"),
          .prediction = flag(arguments, "mtp"),
          .tokens = arguments.at("seq")};
}

double train_gflop(const ModelShapes& model, const OpModelArguments& arguments) {
  return model_flop_per_token(training_ops(model, training_workload(arguments))) / kGiga;
}

double executed_gflop(const ModelShapes& model, const OpModelArguments& arguments) {
  return flop_per_token(training_ops(model, training_workload(arguments))) / kGiga;
}

double layer_executed_gflop(const ModelShapes& model, const OpModelArguments& arguments) {
  const LayerKind kind = model.dense_layers < model.layers ? LayerKind::expert : LayerKind::dense;
  const std::vector<ModelOp> ops = training_ops(model, training_workload(arguments));
  double sum = 0.0;
  for (const OpPhase phase :
       {OpPhase::forward, OpPhase::backward_input, OpPhase::backward_weight, OpPhase::recompute})
    sum += layer_flop_per_token(ops, kind, phase);
  return sum / kGiga;
}

double prefill_gflop(const ModelShapes& model, const OpModelArguments& arguments) {
  return flop_per_token(prefill_ops(model, training_workload(arguments))) / kGiga;
}

double decode_gflop(const ModelShapes& model, const OpModelArguments& arguments) {
  return flop_per_token(decode_ops(model, {.context = arguments.at("ctx"), .sequences = 1.0})) / kGiga;
}

const OpModelArguments kTraining = {{"seq", 4096.0}, {"causal", 1.0}, {"mtp", 0.0}};

}  // namespace

const std::vector<OpModelFunction>& op_model_functions() {
  static const std::vector<OpModelFunction> functions = {
      {"train_gflop_per_token", "GFLOP",
       "model FLOP per training token: three times forward, no recomputation", kTraining, train_gflop},
      {"executed_gflop_per_token", "GFLOP",
       "FLOP per training token with recomputation and attention's second scores", kTraining, executed_gflop},
      {"layer_executed_gflop_per_token", "GFLOP",
       "the same of one layer with experts (of one layer, where none has)", kTraining, layer_executed_gflop},
      {"six_n_gflop_per_token",
       "GFLOP",
       "6 times the active parameters, embedding included: no attention",
       {},
       [](const ModelShapes& model, const OpModelArguments&) {
         return 6.0 * active_parameters(model) / kGiga;
       }},
      {"prefill_gflop_per_token", "GFLOP", "FLOP per prompt token", kTraining, prefill_gflop},
      {"decode_gflop_per_token",
       "GFLOP",
       "FLOP per new token with `ctx` tokens cached, latent attention absorbed",
       {{"ctx", 4096.0}},
       decode_gflop},
      {"kv_bytes_per_token",
       "B",
       "cache of one token in all layers, bf16",
       {},
       [](const ModelShapes& model, const OpModelArguments&) { return kv_bytes_per_token(model); }},
      {"parameters",
       "parameters",
       "weights of all matrices, embedding and head",
       {{"mtp", 0.0}},
       [](const ModelShapes& model, const OpModelArguments& a) { return parameters(model, flag(a, "mtp")); }},
      {"active_parameters",
       "parameters",
       "weights that one token meets",
       {{"embedding", 1.0}},
       [](const ModelShapes& model, const OpModelArguments& a) {
         return active_parameters(model, flag(a, "embedding"));
       }}};
  return functions;
}

const OpModelFunction& find_op_model_function(std::string_view name) {
  std::vector<std::string> known;
  for (const OpModelFunction& function : op_model_functions()) {
    if (function.name == name) return function;
    known.push_back(function.name);
  }
  throw Error(Fault::config, fmt::format("the operation model has no function \"{}\"", std::string(name)),
              suggestion(name, known));
}

double op_model_value(const ModelShapes& model, std::string_view name, const OpModelArguments& arguments) {
  const OpModelFunction& function = find_op_model_function(name);
  OpModelArguments all = function.defaults;
  std::vector<std::string> known;
  for (const auto& [argument, value] : all) known.push_back(argument);
  for (const auto& [argument, value] : arguments) {
    if (!all.contains(argument))
      throw Error(Fault::config, fmt::format("{} has no argument \"{}\"", function.name, argument),
                  known.empty() ? "it takes none" : suggestion(argument, known));
    const bool counts_tokens = argument == "seq" || argument == "ctx";
    const double least = counts_tokens ? 1.0 : 0.0, most = counts_tokens ? kMostTokens : 1.0;
    if (!(value >= least && value <= most) || value != std::floor(value))
      throw Error(Fault::config,
                  fmt::format("{}: {} is {}, but has to be a whole number from {} to {}", function.name,
                              argument, value, least, most),
                  "correct the claim");
    all[argument] = value;
  }
  return function.value(model, all);
}

}  // namespace chokepoint
