// How is the answer to "what did this rule cost?" said on a terminal, in Markdown and in JSON?
#pragma once

#include <string>

#include "harness/base/json.hpp"
#include "harness/claims/rule_cost.hpp"
#include "harness/report/style.hpp"

namespace chokepoint {

std::string rule_cost_table(const RuleCost& cost, const Style& style);
std::string rule_cost_markdown(const RuleCost& cost);
Json rule_cost_json(const RuleCost& cost);

}  // namespace chokepoint
