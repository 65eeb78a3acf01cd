// What does an export rule limit? Thresholds as data, each with its rule's date and evidence; facts, no legal
// advice.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"

namespace chokepoint {

// What a rule measures of a chip.
enum class RuleQuantity {
  tpp,  // total processing performance: dense TOPS or TFLOPS times bits of the operation, largest dtype
  performance_density,  // TPP per mm2 of die
  io_gb_per_s,          // all inputs and outputs but memory, both directions together
  memory_gb_per_s,
};

std::string_view to_string(RuleQuantity quantity);   // as in the files
std::string_view short_name(RuleQuantity quantity);  // "TPP", "PD", "I/O", "memory"
std::string_view unit_of(RuleQuantity quantity);     // "", "/mm2", "GB/s"

struct RuleCondition {
  RuleQuantity quantity = RuleQuantity::tpp;
  std::optional<double> at_least, below;  // one of them, or both
};

struct RuleClause {
  std::vector<RuleCondition> all_of;
  bool verified = true;  // false: stays out of every computation, and the output says so
};

struct RuleCategory {
  std::string id;                  // "3A090.a"
  std::string when_met, when_not;  // "controlled", "not controlled"
  std::vector<RuleClause> any_of;
};

// A machine that its maker cut down to stay below a rule.
struct RuleCut {
  std::string profile, of;  // "h800-sxm" of "h100-sxm"
  std::string source;
};

// configs/rules/<date>_<name>.json
struct Rule {
  std::string id;    // <date>_<name>, the file's stem
  std::string date;  // "2022-10-07" or "2025-04"
  std::string name, title, summary;
  std::string evidence;  // primary | secondary | none
  std::string source;
  std::vector<RuleCategory> categories;  // of a list, the strictest first
  std::string left_out;                  // why there are none; empty when there are
  std::vector<RuleCut> cuts;
  std::string path;
};

// Throws Error{config} naming file, line and key; Error{io} when unreadable.
Rule decode_rule(const JsonFile& file);
std::vector<Rule> load_rules(const std::string& configs);  // `configs`/rules/*.json, oldest first

// By id, or by a date that only one rule has: "2022-10-07". Throws Error{config} with the nearest known id.
const Rule& find_rule(const std::vector<Rule>& rules, const std::string& id_or_date);

}  // namespace chokepoint
