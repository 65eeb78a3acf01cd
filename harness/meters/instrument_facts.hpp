// How good is a power instrument? Its tick, lag, refresh and the time of a reading, measured under load.
#pragma once

#include <optional>
#include <string>

#include "harness/meters/load_log.hpp"

namespace chokepoint {

// The instrument itself, measured under load. Absent where it gives no such reading or did not move.
struct InstrumentFacts {
  std::optional<double> tick_s;  // time between changes of the counter
  std::optional<double> step_j;  // smallest change of the counter
  std::optional<double> counter_lag_s, power_lag_s;  // from load to reading; includes the load's own ramp
  std::optional<double> power_refresh_s;             // median time between changes of instant power
  std::optional<double> counter_read_p50_s, counter_read_p99_s, power_read_p50_s, power_read_p99_s;
};
Readings readings_of(const InstrumentFacts& facts);  // under the names of the members
std::string text_of(const InstrumentFacts& facts);   // a line each for the counter and for instant power
InstrumentFacts instrument_facts(const PowerTrace& trace, std::optional<double> load_began_s);

struct ProbeSettings {
  double idle_s = 1.0, load_s = 2.5;
};
InstrumentFacts probe_instrument(PowerInstrument& instrument, const KeepBusy& keep_busy,
                                 const ProbeSettings& settings = {}, Poller* poller = nullptr);

}  // namespace chokepoint
