// Under which conditions was a record made that a time depends on, and which of them differ between two records?
// Comparing times of different machines, drivers, clocks or inputs answers another question than "did the code change".
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/record.hpp"

namespace chokepoint {

struct Condition {
  std::string text;             // for people, and for equality where there is no number
  std::optional<double> value;  // where there is one: an observed clock
  double tolerance = 0.0;       // relative difference of values that is no difference
};

// By key: what `--allow` takes. A condition that is not recorded is absent.
using RunConditions = std::map<std::string, Condition>;

// device, driver, clocks, power_limit, profile, seed, input_distribution, basis, caps, wire_multiprocessors (how many
// SMs a wire beside products has: another split is another plan). The record's own word goes before that of
// environment.json (null when there is none), which knows the driver.
RunConditions conditions_of(const Record& record, const Json& environment);

const std::vector<std::string>& condition_names();
void require_condition_name(const std::string& name);  // Error{config} naming the known ones

struct Mismatch {
  std::string name, base, now;
};

// Conditions that both have and that differ.
std::vector<Mismatch> mismatches(const RunConditions& base, const RunConditions& now);

// Names of those that one of them has alone: nobody can tell whether they differ.
std::vector<std::string> known_to_one(const RunConditions& base, const RunConditions& now);

// What else two records say differently and what may explain a change: versions and choices of libraries, builds.
// "cublaslt_algorithm_id: 66, now 70".
std::vector<std::string> remarks_on(const Record& base, const Record& now);

}  // namespace chokepoint
