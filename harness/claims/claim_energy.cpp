#include "harness/claims/claim_energy.hpp"

#include <fmt/format.h>

#include "harness/base/error.hpp"
#include "harness/claims/money.hpp"
#include "harness/claims/once_per_folder.hpp"

namespace chokepoint {
namespace {

void replace_by_set(Estimate& estimate, const std::string& key, const std::map<std::string, double>& numbers) {
  if (const auto found = numbers.find(key); found != numbers.end())
    estimate = exactly(found->second, "set on the command line");
}

// A market price where there is one: another figure is better than none, and counts as a guess.
std::optional<Estimate> rent_of(const std::vector<PriceBook>& books, const std::string& profile) {
  if (const std::optional<PriceQuote> market = quote(books, profile)) return market->usd_per_h();
  const std::vector<RentalCost> any = rental_costs(exactly(1.0), books, profile);
  if (any.empty()) return std::nullopt;
  Estimate rent = any.front().quote.usd_per_h();
  rent.verified = false;
  return rent;
}

void require_possible(const PowerModel& power) {
  if (power.pue.low < 1.0)
    throw Error(Fault::config, fmt::format("pue is {:.4g}: a building uses no less than what is in it", power.pue.low),
                "give facility power over IT power, at least 1");
  if (power.load_share.high > 1.0)
    throw Error(Fault::config, fmt::format("load_share is {:.4g}, above the rated power", power.load_share.high),
                "give average over rated power, at most 1; what a board may draw is board_w");
}

Assumption assumption_of(const std::string& key, const Estimate& estimate) {
  return {key,
          estimate.mid,
          estimate.low,
          estimate.high,
          estimate.verified ? "published" : "prior",
          estimate.source,
          std::nullopt,
          true};
}

}  // namespace

const std::vector<std::string>& energy_keys() {
  static const std::vector<std::string> keys = {"board_w", "host_w",      "load_share",
                                                "pue",     "electricity", "usd_per_gpu_h"};
  return keys;
}

const CostBook& newest_cost_book(const std::string& configs) {
  return find_cost_book(once_per_folder<std::vector<CostBook>>(configs, load_cost_books), "");
}

EnergyFigures energy_figures(const Profile& profile, const std::string& configs, const std::string& facility,
                             const std::map<std::string, double>& numbers) {
  const CostBook& book = newest_cost_book(configs);
  const auto& prices = once_per_folder<std::vector<PriceBook>>(configs, load_price_books);
  EnergyFigures figures{power_model(profile, book, facility), book.electricity_usd_per_kwh, rent_of(prices, profile.id),
                        ""};
  replace_by_set(figures.power.board_w, "board_w", numbers);
  replace_by_set(figures.power.host_w, "host_w", numbers);
  replace_by_set(figures.power.load_share, "load_share", numbers);
  replace_by_set(figures.power.pue, "pue", numbers);
  replace_by_set(figures.electricity_usd_per_kwh, "electricity", numbers);
  require_possible(figures.power);
  if (numbers.contains("usd_per_gpu_h")) figures.usd_per_gpu_h = Estimate();
  if (figures.usd_per_gpu_h)
    replace_by_set(*figures.usd_per_gpu_h, "usd_per_gpu_h", numbers);
  else
    figures.rent_gap = fmt::format("no price of {}: {}", profile.id, absence(prices, profile.id));
  return figures;
}

std::vector<Assumption> energy_assumptions(const EnergyFigures& figures) {
  std::vector<Assumption> assumptions = {
      assumption_of("board_w", figures.power.board_w), assumption_of("host_w", figures.power.host_w),
      assumption_of("load_share", figures.power.load_share), assumption_of("pue", figures.power.pue),
      assumption_of("electricity", figures.electricity_usd_per_kwh)};
  if (figures.usd_per_gpu_h) assumptions.push_back(assumption_of("usd_per_gpu_h", *figures.usd_per_gpu_h));
  return assumptions;
}

Consumption consumption_of(const Estimate& gpu_hours, const std::string& of, const EnergyFigures& figures) {
  PowerModel without_building = figures.power;
  without_building.pue = exactly(1.0);
  Consumption consumption;
  consumption.of = of;
  consumption.gpu_hours = gpu_hours;
  consumption.it_kwh = kwh_of_gpu_hours(gpu_hours, without_building);
  consumption.facility_kwh = kwh_of_gpu_hours(gpu_hours, figures.power);
  consumption.electricity_usd = product({consumption.facility_kwh, figures.electricity_usd_per_kwh});
  consumption.basis = basis_text(figures.power);
  consumption.rent_gap = figures.rent_gap;
  consumption.figures = energy_assumptions(figures);
  if (!figures.usd_per_gpu_h) return consumption;
  consumption.rent_usd = product({gpu_hours, *figures.usd_per_gpu_h});
  consumption.electricity_share = consumption.electricity_usd.mid / consumption.rent_usd->mid;
  return consumption;
}

}  // namespace chokepoint
