#include "harness/model/cost.hpp"

#include <algorithm>
#include <cmath>

#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

constexpr double kHoursPerYear = 8760.0, kWattsPerKw = 1000.0;
constexpr double kSurely = 0.95;  // of the draws

double present_share_of_residual(const Ownership& terms) {
  return terms.residual_share.mid / std::pow(1.0 + terms.discount_rate_per_year.mid, terms.life_years.mid);
}

// Dollars per hour of each dollar of purchase.
double hourly_share_of_capex(const Ownership& terms) {
  return (1.0 - present_share_of_residual(terms)) *
         capital_recovery_factor(terms.discount_rate_per_year.mid, terms.life_years.mid) /
         (kHoursPerYear * terms.availability.mid);
}

double electricity_of(const CostSide& side, const CostQuestion& question) {
  if (side.possession == Possession::rented) return 0.0;  // in the quote
  return electricity_usd_per_h(it_power_w(side, question), question.pue.mid,
                               question.electricity_usd_per_kwh.mid);
}

void visit_side(CostSide& side, const std::function<void(const std::string&, Estimate&)>& visit) {
  visit("engineering for " + side.target, side.engineering_usd_per_h);
  if (side.possession == Possession::rented) {
    if (side.usd_per_h) visit("price of " + side.target, *side.usd_per_h);
    return;
  }
  if (side.capex_usd) visit("purchase price of " + side.target, *side.capex_usd);
  visit("board power of " + side.target, side.board_w);
  visit("host power of " + side.target, side.host_w);
}

// The question with its middles moved, and the way back.
class Scratch {
 public:
  explicit Scratch(const CostQuestion& question) : moved_(question) {
    for_each_variable(moved_, [&](const std::string& name, Estimate& estimate) {
      variables_.push_back({name, &estimate, estimate});
    });
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const CostQuestion& question() const { return moved_; }
  std::size_t size() const { return variables_.size(); }
  const std::string& name(std::size_t i) const { return variables_[i].name; }
  const Estimate& range(std::size_t i) const { return variables_[i].original; }
  void set(std::size_t i, double value) { variables_[i].place->mid = value; }
  void reset(std::size_t i) { set(i, variables_[i].original.mid); }
  void draw_all(std::uint64_t seed, std::uint64_t index) {
    for (const Variable& variable : variables_)
      variable.place->mid = draw(variable.original, seed, variable.name, index);
  }

 private:
  struct Variable {
    std::string name;
    Estimate* place;
    Estimate original;
  };
  CostQuestion moved_;
  std::vector<Variable> variables_;
};

using CostFigure = std::optional<double> (*)(const CostQuestion&);

std::vector<CostSwing> swings_of(const CostQuestion& question, CostFigure outcome) {
  std::vector<CostSwing> swings;
  Scratch scratch(question);
  for (std::size_t i = 0; i < scratch.size(); ++i) {
    const Estimate& range = scratch.range(i);
    if (range.is_exact()) continue;
    scratch.set(i, range.low);
    const std::optional<double> low = outcome(scratch.question());
    scratch.set(i, range.high);
    const std::optional<double> high = outcome(scratch.question());
    scratch.reset(i);
    if (low && high && *low != *high) swings.push_back({scratch.name(i), range.low, range.high, *low, *high});
  }
  std::stable_sort(swings.begin(), swings.end(),
                   [](const CostSwing& a, const CostSwing& b) { return a.size() > b.size(); });
  return swings;
}

struct CostDraws {
  std::vector<double> price_ratio, target, reference, break_even, capex, ratio;

  void add(const CostQuestion& question) {
    price_ratio.push_back(question.throughput_ratio.mid * question.utilisation_ratio.mid);
    if (const auto usd = usd_per_h(question.target, question)) target.push_back(*usd);
    if (const auto usd = usd_per_h(question.reference, question)) reference.push_back(*usd);
    if (const auto usd = break_even_usd_per_h(question)) {
      break_even.push_back(*usd);
      if (question.target.possession == Possession::owned) capex.push_back(capex_at(*usd, question.terms));
    }
    if (const auto value = cost_ratio(question)) ratio.push_back(*value);
  }
};

// The middle is the outcome of all middles: what a reader can follow by hand.
std::optional<Estimate> summary(const std::vector<double>& samples, std::optional<double> middle) {
  if (samples.empty() || !middle) return std::nullopt;
  Estimate estimate = estimate_of(samples);
  estimate.mid = *middle;
  estimate.low = std::min(estimate.low, estimate.mid);
  estimate.high = std::max(estimate.high, estimate.mid);
  return estimate;
}

CostVerdict verdict_at(double win_probability) {
  if (win_probability >= kSurely) return CostVerdict::wins;
  return win_probability <= 1.0 - kSurely ? CostVerdict::loses : CostVerdict::depends;
}

std::string flipping_variable(const std::vector<CostSwing>& swings) {
  for (const CostSwing& swing : swings)
    if ((swing.outcome_low - 1.0) * (swing.outcome_high - 1.0) < 0.0) return swing.variable;
  return "";
}

}  // namespace

double capital_recovery_factor(double rate, double years) {
  if (rate <= 0.0) return 1.0 / years;
  return rate / -std::expm1(-years * std::log1p(rate));  // = r (1+r)^n / ((1+r)^n - 1)
}

double owned_usd_per_h(double capex_usd, const Ownership& terms) {
  return capex_usd * hourly_share_of_capex(terms) + terms.opex_usd_per_gpu_h.mid;
}

double capex_at(double usd_per_h, const Ownership& terms) {
  return (usd_per_h - terms.opex_usd_per_gpu_h.mid) / hourly_share_of_capex(terms);
}

double electricity_usd_per_h(double it_power_w, double pue, double usd_per_kwh) {
  return it_power_w / kWattsPerKw * pue * usd_per_kwh;
}

void for_each_variable(CostQuestion& question,
                       const std::function<void(const std::string&, Estimate&)>& visit) {
  visit("throughput ratio", question.throughput_ratio);
  visit("utilisation ratio", question.utilisation_ratio);
  visit_side(question.target, visit);
  visit_side(question.reference, visit);
  const bool owns_any =
      question.target.possession == Possession::owned || question.reference.possession == Possession::owned;
  if (!owns_any) return;
  visit("residual value", question.terms.residual_share);
  visit("discount rate", question.terms.discount_rate_per_year);
  visit("life", question.terms.life_years);
  visit("availability", question.terms.availability);
  visit("running costs", question.terms.opex_usd_per_gpu_h);
  visit("electricity price", question.electricity_usd_per_kwh);
  visit("PUE", question.pue);
  visit("load share", question.load_share);
}

double it_power_w(const CostSide& side, const CostQuestion& question) {
  const double share = question.load_share.mid;
  return side.board_w.mid * (side.board_is_rated ? share : 1.0) + side.host_w.mid * share;
}

std::optional<double> usd_per_h(const CostSide& side, const CostQuestion& question) {
  const double engineering = side.engineering_usd_per_h.mid;
  if (side.possession == Possession::rented)
    return side.usd_per_h ? std::optional(side.usd_per_h->mid + engineering) : std::nullopt;
  if (!side.capex_usd) return std::nullopt;
  return owned_usd_per_h(side.capex_usd->mid, question.terms) + electricity_of(side, question) + engineering;
}

std::optional<double> cost_ratio(const CostQuestion& question) {
  const std::optional<double> target = usd_per_h(question.target, question);
  const std::optional<double> reference = usd_per_h(question.reference, question);
  if (!target || !reference) return std::nullopt;
  return *target / *reference / (question.throughput_ratio.mid * question.utilisation_ratio.mid);
}

std::optional<double> break_even_usd_per_h(const CostQuestion& question) {
  const std::optional<double> reference = usd_per_h(question.reference, question);
  if (!reference) return std::nullopt;
  return *reference * question.throughput_ratio.mid * question.utilisation_ratio.mid -
         electricity_of(question.target, question) - question.target.engineering_usd_per_h.mid;
}

double CostSwing::size() const {
  const bool has_logarithm = outcome_low > 0.0 && outcome_high > 0.0;
  return has_logarithm ? std::abs(std::log(outcome_high / outcome_low))
                       : std::abs(outcome_high - outcome_low);
}

std::string_view to_string(CostVerdict verdict) {
  switch (verdict) {
    case CostVerdict::wins:
      return "wins";
    case CostVerdict::loses:
      return "loses";
    case CostVerdict::depends:
      return "depends";
    case CostVerdict::open:
      return "open";
  }
  return "open";
}

CostAnswer answer(const CostQuestion& question, std::uint64_t seed, std::size_t draws) {
  Scratch scratch(question);
  CostDraws drawn;
  for (std::size_t i = 0; i < draws; ++i) {
    scratch.draw_all(seed, i);
    drawn.add(scratch.question());
  }
  CostAnswer result;
  result.break_even_price_ratio =
      *summary(drawn.price_ratio, question.throughput_ratio.mid * question.utilisation_ratio.mid);
  result.target_usd_per_h = summary(drawn.target, usd_per_h(question.target, question));
  result.reference_usd_per_h = summary(drawn.reference, usd_per_h(question.reference, question));
  const std::optional<double> even = break_even_usd_per_h(question);
  result.break_even_usd_per_h = summary(drawn.break_even, even);
  if (even) result.break_even_capex_usd = summary(drawn.capex, capex_at(*even, question.terms));
  result.cost_ratio = summary(drawn.ratio, cost_ratio(question));
  if (result.cost_ratio) {
    const auto wins =
        std::count_if(drawn.ratio.begin(), drawn.ratio.end(), [](double ratio) { return ratio < 1.0; });
    result.win_probability = static_cast<double>(wins) / static_cast<double>(drawn.ratio.size());
    result.verdict = verdict_at(*result.win_probability);
  }
  result.swings_of = result.cost_ratio ? "cost ratio" : "break-even price";
  result.swings = swings_of(question, result.cost_ratio ? cost_ratio : break_even_usd_per_h);
  if (result.verdict == CostVerdict::depends) result.flips = flipping_variable(result.swings);
  return result;
}

}  // namespace chokepoint
