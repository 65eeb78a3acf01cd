// The shipped models, read once.
#pragma once

#include <vector>

#include "harness/model/model_shapes.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {

inline const std::vector<ModelShapes>& shipped_models() {
  static const std::vector<ModelShapes> models = load_models(shipped_configs());
  return models;
}

}  // namespace chokepoint
