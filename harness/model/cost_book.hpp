// What does it take to own and run a GPU? Purchase, financing, power and electricity, each as a range with
// its source.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/model/estimate.hpp"

namespace chokepoint {

// Terms that belong to the owner, not to a machine.
struct Ownership {
  Estimate residual_share;          // of the purchase price, what is left of it after `life_years`
  Estimate discount_rate_per_year;  // cost of capital
  Estimate life_years;
  Estimate availability;        // hours in use over hours that pass
  Estimate opex_usd_per_gpu_h;  // running costs without electricity
};

struct CostMachine {
  std::string profile;
  Estimate host_w;                    // rated power of host and network, per GPU
  std::optional<Estimate> capex_usd;  // purchase, per GPU with its share of host and network
};

struct Facility {
  std::string id;
  Estimate pue;  // facility power over IT power
};

struct CostAbsence {
  std::string profile, reason;  // why there is no purchase price
};

// configs/costs/<date>_<name>.json. Never edited, only superseded by a later one.
struct CostBook {
  std::string id, date, name, summary;
  Estimate electricity_usd_per_kwh;
  Estimate load_share;  // average power over rated power, of board and host
  std::vector<Facility> facilities;
  Ownership ownership;
  std::vector<CostMachine> machines;
  std::vector<CostAbsence> absent;
  std::string path;
  std::string hash;  // SHA-256 of the file
};

CostBook decode_cost_book(const JsonFile& file);                    // throws Error{config}
std::vector<CostBook> load_cost_books(const std::string& configs);  // `configs`/costs/*.json, oldest first

// By id, or the newest when `id` is empty. Throws Error{config} with the nearest known id, or when there is
// none.
const CostBook& find_cost_book(const std::vector<CostBook>& books, const std::string& id);

const Facility& find_facility(const CostBook& book, const std::string& id);  // throws Error{config}
const CostMachine* find_machine(const CostBook& book,
                                const std::string& profile);  // null when the book has none

// Why `profile` has no purchase price, as far as the book says.
std::string capex_absence(const CostBook& book, const std::string& profile);

}  // namespace chokepoint
