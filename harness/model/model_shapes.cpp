#include "harness/model/model_shapes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

std::int64_t count(Fields& fields, const std::string& key, std::int64_t least) {
  const std::int64_t value = fields.integer(key);
  if (value < least)
    fields.reject(key, fmt::format("is {}, but has to be at least {}", value, least), "correct it");
  return value;
}

Shape decode_shape(Fields fields) {
  Shape shape;
  for (const std::string& key : fields.keys()) {
    if (fields.any(key).is_string())
      shape.set(key, telling_text(fields, key));
    else
      shape.set(key, count(fields, key, 0));
  }
  if (shape.values().empty()) fields.reject("", "is empty", "name the fields that the model fixes");
  return shape;
}

ShapeFragment decode_fragment(Fields fields) {
  ShapeFragment fragment;
  fragment.name = telling_text(fields, "name");
  fragment.shape = decode_shape(fields.object("shape"));
  fragment.verified = fields.maybe_boolean("verified").value_or(true);
  fields.maybe_text("source");
  fields.finish();
  return fragment;
}

std::vector<ShapeFragment> decode_fragments(Fields& shapes, const std::string& operation) {
  std::vector<ShapeFragment> fragments;
  for (const Fields& entry : shapes.objects(operation)) {
    ShapeFragment fragment = decode_fragment(entry);
    for (const ShapeFragment& other : fragments)
      if (other.name == fragment.name)
        entry.reject("name", fmt::format("is \"{}\" for the second time", fragment.name),
                     "give it a name of its own");
    fragments.push_back(std::move(fragment));
  }
  if (fragments.empty()) shapes.reject(operation, "is empty", "add a fragment, or leave the operation out");
  return fragments;
}

std::optional<Figure> maybe_parameters(Fields& fields, const std::string& key) {
  if (auto figure = fields.maybe_object(key)) return decode_figure(*figure, "parameters");
  return std::nullopt;
}

}  // namespace

ModelShapes decode_model(const JsonFile& file) {
  Fields fields(file);
  ModelShapes model;
  model.id = id_like_file(fields, file.path);
  model.name = telling_text(fields, "name");
  model.summary = telling_text(fields, "summary");
  model.source = telling_text(fields, "source");
  model.layers = count(fields, "layers", 1);
  model.dense_layers = count(fields, "dense_layers", 0);
  if (model.dense_layers > model.layers)
    fields.reject("dense_layers",
                  fmt::format("is {}, but there are {} layers", model.dense_layers, model.layers),
                  "correct one of the two");
  model.hidden = count(fields, "hidden", 1);
  model.vocabulary = count(fields, "vocabulary", 1);
  model.parameters = maybe_parameters(fields, "total");
  model.active_parameters = maybe_parameters(fields, "active");
  if (auto architecture = fields.maybe_object("architecture"))
    model.architecture = decode_architecture(*architecture, model.layers, model.dense_layers);
  model.kept_ratios = maybe_telling_texts(fields, "kept_ratios");
  Fields shapes = fields.object("shapes");
  for (const std::string& operation : shapes.keys())
    model.fragments[operation] = decode_fragments(shapes, operation);
  if (model.fragments.empty()) fields.reject("shapes", "is empty", "add fragments for an operation");
  fields.finish();
  model.path = file.path;
  model.hash = sha256_hex(file.text);
  return model;
}

ModelShapes load_model(const std::string& path) { return decode_model(read_json(path)); }

std::vector<ModelShapes> load_models(const std::string& configs) {
  std::vector<ModelShapes> models;
  for (const std::string& path : json_files_of(configs + "/models")) models.push_back(load_model(path));
  return models;
}

const ModelShapes& find_model(const std::vector<ModelShapes>& models, const std::string& id) {
  return find_by_id(models, id, "model");
}

}  // namespace chokepoint
