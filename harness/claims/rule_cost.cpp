#include "harness/claims/rule_cost.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

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

// The user's own, else the chosen book's, else the newest market's.
std::optional<Estimate> rent_per_h(const std::string& profile, const RuleCostInputs& inputs) {
  if (const auto own = inputs.usd_per_h.find(profile); own != inputs.usd_per_h.end()) return own->second;
  const std::optional<PriceQuote> found =
      inputs.price_choice.empty() ? quote(inputs.prices, profile) : quote(inputs.prices, profile, inputs.price_choice);
  return found ? std::optional(found->usd_per_h()) : std::nullopt;
}

std::string price_absence(const std::string& profile, const RuleCostInputs& inputs) {
  return inputs.price_choice.empty() ? absence(inputs.prices, profile) : "none in " + inputs.price_choice;
}

CostSide rented(const Profile& profile, const RuleCostInputs& inputs, std::string& gap) {
  CostSide side{.target = profile.id, .possession = Possession::rented};
  side.usd_per_h = rent_per_h(profile.id, inputs);
  if (!side.usd_per_h)
    gap += fmt::format("{}no price of {}: {}", gap.empty() ? "" : "; ", profile.id, price_absence(profile.id, inputs));
  return side;
}

RuleCostSide side_of(double tokens_per_s, double rated_w, const CostSide& rent) {
  RuleCostSide side{tokens_per_s, rated_w / tokens_per_s, {}};
  if (rent.usd_per_h) side.usd_per_million_tokens = rent.usd_per_h->mid / kSecondsPerHour / tokens_per_s * 1e6;
  return side;
}

std::vector<std::string> machines_of(const Rule& rule) {
  std::vector<std::string> machines;
  for (const RuleCut& pair : rule.cuts)
    for (const std::string& id : {pair.profile, pair.of})
      if (std::find(machines.begin(), machines.end(), id) == machines.end()) machines.push_back(id);
  return machines;
}

void require_known_prices(const Rule& rule, const RuleCostInputs& inputs) {
  const std::vector<std::string> machines = machines_of(rule);
  for (const auto& [profile, usd] : inputs.usd_per_h) {
    if (!(usd.low > 0.0))
      throw Error(Fault::config, fmt::format("the price of {} is {:.4g}", profile, usd.low), "give dollars above 0");
    if (std::find(machines.begin(), machines.end(), profile) == machines.end())
      throw Error(Fault::config,
                  fmt::format("a price of {}, but {} is about {}", profile, rule.id, joined(machines, ", ")),
                  suggestion(profile, machines));
  }
}

std::vector<std::string> price_notes(const Rule& rule, const RuleCostInputs& inputs) {
  std::vector<std::string> notes;
  for (const std::string& machine : machines_of(rule))
    if (const std::optional<Estimate> usd = rent_per_h(machine, inputs))
      notes.push_back(fmt::format("price of {}: ${:.4g} per hour{}; {}", machine, usd->mid,
                                  usd->is_exact() ? "" : fmt::format(" [{:.4g}, {:.4g}]", usd->low, usd->high),
                                  usd->source));
  return notes;
}

RuleCostRow row_of_plan(const RulePlan& plan, const Profile& cut, const Profile& full, const RuleCostInputs& inputs) {
  RuleCostRow row{.plan = plan.name, .parallel = plan.parallel, .cut = cut.id, .full = full.id};
  const PlanThroughput cut_rate = plan.throughput(cut, inputs), full_rate = plan.throughput(full, inputs);
  row.throughput_ratio = ratio_of(cut_rate, full_rate);
  row.because = plan.because(cut, full, inputs);
  const Estimate cut_w = rated_w(cut, inputs.costs), full_w = rated_w(full, inputs.costs);
  row.joule_ratio = product({exactly(cut_w.mid / full_w.mid), inverse(row.throughput_ratio)});
  row.verified = cut_w.verified && full_w.verified;
  CostQuestion question;
  question.target = rented(cut, inputs, row.price_gap);
  question.reference = rented(full, inputs, row.price_gap);
  question.throughput_ratio = row.throughput_ratio;
  row.money = answer(question);
  row.cut_side = side_of(cut_rate.mid, cut_w.mid, question.target);
  row.full_side = side_of(full_rate.mid, full_w.mid, question.reference);
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
  require_known_prices(rule, inputs);
  RuleCost cost{rule.id, rule.title, {}, {}, {}, price_notes(rule, inputs)};
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
                      "machines, kernels the same share of arithmetic and memory, but where the same kernels were "
                      "measured on the cut machine and an H800 (DeepSeek-V3's on an H20) their times' ratio",
                      "serving: kernel times published for the machine, or for a sibling and scaled",
                      "joules are those of rated power, board and host; a GPU that waits draws less, so a "
                      "cut link costs fewer joules "
                      "than this",
                      "prices are rents of their own date, not of when the rule came"};
  return cost;
}

}  // namespace chokepoint
