// How much energy does one launch take, and how sure is that? Counter windows cut at the counter's own ticks inside
// a steady load, a second opinion from instant power, and random and systematic error kept apart. Where no counter
// ticks, the joules are integrated instant power, flagged and with a wider bound. No GPU and no clock of its own in
// here: whoever reads the power is a PowerInstrument, whoever keeps the board busy a function.
//
//   NvmlInstrument instrument(gpu);                                        // nvml_instrument.hpp
//   const InstrumentFacts facts = probe_instrument(instrument, keep_busy);  // once per driver and GPU
//   const EnergyMeasurement energy = measure_energy(instrument, facts, energy_settings("standard"), keep_busy);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/meters/power_window.hpp"

namespace chokepoint {

struct InstantPower {
  double w = 0.0;
  double stamp_s = 0.0;  // the instrument's own time of the reading, to tell repeated readings apart; 0: none
};

// Readings come from one thread at a time; `now_s` and `sleep_s` from any.
class PowerInstrument {
 public:
  virtual ~PowerInstrument() = default;
  virtual std::optional<double> energy_j() = 0;  // since a fixed moment, board
  virtual std::optional<InstantPower> instant_power() = 0;
  virtual std::optional<double> average_power_w() { return std::nullopt; }  // mean of the last second
  virtual std::optional<double> memory_power_w() { return std::nullopt; }   // scope gpu_memory
  virtual std::optional<double> temperature_c() { return std::nullopt; }
  virtual double now_s() = 0;  // steady
  virtual void sleep_s(double seconds) = 0;
};

// What a slice of load did: 20 to 50 ms of back-to-back launches, no L2 flush in between. To leave no gap, enqueue
// the next slice before waiting for this one.
struct LoadStep {
  std::int64_t launches = 0;  // finished during this call
  double busy_s = 0.0;        // of them on the device's own clock
};
using KeepBusy = std::function<LoadStep()>;

// Everything seen while polling. A tick is a change of the counter, seen somewhere in (after_s, at_s].
struct CounterTick {
  double after_s = 0.0, at_s = 0.0;
  double energy_j = 0.0;
  double middle_s() const { return 0.5 * (after_s + at_s); }
};
struct PowerTrace {
  std::vector<CounterTick> ticks;
  std::vector<PowerPoint> power;
  std::vector<PowerPoint> memory_power;
  std::vector<PowerPoint> average_power;  // only where there is no counter
  std::vector<double> counter_read_s, power_read_s;  // how long each reading took
  std::int64_t polls = 0;
  std::string trouble;  // what stopped the polling, or empty
};

// Adds what one poll of `instrument` shows. One per trace.
class TraceRecorder {
 public:
  TraceRecorder(PowerInstrument& instrument, PowerTrace& trace) : instrument_(instrument), trace_(trace) {}
  void poll();

 private:
  void poll_counter();
  void poll_power();
  void add_reading(std::optional<double> w, std::vector<PowerPoint>& points);

  PowerInstrument& instrument_;
  PowerTrace& trace_;
  std::optional<double> last_energy_j_;
  double last_counter_poll_s_ = 0.0;  // when the reading before began
  std::optional<double> last_stamp_s_;
};

// Polls beside the load. The default is a thread; tests on a scripted clock poll from the load itself.
class Poller {
 public:
  virtual ~Poller() = default;
  virtual void start(std::function<void()> poll) = 0;
  virtual void stop() = 0;  // no poll runs after it returned
};
std::unique_ptr<Poller> polling_thread(double period_s = 0.002);

// The instrument itself, measured under load. Absent where it gives no such reading or did not move.
struct InstrumentFacts {
  std::optional<double> tick_s;  // median time between changes of the counter
  std::optional<double> step_j;  // smallest change of the counter
  std::optional<double> counter_lag_s, power_lag_s;  // from load to reading; includes the load's own ramp
  std::optional<double> power_refresh_s;             // median time between changes of instant power
  std::optional<double> counter_read_p50_s, counter_read_p99_s, power_read_p50_s, power_read_p99_s;
};
Json to_json(const InstrumentFacts& facts);
InstrumentFacts instrument_facts(const PowerTrace& trace, std::optional<double> load_began_s);

struct ProbeSettings {
  double idle_s = 1.0, load_s = 2.5;
};
InstrumentFacts probe_instrument(PowerInstrument& instrument, const KeepBusy& keep_busy,
                                 const ProbeSettings& settings = {}, Poller* poller = nullptr);

struct EnergySettings {
  std::string name = "standard";
  double window_s = 5.0;  // of one trial; longer when the tick or a launch asks for it
  int trials = 5;         // consecutive windows of one load, or separate loads when rest_s > 0
  double lead_in_s = 1.5, lead_out_s = 0.3;
  double rest_s = 0.0;  // cooling before every further trial
  double idle_s = 10.0;  // measured before and after; 0: not measured
  std::optional<double> known_idle_w;  // measured elsewhere in the same run; used when idle_s is 0
  double least_duty = 0.98;
  double most_disagreement = 0.05;  // counter against integrated power
  double gain_error = 0.05;         // of the board's sensor, unless it was calibrated (Yang et al., SC'24)
  bool is_low_confidence = false;
};

// "quick" (2 s, 3 trials, 1 s idle), "standard" (5 s, 5 trials), "publish" (10 s, 10 trials). Throws Error{config} otherwise.
EnergySettings energy_settings(const std::string& name);

// The window that is really used: quick keeps its own, others grow to 50 ticks and 32 launches.
double window_length_s(const EnergySettings& settings, const InstrumentFacts& facts, double launch_s);

struct Systematic {  // bounds, relative to the gross energy; they add
  double gain = 0.0;       // cancels in a ratio on the same card
  double alignment = 0.0;  // when exactly the counter ticked
  double lag = 0.0;        // power drifting while the reading lags
  double sampling = 0.0;   // of integrated instant power: what its sensor did not see; 0 with a counter
  double total() const { return gain + without_gain(); }
  double without_gain() const { return alignment + lag + sampling; }
};

struct EnergyTrial {
  double window_s = 0.0;
  bool by_counter = true;   // false: by integrated instant power
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

struct EnergyMeasurement {
  // Absent when `refusal` says why: the duty was too low, or neither counter nor instant power moved enough.
  std::optional<double> gross_j_per_launch;  // the headline; idle power included
  std::optional<double> net_j_per_launch;    // gross - idle_w * seconds per launch
  std::optional<double> power_w;
  std::optional<double> random_error;  // half width at 95 %, relative; absent with fewer than 2 trials
  std::optional<Systematic> systematic;
  std::optional<double> idle_before_w, idle_after_w, idle_w;  // idle_w is their mean
  std::optional<double> static_share;                         // idle_w / power_w
  std::optional<double> agreement;  // largest |counter - integrated power| / counter over the trials
  std::optional<double> memory_power_w;
  std::optional<double> temperature_before_c, temperature_after_c;
  std::optional<double> duty;  // smallest over the trials
  double window_s = 0.0;       // shortest
  InstrumentFacts instrument;
  std::vector<EnergyTrial> trials;
  // low_confidence, suspect (two readings disagree), no_second_opinion, idle_unsteady, no_counter (joules from
  // instant power; then always no_second_opinion too, as its trailing average comes from the same sensor)
  std::vector<std::string> flags;
  std::string refusal;  // empty when there is a result; else one sentence with the remedy
};

// Idle power over `seconds`: by the counter, or by instant power where it did not tick twice; absent when that hardly
// moved either.
std::optional<double> measure_idle_w(PowerInstrument& instrument, double seconds, Poller* poller = nullptr);

// Loads the device for about trials * window + lead-in and lead-out, plus twice the idle time. Throws what
// `keep_busy` throws, Error{io} when reading fails for good.
EnergyMeasurement measure_energy(PowerInstrument& instrument, const InstrumentFacts& facts,
                                 const EnergySettings& settings, const KeepBusy& keep_busy,
                                 Poller* poller = nullptr);

}  // namespace chokepoint
