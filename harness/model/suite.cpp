#include "harness/model/suite.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/random.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

// A fraction strictly between the two.
std::optional<double> maybe_fraction(Fields& fields, const std::string& key, double above, double below) {
  const std::optional<double> value = fields.maybe_number(key);
  if (value && !(*value > above && *value < below))
    fields.reject(key, fmt::format("is {}, but has to lie between {} and {}", *value, above, below),
                  "correct it");
  return value;
}

SuiteSampling decode_sampling(Fields fields) {
  SuiteSampling sampling;
  sampling.budget_s = fields.maybe_positive("budget_s");
  sampling.half_width = maybe_fraction(fields, "half_width", 0.0, 1.0);
  sampling.confidence = maybe_fraction(fields, "confidence", 0.5, 1.0);
  sampling.warm_up_s = fields.maybe_number("warm_up_s");
  if (sampling.warm_up_s && *sampling.warm_up_s < 0.0)
    fields.reject("warm_up_s", fmt::format("is {}", *sampling.warm_up_s),
                  "write 0 for none, or a positive time");
  fields.finish();
  return sampling;
}

SuiteSampling merged(const SuiteSampling& own, const SuiteSampling& suite) {
  SuiteSampling sampling = own;
  if (!sampling.budget_s) sampling.budget_s = suite.budget_s;
  if (!sampling.half_width) sampling.half_width = suite.half_width;
  if (!sampling.confidence) sampling.confidence = suite.confidence;
  if (!sampling.warm_up_s) sampling.warm_up_s = suite.warm_up_s;
  return sampling;
}

Shape::Value decode_value(const Fields& fields, const std::string& key, const Json& value) {
  if (value.is_string() && !value.get_ref<const std::string&>().empty()) return value.get<std::string>();
  if (!value.is_number_integer())
    fields.reject(key,
                  value.is_string() ? "is an empty word"
                  : value.is_number()
                      ? fmt::format("is {}, not a whole number", value.get<double>())
                      : fmt::format("is a {}, not a whole number or a word", value.type_name()),
                  value.is_boolean() ? "write 0 or 1" : "write a whole number, a word, or a list of them");
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX})
    fields.reject(key, "is too large", "write a number below 2^63");
  const std::int64_t number = value.get<std::int64_t>();
  if (number < 0) fields.reject(key, fmt::format("is {}", number), "write a number that is not negative");
  return number;
}

std::vector<ShapeAxis> decode_axes(Fields fields) {
  std::vector<ShapeAxis> axes;
  for (const std::string& key : fields.keys()) {
    const Json& json = fields.any(key);
    ShapeAxis axis{key, {}};
    if (!json.is_array()) axis.second.push_back(decode_value(fields, key, json));
    for (std::size_t i = 0; json.is_array() && i < json.size(); ++i) {
      const std::string place = fmt::format("{}/{}", key, i);
      const Shape::Value value = decode_value(fields, place, json[i]);
      if (std::find(axis.second.begin(), axis.second.end(), value) != axis.second.end())
        fields.reject(place, "is in the list already", "remove it");
      axis.second.push_back(value);
    }
    if (axis.second.empty()) fields.reject(key, "is an empty list", "write at least one value");
    axes.push_back(std::move(axis));
  }
  return axes;
}

std::vector<Dtype> decode_dtypes(Fields& fields) {
  static const std::vector<std::string> words = {"f32", "bf16", "fp8_e4m3"};
  const std::vector<std::string> texts = distinct_texts(fields, "dtypes", fields.texts("dtypes"));
  if (texts.empty()) fields.reject("dtypes", "is an empty list", "write at least one dtype");
  std::vector<Dtype> dtypes;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    require_word(fields, fmt::format("dtypes/{}", i), texts[i], words);
    dtypes.push_back(*dtype_from(texts[i]));
  }
  return dtypes;
}

std::vector<std::string> kernel_names(Fields& fields, const std::string& key) {
  std::vector<std::string> names = distinct_texts(fields, key, fields.texts(key));
  if (names.empty()) fields.reject(key, "is an empty list", "write at least one kernel");
  return names;
}

// A list, or an object with a list per kind of device.
void decode_kernels(Fields& fields, SuiteCase& suite_case) {
  static const std::vector<std::string> kinds = {"cpu", "cuda"};
  if (!fields.json().contains("kernels") || !fields.json()["kernels"].is_object()) {
    suite_case.kernels = kernel_names(fields, "kernels");
    return;
  }
  Fields by_device = fields.object("kernels");
  for (const std::string& kind : by_device.keys()) {
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
      by_device.reject(kind, "is no kind of device", suggestion(kind, kinds));
    suite_case.kernels_by_device[kind] = kernel_names(by_device, kind);
  }
  if (suite_case.kernels_by_device.empty()) fields.reject("kernels", "is empty", "write at least one kernel");
  by_device.finish();
}

SuiteCase decode_case(Fields fields, const Suite& suite) {
  SuiteCase suite_case;
  suite_case.operation = telling_text(fields, "operation");
  suite_case.model = maybe_telling_text(fields, "model");
  if (const auto only = fields.maybe_text("only")) {
    if (!suite_case.model)
      fields.reject("only", "chooses among a model's shapes, but there is no model", "add \"model\"");
    suite_case.only = *only;
  }
  if (auto shape = fields.maybe_object("shape")) suite_case.axes = decode_axes(*shape);
  if (suite_case.axes.empty() && !suite_case.model)
    fields.reject("", "has neither a shape nor a model", "add \"shape\": {...} or \"model\": \"...\"");
  suite_case.dtypes = decode_dtypes(fields);
  decode_kernels(fields, suite_case);
  suite_case.targets = distinct_texts(fields, "targets", fields.maybe_texts("targets"));
  if (suite_case.targets.empty()) suite_case.targets = suite.targets;
  if (suite_case.targets.empty())
    fields.reject("", "has no target, and neither has the suite",
                  "add \"targets\": [\"host\"] to one of them");
  if (const auto seed = fields.maybe_integer("seed")) {
    if (*seed < 0) fields.reject("seed", fmt::format("is {}", *seed), "write a number that is not negative");
    suite_case.seed = static_cast<std::uint64_t>(*seed);
  }
  if (const auto distribution = fields.maybe_text("distribution")) {
    require_word(fields, "distribution", *distribution, input_distributions());
    suite_case.distribution = *distribution;
  }
  if (auto sampling = fields.maybe_object("sampling")) suite_case.sampling = decode_sampling(*sampling);
  suite_case.sampling = merged(suite_case.sampling, suite.sampling);
  fields.finish();
  return suite_case;
}

// The model's fragments a case runs through; one empty fragment when it has no model.
std::vector<SuiteShape> fragments_of(const SuiteCase& suite_case, const std::vector<ModelShapes>& models) {
  if (!suite_case.model) return {SuiteShape{}};
  const auto fail = [&](const std::string& message, const std::string& remedy) {
    throw Error(Fault::config, suite_case.where + ": " + message, remedy);
  };
  std::vector<std::string> ids;
  for (const ModelShapes& model : models) ids.push_back(model.id);
  if (std::find(ids.begin(), ids.end(), *suite_case.model) == ids.end())
    fail(fmt::format("model \"{}\" is not known", *suite_case.model), suggestion(*suite_case.model, ids));
  const ModelShapes& model = find_model(models, *suite_case.model);
  std::vector<SuiteShape> shapes;
  std::vector<std::string> names;
  if (const auto found = model.fragments.find(suite_case.operation); found != model.fragments.end())
    for (const ShapeFragment& fragment : found->second) {
      names.push_back(fragment.name);
      if (glob_matches(suite_case.only, fragment.name))
        shapes.push_back({fragment.shape, model.id + "/" + fragment.name});
    }
  if (names.empty())
    fail(fmt::format("model {} has no shapes for {}", model.id, suite_case.operation),
         fmt::format("add shapes.{} to {}", suite_case.operation, model.path));
  if (shapes.empty())
    fail(fmt::format("only \"{}\" matches no {} shape of model {}", suite_case.only, suite_case.operation,
                     model.id),
         suggestion(suite_case.only, names));
  return shapes;
}

}  // namespace

Suite decode_suite(const JsonFile& file) {
  Fields fields(file);
  Suite suite;
  suite.id = id_like_file(fields, file.path);
  suite.summary = telling_text(fields, "summary");
  if (const auto device = maybe_telling_text(fields, "device")) suite.device = *device;
  suite.targets = distinct_texts(fields, "targets", fields.maybe_texts("targets"));
  suite.prices = maybe_telling_text(fields, "prices");
  if (auto sampling = fields.maybe_object("sampling")) suite.sampling = decode_sampling(*sampling);
  for (const Fields& entry : fields.objects("cases")) {
    suite.cases.push_back(decode_case(entry, suite));
    suite.cases.back().where =
        fmt::format("{}:{}", file.path, line_of(file.text, fmt::format("/cases/{}", suite.cases.size() - 1)));
  }
  if (suite.cases.empty()) fields.reject("cases", "is an empty list", "write at least one case");
  fields.finish();
  suite.path = file.path;
  suite.hash = sha256_hex(file.text);
  return suite;
}

Suite load_suite(const std::string& path) { return decode_suite(read_json(path)); }

std::string find_suite(const std::string& configs, const std::string& path_or_id) {
  const bool is_path = path_or_id.find('/') != std::string::npos || path_or_id.ends_with(".json");
  if (is_path) return path_or_id;
  std::vector<std::string> known;
  for (const std::string& path : json_files_of(configs + "/suites")) {
    known.push_back(config_stem(path));
    if (known.back() == path_or_id) return path;
  }
  throw Error(Fault::config, fmt::format("suite \"{}\" is not known", path_or_id),
              suggestion(path_or_id, known));
}

std::vector<std::string> kernels_on(const SuiteCase& suite_case, const std::string& device_kind) {
  if (suite_case.kernels_by_device.empty()) return suite_case.kernels;
  const auto found = suite_case.kernels_by_device.find(device_kind);
  return found == suite_case.kernels_by_device.end() ? std::vector<std::string>{} : found->second;
}

std::vector<SuiteShape> expand_shapes(const SuiteCase& suite_case, const std::vector<ModelShapes>& models) {
  std::vector<SuiteShape> shapes = fragments_of(suite_case, models);
  for (const auto& [field, values] : suite_case.axes) {
    if (shapes.size() * values.size() > kMaxShapesPerCase)
      throw Error(Fault::config,
                  fmt::format("{}: the case has more than {} shapes", suite_case.where, kMaxShapesPerCase),
                  "shorten a list, or split the case");
    std::vector<SuiteShape> longer;
    for (const SuiteShape& shape : shapes)
      for (const Shape::Value& value : values) {
        longer.push_back(shape);
        longer.back().shape.set(field, value);
      }
    shapes = std::move(longer);
  }
  return shapes;
}

}  // namespace chokepoint
