// What energy did single windows of a steady load take? Windows cut at the counter's own ticks, or of integrated instant
// power where no counter ticks, each with the bounds of its systematic errors.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/meters/instrument_facts.hpp"

namespace chokepoint {

struct EnergyTrial {
  double from_s = 0.0;  // on the instrument's clock
  double window_s = 0.0;
  bool by_counter = true;   // false: by integrated instant power
  bool is_constant = false;  // of instant power that hardly moved: nothing shows that its sensor is alive
  double power_w = 0.0;
  double launches = 0.0;    // inside the window
  double duty = 0.0;        // busy share of the window
  std::optional<double> power_w_instant;  // by integrated instant power, beside the counter
  std::optional<double> off_average;      // without a counter: |instant / trailing average - 1| of the last second
  std::optional<double> memory_power_w;
  double alignment = 0.0;  // relative bound
  double lag = 0.0;        // relative bound
  double sampling = 0.0;   // relative bound
};

// Up to `count` windows of `window_s`, end to end, the first from `from_s` on; fewer when the trace ends.
std::vector<EnergyTrial> counter_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s,
                                        std::size_t count, const InstrumentFacts& facts);

struct PowerTrials {
  std::vector<EnergyTrial> trials;
  std::string refusal;  // of the window that ended it: it held too few readings
};
PowerTrials power_trials(const PowerTrace& trace, const LoadLog& log, double from_s, double window_s, std::size_t count,
                         const InstrumentFacts& facts);

}  // namespace chokepoint
