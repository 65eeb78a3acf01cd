// What is to be run? Operations x shapes x dtypes x kernels x targets, as the user wrote them down.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/dtype.hpp"
#include "harness/base/json.hpp"
#include "harness/model/model_shapes.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// Absent fields leave the sampler's default.
struct SuiteSampling {
  std::optional<double> budget_s;    // seconds for the samples of one case, that is per target
  std::optional<double> half_width;  // relative half width of the interval to stop at: 0.01
  std::optional<double> confidence;  // 0.95
  std::optional<double> warm_up_s;
};

// One field of a shape with the values it runs through; a plain value is an axis of length 1.
using ShapeAxis = std::pair<std::string, std::vector<Shape::Value>>;

struct SuiteCase {
  std::string operation;
  std::optional<std::string> model;  // its fragments for `operation` are merged with the axes
  std::string only = "*";            // glob on fragment names
  std::vector<ShapeAxis> axes;       // in file order
  std::vector<Dtype> dtypes;
  std::vector<std::string> kernels;  // names; whether they exist is for the plan to check
  // Instead: names by kind of device. The case is left out on a device of another kind.
  std::map<std::string, std::vector<std::string>> kernels_by_device;
  std::vector<std::string> targets;  // the case's own, else the suite's; texts for parse_target
  std::uint64_t seed = 1;
  std::string distribution = "normal";
  SuiteSampling sampling;  // the case's own over the suite's, field by field
  std::string where;       // "configs/suites/quick.json:14", for messages
};

// configs/suites/<id>.json
struct Suite {
  std::string id, summary;
  std::string device = "cpu";
  std::vector<std::string> targets;
  std::optional<std::string> prices;  // a price book by name ("2025-02_deepseek"), instead of the market's
  SuiteSampling sampling;
  std::vector<SuiteCase> cases;
  std::string path;
  std::string hash;  // SHA-256 of the file
};

Suite load_suite(const std::string& path);  // throws Error{config} or Error{io}
Suite decode_suite(const JsonFile& file);

// A path, or the id of `configs`/suites/<id>.json. Throws Error{config} with the nearest known id.
std::string find_suite(const std::string& configs, const std::string& path_or_id);

// A shape of a case, not yet completed, and where it comes from: "deepseek-v3/q_b", or "" without a model.
struct SuiteShape {
  Shape shape;
  std::string label;
};

// The kernels of a case on a kind of device ("cpu", "cuda"); empty where the case is left out.
std::vector<std::string> kernels_on(const SuiteCase& suite_case, const std::string& device_kind);

// Fragments (in file order) x the cartesian product of the axes (the last axis runs fastest). The case's own
// fields win over the fragment's. Throws Error{config} for an unknown model, a model without fragments for
// the operation, an `only` that matches none, or more than kMaxShapesPerCase shapes.
inline constexpr std::size_t kMaxShapesPerCase = 10000;
std::vector<SuiteShape> expand_shapes(const SuiteCase& suite_case, const std::vector<ModelShapes>& models);

}  // namespace chokepoint
