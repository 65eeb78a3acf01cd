#include "harness/claims/settings.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

constexpr double kMostOfAnything = 1e18;  // and what a 64-bit integer still holds

double checked_number(const Fields& fields, const std::string& key, const Json& value, double least) {
  if (!value.is_number()) fields.reject(key, fmt::format("is {}, not a number", value.dump()), "write a number");
  const double number = value.get<double>();
  if (!std::isfinite(number) || number < least)
    fields.reject(key, fmt::format("is {}, but has to be at least {}", value.dump(), least), "correct it");
  if (number > kMostOfAnything)
    fields.reject(key, fmt::format("is {}, more than there is of anything here", value.dump()), "correct it");
  return number;
}

std::vector<double> checked_numbers(const Fields& fields, const std::string& key, const Json& value, double least) {
  if (!value.is_array()) return {checked_number(fields, key, value, least)};
  if (value.empty()) fields.reject(key, "is empty", "write a number or a list of them");
  std::vector<double> numbers;
  for (std::size_t i = 0; i < value.size(); ++i)
    numbers.push_back(checked_number(fields, fmt::format("{}/{}", key, i), value[i], least));
  return numbers;
}

std::string checked_text(Fields& fields, const SettingRule& rule) {
  std::string text = fields.text(rule.key);
  if (text.empty()) fields.reject(rule.key, "is empty", "write something, or leave it out");
  if (rule.words.empty()) return text;
  for (const std::string& word : rule.words)
    if (word == text) return text;
  fields.reject(rule.key, fmt::format("is \"{}\"", text), suggestion(text, rule.words));
}

Setting decoded(Fields& fields, const SettingRule& rule) {
  switch (rule.kind) {
    case SettingKind::number:
      return checked_number(fields, rule.key, fields.any(rule.key), rule.least);
    case SettingKind::numbers:
      return checked_numbers(fields, rule.key, fields.any(rule.key), rule.least);
    case SettingKind::text:
      return checked_text(fields, rule);
    case SettingKind::flag:
      return fields.boolean(rule.key);
  }
  return 0.0;
}

}  // namespace

template <class T>
const T* Settings::find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : std::get_if<T>(&found->second);
}

std::optional<double> Settings::number(const std::string& key) const {
  if (const double* value = find<double>(key)) return *value;
  return std::nullopt;
}

std::vector<double> Settings::numbers(const std::string& key) const {
  if (const auto* values = find<std::vector<double>>(key)) return *values;
  if (const double* value = find<double>(key)) return {*value};
  return {};
}

std::string Settings::text(const std::string& key, const std::string& fallback) const {
  const std::string* value = find<std::string>(key);
  return value ? *value : fallback;
}

bool Settings::flag(const std::string& key, bool fallback) const {
  const bool* value = find<bool>(key);
  return value ? *value : fallback;
}

void decode_settings(Fields& fields, const std::vector<SettingRule>& rules, Settings& settings) {
  for (const SettingRule& rule : rules) {
    const bool is_present = !fields.any(rule.key).is_null();  // and the key counts as known
    if (!is_present) continue;
    if (settings.has(rule.key)) fields.reject(rule.key, "is written in two places", "keep one of them");
    settings.set(rule.key, decoded(fields, rule));
  }
}

void decode_any_settings(Fields& fields, Settings& settings) {
  for (const std::string& key : fields.keys()) {
    const Json& value = fields.any(key);
    if (value.is_boolean())
      settings.set(key, value.get<bool>());
    else if (value.is_string())
      settings.set(key, value.get<std::string>());
    else if (!value.is_null())
      settings.set(key, checked_numbers(fields, key, value, -1e300));
  }
}

}  // namespace chokepoint
