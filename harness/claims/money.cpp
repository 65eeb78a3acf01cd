#include "harness/claims/money.hpp"

#include <fmt/format.h>

#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

// "5.58M", "360k", "0.199".
std::string amount_text(double usd) {
  if (usd < 1000.0) return fmt::format("{:.3g}", usd);
  std::string text = with_unit(usd, "");  // "5.58 M"
  std::erase(text, ' ');
  return text;
}

}  // namespace

RentalCost rental_cost(const Estimate& gpu_hours, const PriceQuote& quote) {
  RentalCost cost{quote, product({gpu_hours, quote.usd_per_h()})};
  cost.usd.source = quote.text();
  return cost;
}

std::vector<RentalCost> rental_costs(const Estimate& gpu_hours, const std::vector<PriceBook>& books,
                                     const std::string& profile) {
  std::vector<RentalCost> costs;
  for (auto book = books.rbegin(); book != books.rend(); ++book)  // they come oldest first
    for (const PriceItem& item : book->items)
      if (item.profile == profile)
        costs.push_back(rental_cost(
            gpu_hours, {item, book->id, book->date, book->seller, book->source_kind, book->hash}));
  return costs;
}

std::string usd_text(const Estimate& usd) {
  const std::string middle = "$" + amount_text(usd.mid);
  if (usd.is_exact()) return middle;
  return fmt::format("{} [{}, {}]", middle, amount_text(usd.low), amount_text(usd.high));
}

}  // namespace chokepoint
