// Which figures turn a claim's GPU-hours into joules and dollars, what do they come to, and which of them may be set?
#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/claims/claim.hpp"
#include "harness/claims/energy.hpp"
#include "harness/model/price.hpp"

namespace chokepoint {

// What `--set` and a claim's assumptions may replace: "board_w", "host_w", "load_share", "pue", "electricity"
// (USD per kWh) and "usd_per_gpu_h".
const std::vector<std::string>& energy_keys();

const CostBook& newest_cost_book(const std::string& configs);  // read once per folder

struct EnergyFigures {
  PowerModel power;
  Estimate electricity_usd_per_kwh;
  std::optional<Estimate> usd_per_gpu_h;  // rent: the newest market price, else the newest of any book; its source says
  std::string rent_gap;                   // why there is none
};

// Of the newest cost book and the price books in `configs`; `numbers` by energy_keys() go before them. Throws
// Error{config} when profile, book or facility lack a figure.
EnergyFigures energy_figures(const Profile& profile, const std::string& configs, const std::string& facility,
                             const std::map<std::string, double>& numbers = {});

// The same as assumptions, keys as above; `prior` where nobody could check a figure.
std::vector<Assumption> energy_assumptions(const EnergyFigures& figures);

inline const char* const kUsualFacility = "colocation";

// What the GPU-hours behind a claim take and cost.
struct Consumption {
  std::string of;  // "1T tokens", "the run"
  Estimate gpu_hours;
  Estimate it_kwh, facility_kwh;  // boards and hosts; with the building's overhead (PUE)
  Estimate electricity_usd;
  std::optional<Estimate> rent_usd;         // which includes electricity
  std::optional<double> electricity_share;  // of the rent
  std::string basis;                        // every factor between hours and energy
  std::string rent_gap;
  std::vector<Assumption> figures;  // with their sources
};

Consumption consumption_of(const Estimate& gpu_hours, const std::string& of, const EnergyFigures& figures);

}  // namespace chokepoint
