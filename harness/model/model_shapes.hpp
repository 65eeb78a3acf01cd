// Which shapes does a published model have? Fragments of operation shapes, to be merged with a suite's own
// fields.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/figure.hpp"
#include "harness/model/model_architecture.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// Part of a shape of one operation: what the model fixes. Batch, tokens, context and parallel degrees are the
// suite's.
struct ShapeFragment {
  std::string name;  // unique per operation: "q_b", "expert_gate_up", "decode"
  Shape shape;
  bool verified = true;
};

// configs/models/<id>.json
struct ModelShapes {
  std::string id, name, summary, source;
  std::int64_t layers = 0, dense_layers = 0;  // transformer layers, and how many of them have no experts
  std::int64_t hidden = 0, vocabulary = 0;
  std::optional<Figure> parameters, active_parameters;
  std::optional<Architecture> architecture;  // absent: only the fragments below are known
  std::vector<std::string> kept_ratios;  // for a scaled-down model: what it shares with the original
  std::map<std::string, std::vector<ShapeFragment>> fragments;  // by operation, in file order
  std::string path;
  std::string hash;  // SHA-256 of the file
};

ModelShapes load_model(const std::string& path);  // throws Error{config} or Error{io}
ModelShapes decode_model(const JsonFile& file);
std::vector<ModelShapes> load_models(const std::string& configs);  // `configs`/models/*.json, by id

// Throws Error{config} with the nearest known id.
const ModelShapes& find_model(const std::vector<ModelShapes>& models, const std::string& id);

}  // namespace chokepoint
