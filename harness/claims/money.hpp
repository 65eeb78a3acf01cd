// What do so many GPU-hours cost in rent? One answer per price, each with its range, date and kind of source.
#pragma once

#include <string>
#include <vector>

#include "harness/model/estimate.hpp"
#include "harness/model/price.hpp"

namespace chokepoint {

struct RentalCost {
  PriceQuote quote;
  Estimate usd;
};

RentalCost rental_cost(const Estimate& gpu_hours, const PriceQuote& quote);

// At every price any book has for `profile`: the newest book first, in the book's order. Empty where nobody
// offers one; `absence` (harness/model/price.hpp) says why.
std::vector<RentalCost> rental_costs(const Estimate& gpu_hours, const std::vector<PriceBook>& books,
                                     const std::string& profile);

// "$5.58M [3.88M, 9.03M]", "$360k"; three digits.
std::string usd_text(const Estimate& usd);

}  // namespace chokepoint
