// What can a claim ask of the operation model by name? "train_gflop_per_token" with {"seq": 4096, "causal":
// true}.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/model_shapes.hpp"

namespace chokepoint {

// A function's arguments by name; true and false are 1 and 0.
using OpModelArguments = std::map<std::string, double>;

struct OpModelFunction {
  std::string name, unit, summary;
  OpModelArguments defaults;  // its arguments and what they are when a claim is silent
  std::function<double(const ModelShapes&, const OpModelArguments&)> value;
};

const std::vector<OpModelFunction>& op_model_functions();

// Throws Error{config} for an unknown function or argument (with the nearest known one), and for a value out
// of range.
const OpModelFunction& find_op_model_function(std::string_view name);
double op_model_value(const ModelShapes& model, std::string_view function, const OpModelArguments& arguments);

}  // namespace chokepoint
