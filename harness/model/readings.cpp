#include "harness/model/readings.hpp"

namespace chokepoint {
namespace {

template <class Value>
Json named_json(const std::map<std::string, std::optional<Value>>& named) {
  if (named.empty()) return nullptr;
  Json json = Json::object();
  for (const auto& [name, value] : named) json[name] = value ? Json(*value) : Json(nullptr);
  return json;
}

}  // namespace

Json readings_json(const Readings& readings) { return named_json(readings); }
Json answers_json(const Answers& answers) { return named_json(answers); }

Readings readings_from(Fields& fields, const std::string& key) {
  Readings readings;
  if (std::optional<Fields> inner = fields.maybe_object(key))
    for (const std::string& name : inner->keys()) readings[name] = inner->maybe_number(name);
  return readings;
}

Answers answers_from(Fields& fields, const std::string& key) {
  Answers answers;
  if (std::optional<Fields> inner = fields.maybe_object(key))
    for (const std::string& name : inner->keys()) answers[name] = inner->maybe_boolean(name);
  return answers;
}

}  // namespace chokepoint
