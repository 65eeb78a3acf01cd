// How are export rules and the machines that fall under them shown? One row per profile, one column per rule,
// and below it where the thresholds come from and what was left out.
#pragma once

#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/model/rule_check.hpp"
#include "harness/report/style.hpp"

namespace chokepoint {

std::string render_rules(const std::vector<Profile>& profiles, const std::vector<Rule>& rules,
                         const Style& style);

// {"profiles": [{"profile", "tpp": {"low", "high", "basis", "doubt"}, .., "rules": [..]}], "rules": [..]}
Json rules_json(const std::vector<Profile>& profiles, const std::vector<Rule>& rules);

}  // namespace chokepoint
