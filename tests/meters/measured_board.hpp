// Energy measured on a scripted board, with the parts of a profile that a test is about.
#pragma once

#include <algorithm>
#include <string>

#include "harness/meters/energy.hpp"
#include "tests/meters/scripted_board.hpp"

namespace chokepoint {

inline EnergySettings without_idle(const char* name = "standard") {
  EnergySettings settings = energy_settings(name);
  settings.idle_s = 0.0;
  return settings;
}

// All windows cut from one load.
inline EnergySettings one_load(const char* name = "standard") {
  EnergySettings settings = without_idle(name);
  settings.rest_s = 0.0;
  return settings;
}

inline EnergyMeasurement measured(Board& board, const EnergySettings& settings,
                                  const InstrumentFacts& facts = {.tick_s = 0.1}) {
  return measure_energy(board, facts, settings, board.load(), &board);
}

inline bool has_flag(const EnergyMeasurement& energy, const std::string& flag) {
  return std::find(energy.flags.begin(), energy.flags.end(), flag) != energy.flags.end();
}

}  // namespace chokepoint
