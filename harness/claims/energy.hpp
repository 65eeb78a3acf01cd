// What do so many GPU-hours take from the grid, and on what basis? Rated power times an average load, or
// powers that were measured phase by phase; either with the host's share and the building's overhead.
#pragma once

#include <string>
#include <vector>

#include "harness/model/cost_book.hpp"
#include "harness/model/estimate.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

// Of one GPU. Facility power = (board + host) * load share * PUE.
struct PowerModel {
  Estimate board_w, host_w;  // rated; host with the network
  Estimate load_share;       // average over rated power
  Estimate pue;
};

// Board power from the profile's TDP, the rest from the book. Throws Error{config} when either lacks the
// machine.
PowerModel power_model(const Profile& profile, const CostBook& book, const std::string& facility);

Estimate facility_w(const PowerModel& model);

// "(700 W board + 575 W host) x 0.75 load [0.66, 0.97] x 1.25 PUE [1.1, 1.56]", weak figures marked.
std::string basis_text(const PowerModel& model);

// One phase of a step, with the board power that was measured in it.
struct PhaseEnergy {
  std::string phase;
  double time_s = 0.0;
  Estimate board_w;
};

// Of one GPU: (sum of t * board + sum of t * host * load share) * PUE. Phases share their meter, so errors of
// board power do not cancel between them.
Estimate facility_j(const std::vector<PhaseEnergy>& phases, const PowerModel& model);

Estimate kwh_of_gpu_hours(const Estimate& gpu_hours, const PowerModel& model);

}  // namespace chokepoint
