#include "kernels/kernel.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {

std::int64_t Shape::operator[](const std::string& field) const {
  const auto found = values_.find(field);
  if (found == values_.end() || !std::holds_alternative<std::int64_t>(found->second))
    throw Error(Fault::config, fmt::format("the shape {} has no number \"{}\"", text(), field), "add it to the shape");
  return std::get<std::int64_t>(found->second);
}

const std::string& Shape::word(const std::string& field) const {
  const auto found = values_.find(field);
  if (found == values_.end() || !std::holds_alternative<std::string>(found->second))
    throw Error(Fault::config, fmt::format("the shape {} has no word \"{}\"", text(), field), "add it to the shape");
  return std::get<std::string>(found->second);
}

std::string Shape::text() const {
  std::string text;
  for (const auto& [field, value] : values_) {
    if (!text.empty()) text += ',';
    text += field + '=';
    text += std::holds_alternative<std::string>(value) ? std::get<std::string>(value)
                                                       : fmt::format("{}", std::get<std::int64_t>(value));
  }
  return text;
}

bool Kernel::charges(Resource resource) const { return std::find(paces.begin(), paces.end(), resource) != paces.end(); }

std::int64_t Problem::output_row_length() const { return output_dims().back(); }

std::int64_t Problem::output_rows() const {
  const std::vector<std::int64_t> dims = output_dims();
  return std::accumulate(dims.begin(), dims.end() - 1, std::int64_t{1}, std::multiplies<>());
}

const Operation& find_operation(const std::string& name) {
  if (const Operation* operation = Registry<Operation>::instance().find(name)) return *operation;
  std::vector<std::string> known;
  for (const Operation& operation : Registry<Operation>::instance().all()) known.push_back(operation.name);
  std::sort(known.begin(), known.end());
  throw Error(Fault::config, fmt::format("operation \"{}\" is unknown", name), suggestion(name, known));
}

std::vector<const Kernel*> kernels_of(const std::string& operation) {
  std::vector<const Kernel*> kernels;
  for (const Kernel& kernel : Registry<Kernel>::instance().all())
    if (kernel.operation == operation) kernels.push_back(&kernel);
  std::sort(kernels.begin(), kernels.end(), [](const Kernel* a, const Kernel* b) { return a->name < b->name; });
  return kernels;
}

const Kernel& find_kernel(const std::string& operation, const std::string& name) {
  std::vector<std::string> known;
  for (const Kernel* kernel : kernels_of(operation)) {
    if (kernel->name == name) return *kernel;
    known.push_back(kernel->name);
  }
  throw Error(Fault::config, fmt::format("operation \"{}\" has no kernel \"{}\"", operation, name),
              suggestion(name, known));
}

Shape complete_shape(const Operation& operation, const Shape& shape) {
  std::vector<std::string> names;
  for (const ShapeField& field : operation.fields) names.push_back(field.name);
  for (const auto& [name, value] : shape.values())
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(Fault::config, fmt::format("{} has no shape field \"{}\"", operation.name, name),
                  suggestion(name, names));
  Shape complete;
  for (const ShapeField& field : operation.fields) {
    const auto found = shape.values().find(field.name);
    const bool given = found != shape.values().end();
    if (!field.words.empty()) {
      const std::string word = !given ? field.words.front()
                               : std::holds_alternative<std::string>(found->second)
                                   ? std::get<std::string>(found->second)
                                   : fmt::format("{}", std::get<std::int64_t>(found->second));
      if (std::find(field.words.begin(), field.words.end(), word) == field.words.end())
        throw Error(Fault::config, fmt::format("{}: {} is \"{}\"", operation.name, field.name, word),
                    suggestion(word, field.words));
      if (!field.unsaid_fallback || word != field.words.front()) complete.set(field.name, word);
      continue;
    }
    if (!given && !field.fallback && field.fallback_field.empty())
      throw Error(Fault::config, fmt::format("{}: shape field \"{}\" is missing", operation.name, field.name),
                  fmt::format("add it: {}", field.meaning));
    if (given && !std::holds_alternative<std::int64_t>(found->second))
      throw Error(Fault::config,
                  fmt::format("{}: {} is \"{}\", not a whole number", operation.name, field.name,
                              std::get<std::string>(found->second)),
                  fmt::format("write a number: {}", field.meaning));
    const std::int64_t value = given            ? std::get<std::int64_t>(found->second)
                               : field.fallback ? *field.fallback
                                                : complete[field.fallback_field];
    if (value < field.least || value > field.most)
      throw Error(Fault::config,
                  fmt::format("{}: {} is {}, outside {} to {}", operation.name, field.name, value, field.least,
                              field.most),
                  fmt::format("change it: {}", field.meaning));
    if (!field.unsaid_fallback || value != field.fallback) complete.set(field.name, value);
  }
  operation.check(complete);
  return complete;
}

Shape parse_shape(const std::string& text) {
  Shape shape;
  if (text.empty()) return shape;
  for (const std::string& part : split(text, ',')) {
    const std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == part.size())
      throw Error(Fault::config, fmt::format("\"{}\" in the shape is not field=value", part),
                  "write it like m=64,n=128,k=256");
    const std::string field = part.substr(0, equals), value = part.substr(equals + 1);
    if (shape.has(field))
      throw Error(Fault::config, fmt::format("the shape gives {} twice", field), "give it once");
    const bool is_number = value.find_first_not_of("-0123456789KMG") == std::string::npos;
    shape.set(field, is_number ? Shape::Value(static_cast<std::int64_t>(parse_integer(value))) : Shape::Value(value));
  }
  return shape;
}

}  // namespace chokepoint
