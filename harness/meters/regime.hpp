// At which clocks, temperature and power did a run happen? Read when it begins and when it ends, and by a thread
// between; labels, never a reason to discard.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "harness/base/json.hpp"
#include "harness/meters/nvml.hpp"
#include "harness/model/recorded_trace.hpp"

namespace chokepoint {

struct RegimeSample {
  std::optional<double> sm_clock_hz, memory_clock_hz, temperature_c, power_w;
  std::optional<std::uint64_t> throttle_mask;
};
RegimeSample read_regime(const NvmlGpu& gpu);  // power is the instant field

class RegimeMonitor {
 public:
  // Reads once before it returns, which takes milliseconds: make it before what is timed. `read` runs on one thread at a
  // time; what it throws ends the sampling and is told in the summary.
  explicit RegimeMonitor(std::function<RegimeSample()> read, double period_s = 0.02);
  ~RegimeMonitor();

  // Ends the sampling with one more reading: call it after what is timed. {"samples": n, "period_s": s, "sm_clock_hz": {"min","median","max"} | null,
  // "memory_clock_hz", "temperature_c", "power_w", "throttle_reasons": [...] | null, "trouble": text | null}
  Json stop();

  // What was read until then, from the first reading on; absent with fewer than two readings of power.
  std::optional<RecordedTrace> trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chokepoint
