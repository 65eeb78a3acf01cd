// What are a few readings by name, some of which an instrument may not give?
#pragma once

#include <map>
#include <optional>
#include <string>

#include "harness/base/json.hpp"

namespace chokepoint {

// Names carry their unit, or belong to a field that does; nullopt: nothing there tells it.
using Readings = std::map<std::string, std::optional<double>>;
using Answers = std::map<std::string, std::optional<bool>>;

// {"name": value | null, ...}; null when there are none.
Json readings_json(const Readings& readings);
Json answers_json(const Answers& answers);

// Of an object's key; empty where it is absent or null.
Readings readings_from(Fields& fields, const std::string& key);
Answers answers_from(Fields& fields, const std::string& key);

}  // namespace chokepoint
