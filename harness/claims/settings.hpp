// What may a claim say about its system, workload and model, and how is that read without a mistake slipping through?
// Each key has a rule; what a rule does not allow is an error that names file, line and key.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace chokepoint {

class Fields;

enum class SettingKind { number, numbers, text, flag };  // numbers: one or a list

struct SettingRule {
  std::string key;
  SettingKind kind = SettingKind::number;
  double least = 1.0;              // of numbers: counts by default
  std::vector<std::string> words;  // of a text, if only these may stand there
};

using Setting = std::variant<double, std::vector<double>, std::string, bool>;

// Values by key. Asking for what is not there gives the fallback or nothing; asking in another type than was written
// cannot happen, because the rules say the type.
class Settings {
 public:
  void set(const std::string& key, Setting value) { values_[key] = std::move(value); }
  bool has(const std::string& key) const { return values_.contains(key); }
  std::optional<double> number(const std::string& key) const;
  double number(const std::string& key, double fallback) const { return number(key).value_or(fallback); }
  std::vector<double> numbers(const std::string& key) const;  // empty when absent
  std::string text(const std::string& key, const std::string& fallback = "") const;
  bool flag(const std::string& key, bool fallback) const;
  const std::map<std::string, Setting>& all() const { return values_; }

 private:
  template <class T>
  const T* find(const std::string& key) const;
  std::map<std::string, Setting> values_;
};

// Reads the keys of `fields` that have a rule; the rest stays unknown to `fields.finish()`. Throws Error{config}.
void decode_settings(Fields& fields, const std::vector<SettingRule>& rules, Settings& settings);

// Reads every key in whatever type it has: where nobody knows the rules. Throws Error{config} for nested objects.
void decode_any_settings(Fields& fields, Settings& settings);

}  // namespace chokepoint
