#include "harness/claims/rule_cost.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

Estimate ratio_of(const PlanThroughput& cut, const PlanThroughput& full) {
  const double one = cut.one_end / full.one_end, other = cut.other_end / full.other_end,
               mid = cut.mid / full.mid;
  return {mid, std::min({mid, one, other}), std::max({mid, one, other}), "", true};
}

// Rated power of board and host; a load share and a PUE that both machines share cancel.
Estimate rated_w(const Profile& profile, const CostBook& costs) {
  const CostMachine* machine = find_machine(costs, profile.id);
  const std::optional<Figure> board = power(profile);
  if (machine == nullptr || !board)
    throw Error(
        Fault::config,
        fmt::format("{} has no power of {}", machine == nullptr ? costs.id : profile.path, profile.id),
        "add it, with its source");
  Estimate board_w = exactly(board->value);
  board_w.verified = board->verified;
  return sum({board_w, machine->host_w});
}

Estimate inverse(const Estimate& ratio) {
  return {1.0 / ratio.mid, 1.0 / ratio.high, 1.0 / ratio.low, "", ratio.verified};
}

CostSide rented(const Profile& profile, const RuleCostInputs& inputs, std::string& gap) {
  CostSide side{.target = profile.id, .possession = Possession::rented};
  if (const std::optional<PriceQuote> found = quote(inputs.prices, profile.id))
    side.usd_per_h = found->usd_per_h();
  else
    gap += fmt::format("{}no price of {}: {}", gap.empty() ? "" : "; ", profile.id,
                       absence(inputs.prices, profile.id));
  return side;
}

RuleCostRow row_of_plan(const RulePlan& plan, const Profile& cut, const Profile& full,
                   const RuleCostInputs& inputs) {
  RuleCostRow row{.plan = plan.name, .parallel = plan.parallel, .cut = cut.id, .full = full.id};
  row.throughput_ratio = ratio_of(plan.throughput(cut, inputs), plan.throughput(full, inputs));
  row.because = plan.because(cut, full, inputs);
  const Estimate cut_w = rated_w(cut, inputs.costs), full_w = rated_w(full, inputs.costs);
  row.joule_ratio = product({exactly(cut_w.mid / full_w.mid), inverse(row.throughput_ratio)});
  row.verified = cut_w.verified && full_w.verified;
  CostQuestion question;
  question.target = rented(cut, inputs, row.price_gap);
  question.reference = rented(full, inputs, row.price_gap);
  question.throughput_ratio = row.throughput_ratio;
  row.money = answer(question);
  return row;
}

}  // namespace

RuleCostInputs load_rule_cost_inputs(const std::string& configs) {
  return {load_profiles(configs), load_models(configs), load_kernel_files(configs), load_price_books(configs),
          find_cost_book(load_cost_books(configs), "")};
}

RuleCost rule_cost(const Rule& rule, const RuleCostInputs& inputs) {
  if (rule.cuts.empty())
    throw Error(
        Fault::config, fmt::format("rule {} names no machine that was cut for it", rule.id),
        fmt::format("add \"cuts\" to {}, or ask for another rule: `chokepoint list rules`", rule.path));
  RuleCost cost{rule.id, rule.title, {}, {}, {}};
  for (const RuleCut& pair : rule.cuts) {
    const Profile &cut = find_profile(inputs.profiles, pair.profile),
                  &full = find_profile(inputs.profiles, pair.of);
    for (const RulePlan& plan : rule_plans()) {
      try {
        cost.rows.push_back(row_of_plan(plan, cut, full, inputs));
      } catch (const Error& error) {
        if (error.fault() != Fault::config) throw;
        cost.gaps.push_back({plan.name, cut.id, error.message()});
      }
    }
  }
  cost.assumptions = {"the plan stays as it is: one that suits the cut machine better would lose less",
                      "training: links reach 80 % and networks 80 to 90 % of their datasheet rates on both "
                      "machines, kernels the same "
                      "share of arithmetic and memory",
                      "serving: kernel times published for the machine, or for a sibling and scaled",
                      "joules are those of rated power, board and host; a GPU that waits draws less, so a "
                      "cut link costs fewer joules "
                      "than this",
                      "prices are rents of today, not of when the rule came"};
  return cost;
}

}  // namespace chokepoint
