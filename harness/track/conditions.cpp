#include "harness/track/conditions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

// Medians of observed clocks wander with temperature; a locked clock or another power state moves them by more.
constexpr double kClockTolerance = 0.05;

constexpr std::size_t kShownDigits = 12;  // of a hash: enough to tell two files apart

// Dilations follow the ceilings measured on the day; below this nobody needs to be told.
constexpr double kDilationTolerance = 0.02;

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The value at `keys`, one below the other; null where there is none.
const Json* at(const Json& json, std::initializer_list<const char*> keys) {
  const Json* place = &json;
  for (const char* key : keys) {
    if (!place->is_object()) return nullptr;
    const auto found = place->find(key);
    if (found == place->end()) return nullptr;
    place = &*found;
  }
  return place->is_null() ? nullptr : place;
}

void put(RunConditions& conditions, const std::string& name, const Json* value) {
  if (value != nullptr) conditions.emplace(name, Condition{text_of(*value), std::nullopt, 0.0});  // the first one stays
}

void put_observed_clock(RunConditions& conditions, const std::string& name, const Json* hertz) {
  if (hertz == nullptr || !hertz->is_number()) return;
  const double value = hertz->get<double>();
  conditions[name] = {fmt::format("{:.0f} MHz", value / 1e6), value, kClockTolerance};
}

std::string device_text(const Json& device) {
  std::string text;
  for (const char* key : {"kind", "name", "architecture", "workers"})
    if (const Json* value = at(device, {key})) text += (text.empty() ? "" : ", ") + text_of(*value);
  return text;
}

// "compute resource clock, memory native": which mechanism held what. How many SMs it took is a matter of the day.
std::string caps_text(const Record& record) {
  std::string text;
  for (const CapRecord& cap : record.caps)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", to_string(cap.resource),
                        cap.mechanism.substr(0, cap.mechanism.find(',')));
  return text.empty() ? "none" : text;
}

// What a record tells beside results; conditions and what differs in every run are left out.
const std::set<std::string>& no_remark() {
  static const std::set<std::string> names = {"seed",          "input_distribution",
                                              "profile_hash",  "driver",
                                              "power_limit_w", "privileged",
                                              "clocks",        "step_s",
                                              "argv",          "finished",
                                              "price",         "price_hash",
                                              "label",         "suite",
                                              "suite_hash",    "git",
                                              "copies",        "wire_multiprocessors"};
  return names;
}

// How far a library's first choice was behind the one taken, as timed in passing: another figure in every run.
bool differs_in_every_run(const std::string& key) {
  return no_remark().contains(key) || key.ends_with("_default_over_best");
}

}  // namespace

const std::vector<std::string>& condition_names() {
  static const std::vector<std::string> names = {
      "basis",       "caps",    "clocks", "device",              "driver", "input_distribution",
      "power_limit", "profile", "seed",   "wire_multiprocessors"};
  return names;
}

void require_condition_name(const std::string& name) {
  const std::vector<std::string>& known = condition_names();
  if (std::find(known.begin(), known.end(), name) == known.end())
    throw Error(Fault::config, fmt::format("--allow does not know \"{}\"", name), suggestion(name, known));
}

RunConditions conditions_of(const Record& record, const Json& environment) {
  const Json& provenance = record.provenance;
  RunConditions conditions;
  conditions["device"] = {device_text(record.device), std::nullopt, 0.0};
  if (record.status == Status::ok) conditions["caps"] = {caps_text(record), std::nullopt, 0.0};  // others never ran
  if (record.basis) conditions["basis"] = {std::string(to_string(*record.basis)), std::nullopt, 0.0};
  // A release is finer than the version of CUDA that it speaks, which old results have alone.
  put(conditions, "driver", at(provenance, {"driver"}));
  put(conditions, "driver", at(environment, {"device", "more", "driver"}));
  put(conditions, "driver cuda", at(environment, {"device", "more", "cuda_driver"}));
  put(conditions, "power_limit", at(provenance, {"power_limit_w"}));
  put(conditions, "power_limit", at(provenance, {"privileged", "power_limit_w"}));
  put(conditions, "power_limit", at(provenance, {"clocks", "power_limit_w"}));
  put(conditions, "power_limit", at(environment, {"device", "more", "power_limit_w"}));
  if (const Json* hash = at(provenance, {"profile_hash"}))
    conditions["profile"] = {text_of(*hash).substr(0, kShownDigits), std::nullopt, 0.0};
  put(conditions, "seed", at(provenance, {"seed"}));
  put(conditions, "input_distribution", at(provenance, {"input_distribution"}));
  put(conditions, "wire_multiprocessors", at(provenance, {"wire_multiprocessors"}));
  for (const char* clock : {"sm_clock_hz", "memory_clock_hz"}) {
    const Json* lock = at(provenance, {"privileged", clock});
    conditions[fmt::format("clocks lock {}", clock)] = {lock == nullptr ? "not locked" : text_of(*lock), std::nullopt,
                                                        0.0};
  }
  if (const Json* clocks = at(provenance, {"clocks"}); clocks != nullptr && !clocks->is_object())
    put(conditions, "clocks", clocks);
  put_observed_clock(conditions, "clocks sm", at(provenance, {"clocks", "sm_clock_hz", "median"}));
  put_observed_clock(conditions, "clocks memory", at(provenance, {"clocks", "memory_clock_hz", "median"}));
  return conditions;
}

std::vector<Mismatch> mismatches(const RunConditions& base, const RunConditions& now) {
  std::vector<Mismatch> found;
  for (const auto& [name, was] : base) {
    const auto other = now.find(name);
    if (other == now.end()) continue;
    const Condition& is = other->second;
    const bool is_same = was.value && is.value
                             ? std::abs(*is.value - *was.value) <= was.tolerance * std::abs(*was.value)
                             : is.text == was.text;
    if (!is_same) found.push_back({name.substr(0, name.find(' ')), was.text, is.text});
  }
  return found;
}

std::vector<std::string> known_to_one(const RunConditions& base, const RunConditions& now) {
  std::set<std::string> names;
  for (const auto& [name, condition] : base)
    if (!now.contains(name)) names.insert(name.substr(0, name.find(' ')));
  for (const auto& [name, condition] : now)
    if (!base.contains(name)) names.insert(name.substr(0, name.find(' ')));
  return {names.begin(), names.end()};
}

std::vector<std::string> remarks_on(const Record& base, const Record& now) {
  std::vector<std::string> remarks;
  if (base.time.regime != now.time.regime)
    remarks.push_back(fmt::format("regime: {}, now {}", base.time.regime, now.time.regime));
  if (std::abs(now.dilation / base.dilation - 1) > kDilationTolerance)
    remarks.push_back(fmt::format("dilation: {}, now {}", dilation_text(base.dilation), dilation_text(now.dilation)));
  if (!base.provenance.is_object() || !now.provenance.is_object()) return remarks;
  for (const auto& [key, was] : base.provenance.items()) {
    if (differs_in_every_run(key) || !now.provenance.contains(key) || was.is_structured()) continue;
    const Json& is = now.provenance[key];
    if (is != was && !is.is_structured())
      remarks.push_back(fmt::format("{}: {}, now {}", key, text_of(was), text_of(is)));
  }
  return remarks;
}

}  // namespace chokepoint
