// What is kept of one case? The record: what ran, under which caps, how long it took, and how far it can be
// trusted. One JSON line each in records.jsonl; keys carry units; missing is null. A field never changes
// meaning.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/base/resource.hpp"
#include "harness/model/readings.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

inline constexpr std::string_view kRecordSchema = "chokepoint/record/1";

enum class Status { ok, invalid, unsupported, skipped, failed };
enum class Basis { measured, emulated, scaled, projected, reported };
enum class CapStatus { held, missed, leaked, unverified };

std::string_view to_string(Status status);
std::string_view to_string(Basis basis);
std::string_view to_string(CapStatus status);

// A limit on one resource as it was asked for and as it was measured. Rates are host scale: amount per host
// second.
struct CapRecord {
  Resource resource = Resource::compute;
  double target_rate = 0.0;          // of the machine played, in its own seconds
  std::string target_rate_kind;      // "measured", "datasheet", "derived", "estimate", "override", "ratio"
  bool target_rate_verified = true;  // false: the profile marks the figure as unverified
  double requested = 0.0;            // target_rate / dilation
  double latency_s = 0.0;            // alpha, host scale
  std::optional<double> delivered_before, delivered_during, delivered_after;
  std::optional<double>
      linearity_error;               // largest |delivered/requested - 1| at the other probe rates, before
  double ceiling = 0.0;              // what the host was measured to deliver uncapped
  double headroom = 0.0;             // ceiling / requested
  std::string mechanism;             // "resource clock", "native", "green context, 24 of 132 SMs"
  std::optional<double> tolerance;   // of delivered rates; absent in records from before it was kept
  std::optional<double> busy_share;  // part of the sampled time this resource was in use, 0 to 1
  CapStatus status = CapStatus::unverified;
};

struct TimeSummary {  // host seconds of one launch
  std::optional<double> median, ci_low, ci_high, mean, mean_ci_low, mean_ci_high, ess, cv;
  std::int64_t n = 0;
  std::string stopped_by;  // "precision", "ess_low", "budget", "samples"
  std::string regime;      // "burst" (under 1 s of load), "short", "sustained" (10 s before and during)
  double window_s = 0.0;   // load seen in all, warm-up included
  std::vector<double> samples;
};

struct Verification {
  std::optional<double>
      error;  // largest |out - ref| / (|ref| + rms(ref)); absent when the output is not finite
  double tolerance = 0.0;
  bool passed = false;
  std::int64_t rows_checked = 0, rows = 0;
  // The same with the rms of the element's own row, which is what has to stay within the tolerance: rows of one output
  // can differ in size tenfold (early rows of causal attention average few values). Absent in old records.
  std::optional<double> row_error;
};

struct Energy {
  std::string basis = "absent";   // measured | measured_under_cap | provisioned | absent
  std::optional<double> power_w;  // of the machine the basis speaks of
  std::string scope;              // "gpu_tdp", "all_in", "cpu_package"
  std::string source;
  bool verified = true;  // false: the figure is marked unverified in the profile
  std::optional<double>
      host_joule_per_launch;  // RAPL, host scale; never mixed into target metrics of scaled records
  // From windows cut at the ticks of the board's counter, or of integrated instant power where the flags say
  // no_counter (harness/meters/energy.hpp); host scale.
  std::optional<double> gross_j_per_launch;  // idle power included
  std::optional<double> net_j_per_launch;    // gross minus idle_w times the time of a launch
  std::optional<double> random_error;        // half width of the 95 % interval over trials, relative
  std::optional<double> systematic_error;    // bound, relative: sensor gain, alignment, lag, sampling
  std::optional<double> idle_w;
  std::optional<double> static_share;  // idle_w / the loaded power
  std::optional<double> agreement;     // |counter - integrated instant power| / counter; absent with one of them
  std::optional<double> window_s;      // of one trial
  std::optional<std::int64_t> trials;
  std::optional<double> tick_s;          // of the counter
  std::optional<double> memory_scope_w;  // power of the memory alone; a part of the board's, never added to it
  std::vector<std::string> flags;        // those of EnergyMeasurement
  // How it was measured, so that whoever doubts a figure need not ask. Empty in records from before they were kept.
  Readings systematic_parts;   // gain, alignment, lag, sampling; relative. One card's ratios are free of the gain
  Readings instrument;         // those of InstrumentFacts
  Answers conditions;       // those of energy_conditions, before the load
  std::optional<double> duty;  // smallest busy share of a window
  Readings before, after;      // temperature_c, sm_clock_hz, memory_clock_hz, right before and after the load
  Readings slowed_s;           // in the loads, by reason: power_cap, sw_thermal, hw_thermal, hw_power_brake
};

struct MetricValue {
  double value = 0.0;
  std::optional<double> ci_low, ci_high;
  std::string unit;
};

struct Record {
  std::string run_id, case_id;
  int attempt = 1;
  std::string operation, kernel;
  Shape shape;
  Dtype dtype = Dtype::f32;
  Json device = Json::object();  // kind, name, architecture, workers, ...
  std::string target;            // profile id with overrides, or "host"
  std::optional<Basis> basis;    // absent unless status is ok
  Status status = Status::failed;
  std::string reason;  // why not ok; or a remark
  double dilation = 1.0;
  std::vector<CapRecord> caps;
  TimeSummary time;
  std::string
      interleave_group;  // records with the same text were sampled in turn, in blocks of 2 samples each
  std::optional<Verification> verification;
  Work work;
  Energy energy;
  std::map<std::string, MetricValue> metrics;
  Json provenance = Json::object();

  // Seconds on the target: host seconds / dilation.
  std::optional<double> target_time_s() const;
};

Json to_json(const Record& record);

// Strict: throws Error{config} naming file, line and key.
Record record_from_json(const JsonFile& line);

// "1:5800", "1:1.19".
std::string dilation_text(double dilation);

// "H100 (measured)", "H100 as H800: link 160 GB/s (emulated)", "cpu as h800-sxm, 1:5800 (scaled)". design.md
// section 4.
std::string label_of(const Record& record);

}  // namespace chokepoint
