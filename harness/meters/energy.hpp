// How much energy does one launch take, and how sure is that? Counter windows cut at the counter's own ticks inside
// a steady load, a second opinion from instant power, and random and systematic error kept apart. Where no counter
// ticks, the joules are integrated instant power, flagged and with a wider bound. No GPU and no clock of its own in
// here: whoever reads the power is a PowerInstrument, whoever keeps the board busy a function.
//
//   NvmlInstrument instrument(gpu);                                        // nvml_instrument.hpp
//   const InstrumentFacts facts = probe_instrument(instrument, keep_busy);  // once per driver and GPU
//   const EnergyMeasurement energy = measure_energy(instrument, facts, energy_settings("standard"), keep_busy);
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/meters/energy_trials.hpp"
#include "harness/model/recorded_trace.hpp"

namespace chokepoint {

struct EnergySettings {
  std::string name = "standard";
  double window_s = 5.0;  // of one trial; longer when the tick or a launch asks for it
  int trials = 5;         // each a load of its own, or windows of one load where nothing comes between
  double lead_in_s = 1.5, lead_out_s = 0.3;
  double rest_s = 5.0;  // cooling before every further load
  double idle_s = 10.0;  // measured before and after; 0: not measured
  std::optional<double> known_idle_w;  // measured elsewhere in the same run; used where it is not measured here
  double least_duty = 0.98;
  double most_disagreement = 0.05;  // counter against integrated power
  double gain_error = 0.05;         // of the board's sensor, unless it was calibrated (Yang et al., SC'24)
  bool is_low_confidence = false;
};

// "standard" (5 trials of 5 s) and "publish" (10 of 10 s), each trial from a board that rested for 5 s, between 10 s of
// idle power; "quick" (5 of 2 s without rest, 1 s of idle power), whose flags say what it does without. Throws
// Error{config} otherwise.
EnergySettings energy_settings(const std::string& name);

// About how long measuring so many loads takes, the board's probe left out.
double expected_energy_s(const EnergySettings& settings, std::size_t loads);

// A load's launches begin so much later before its `trial`, so that all parts of the time between two readings are met
// evenly; below `period_s`, 0 for the first. Asked for where a launch takes more than a quarter of that time.
double launch_phase_s(int trial, double period_s);

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
  Readings before, after;  // state of the board right before the first load and right after the last
  Readings slowed_s;       // in the loads, lead-in and lead-out included
  Answers conditions;   // named by whoever opened the instrument
  std::optional<double> duty;  // smallest over the trials
  double window_s = 0.0;       // shortest
  InstrumentFacts instrument;
  std::vector<EnergyTrial> trials;
  std::optional<RecordedTrace> trace;  // of the first load, instant power; absent where that did not move
  // suspect (two readings disagree), no_second_opinion, idle_unsteady, slowed_by_heat, no_counter (joules from instant
  // power; then always no_second_opinion too, as its trailing average comes from the same sensor), constant_power (and
  // that power hardly moved: nothing shows that its sensor is alive). What a full measurement has and this one has not:
  // low_confidence (windows of 5 s), few_trials (5), short_idle (10 s), no_rest (5 s before each trial)
  std::vector<std::string> flags;
  std::string refusal;  // empty when there is a result; else one sentence with the remedy
};

// Idle power over `seconds`: by the counter, or by instant power where it did not tick twice; absent when that hardly
// moved either.
std::optional<double> measure_idle_w(PowerInstrument& instrument, double seconds, Poller* poller = nullptr);

// Each of the loads, their trials in the order A B B A A B, so that drift cancels in ratios; idle power is that before the
// first and after the last. Throws what a load throws, Error{io} when reading fails for good.
std::vector<EnergyMeasurement> measure_energies(PowerInstrument& instrument, const InstrumentFacts& facts,
                                                const EnergySettings& settings, std::span<const KeepBusy> loads,
                                                Poller* poller = nullptr);

// One alone: without rest, and with launches that are short beside the time between two readings, all windows are cut
// from one load.
EnergyMeasurement measure_energy(PowerInstrument& instrument, const InstrumentFacts& facts,
                                 const EnergySettings& settings, const KeepBusy& keep_busy,
                                 Poller* poller = nullptr);

}  // namespace chokepoint
