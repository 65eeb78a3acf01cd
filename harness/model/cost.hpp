// Which of two machines is cheaper per unit of work, at which price are they even, and what does the answer
// hang on? Nothing here was measured but the throughput ratio: prices change, times do not, so this is
// computed when it is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/cost_book.hpp"
#include "harness/model/estimate.hpp"

namespace chokepoint {

// r (1+r)^n / ((1+r)^n - 1): the yearly payment for a dollar borrowed at `rate` for `years`; 1/n without
// interest.
double capital_recovery_factor(double rate, double years);

// The middles of `terms`: [capex - residual / (1+r)^n] * CRF(r, n) / (8760 * availability) + opex, without
// electricity.
double owned_usd_per_h(double capex_usd, const Ownership& terms);

// The purchase price at which `owned_usd_per_h` gives `usd_per_h`; negative when the running costs alone are
// above it.
double capex_at(double usd_per_h, const Ownership& terms);

double electricity_usd_per_h(double it_power_w, double pue, double usd_per_kwh);

enum class Possession {
  rented,  // at a quote, which includes electricity
  owned,   // purchase, financing, running costs and electricity
};

// One of the two machines.
struct CostSide {
  std::string target;
  Possession possession = Possession::rented;
  std::optional<Estimate> usd_per_h;  // rented; absent where nobody offers one
  std::optional<Estimate> capex_usd;  // owned
  Estimate board_w, host_w;           // of one GPU and its share of host and network
  bool board_is_rated =
      true;  // board_w is what the board may draw: times the load share; else what it did draw
  Estimate engineering_usd_per_h = exactly(0.0);  // what porting to it costs, over all its GPU-hours
};

struct CostQuestion {
  CostSide target, reference;
  Estimate throughput_ratio;                  // target over reference, work per second
  Estimate utilisation_ratio = exactly(1.0);  // hours of useful work per hour paid, target over reference
  Ownership terms;
  Estimate electricity_usd_per_kwh, pue, load_share;
};

// Every range in it by name, "price of h800-sxm" or "PUE"; what both sides share appears once.
void for_each_variable(CostQuestion& question,
                       const std::function<void(const std::string&, Estimate&)>& visit);

// The middles only. IT power is board and host; absent without a price.
double it_power_w(const CostSide& side, const CostQuestion& question);
std::optional<double> usd_per_h(const CostSide& side, const CostQuestion& question);

// (target's dollars per hour / reference's) / (throughput ratio * utilisation ratio): below 1 the target is
// cheaper.
std::optional<double> cost_ratio(const CostQuestion& question);

// The target's price per hour at which both cost the same per unit of work: rent, or all but electricity when
// owned.
std::optional<double> break_even_usd_per_h(const CostQuestion& question);

// What becomes of the outcome when one variable goes to an end of its range and all others stay in the
// middle.
struct CostSwing {
  std::string variable;
  double low = 0.0, high = 0.0;  // the variable's ends
  double outcome_low = 0.0, outcome_high = 0.0;

  double size() const;  // |log(outcome_high / outcome_low)|
};

enum class CostVerdict {
  wins,     // cheaper in at least 95 of 100 draws
  loses,    // in at most 5
  depends,  // in between
  open,     // a price is missing
};
std::string_view to_string(CostVerdict verdict);

struct CostAnswer {
  Estimate break_even_price_ratio;                                // throughput ratio * utilisation ratio
  std::optional<Estimate> target_usd_per_h, reference_usd_per_h;  // all included
  std::optional<Estimate> break_even_usd_per_h;
  std::optional<Estimate> break_even_capex_usd;  // owned
  std::optional<Estimate> cost_ratio;
  std::optional<double> win_probability;  // share of draws in which the target is cheaper
  CostVerdict verdict = CostVerdict::open;
  std::string swings_of;          // what the swings are of: "cost ratio", "break-even price"
  std::vector<CostSwing> swings;  // the largest first; none of variables that change nothing
  std::string flips;  // the variable that turns the verdict over on its own, the largest such; may be empty
};

inline constexpr std::size_t kCostDraws = 2000;

CostAnswer answer(const CostQuestion& question, std::uint64_t seed = 1, std::size_t draws = kCostDraws);

}  // namespace chokepoint
