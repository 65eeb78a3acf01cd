// What do the tests of claims share? The shipped models and kernels, and how far two numbers are apart.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "harness/claims/kernel_table.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {

inline std::string configs_folder() { return std::string(CHOKEPOINT_SOURCE_DIR) + "/configs"; }

inline const ModelShapes& shipped_model(const std::string& id) {
  static const std::vector<ModelShapes> models = load_models(configs_folder());
  return find_model(models, id);
}

inline const ModelShapes& v3() { return shipped_model("deepseek-v3"); }

inline const std::vector<KernelFile>& shipped_kernel_files() {
  static const std::vector<KernelFile> files = load_kernel_files(configs_folder());
  return files;
}

// |a / b - 1| <= relative
inline testing::AssertionResult near_relative(double a, double b, double relative) {
  if (std::abs(a / b - 1.0) <= relative) return testing::AssertionSuccess();
  return testing::AssertionFailure() << a << " differs from " << b << " by " << (a / b - 1.0) * 100.0 << " %";
}

}  // namespace chokepoint
