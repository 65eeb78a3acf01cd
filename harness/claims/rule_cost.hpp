// What did an export rule cost? Throughput, joules and dollars per token of the machine that was cut to stay
// below it over the full one, for several ways to use many GPUs: a link that is half as wide costs one plan a
// fifth and another nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "harness/claims/kernel_table.hpp"
#include "harness/model/cost.hpp"
#include "harness/model/cost_book.hpp"
#include "harness/model/model_shapes.hpp"
#include "harness/model/price.hpp"
#include "harness/model/profile.hpp"
#include "harness/model/rule.hpp"

namespace chokepoint {

// One machine of a pair at one plan, at the middle of all assumptions. Per GPU.
struct RuleCostSide {
  double tokens_per_s = 0.0;
  double joule_per_token = 0.0;                   // rated power of board and host
  std::optional<double> usd_per_million_tokens;  // absent without a price
};

// One plan on a pair of machines.
struct RuleCostRow {
  std::string plan;      // "DeepSeek-V3 training, 2048 GPUs, experts over 64"
  std::string parallel;  // "expert", "tensor", "data", "prefill", "decode"
  std::string cut, full;
  RuleCostSide cut_side, full_side;
  Estimate
      throughput_ratio;   // tokens per second and GPU, cut over full; low and high: assumptions at their ends
  Estimate joule_ratio;   // per token, cut over full
  std::string because;    // what the ratio hangs on, with its assumption
  CostAnswer money;       // target: the cut machine, rented; reference: the full one
  std::string price_gap;  // why a price is missing; empty when none is
  bool verified = true;   // false: a figure behind it is not
};

// A plan that the model cannot say anything about.
struct RuleCostGap {
  std::string plan, cut, reason;
};

struct RuleCost {
  std::string rule, title;
  std::vector<RuleCostRow> rows;
  std::vector<RuleCostGap> gaps;
  std::vector<std::string> assumptions;  // that hold for all rows
  std::vector<std::string> prices;       // of every machine that has one, with its source
};

struct RuleCostInputs {
  std::vector<Profile> profiles;
  std::vector<ModelShapes> models;
  std::vector<KernelFile> kernels;
  std::vector<PriceBook> prices;
  CostBook costs;
  std::string price_choice = {};                   // book, or book:term; empty: the newest market
  std::map<std::string, Estimate> usd_per_h = {};  // rents by profile, before any book
};

RuleCostInputs load_rule_cost_inputs(const std::string& configs);  // the newest cost book

// Throws Error{config} for a rule that no machine was cut for, whose machines are not among the profiles, or for a
// price of a machine that is none of them.
RuleCost rule_cost(const Rule& rule, const RuleCostInputs& inputs);

// What a plan does on a machine: tokens per second and GPU at the middle of its assumptions and at both their
// ends.
struct PlanThroughput {
  double mid = 0.0, one_end = 0.0, other_end = 0.0;
};

// A way to use many GPUs that the models of harness/claims know. Training takes a machine's datasheet rates,
// of which links, networks and kernels reach the same share everywhere; serving takes kernel times of the
// machine or its siblings.
struct RulePlan {
  std::string name, parallel;
  // Throw Error{config} where a figure is missing.
  PlanThroughput (*throughput)(const Profile& profile, const RuleCostInputs& inputs);
  std::string (*because)(const Profile& cut, const Profile& full, const RuleCostInputs& inputs);
};
const std::vector<RulePlan>& rule_plans();

}  // namespace chokepoint
