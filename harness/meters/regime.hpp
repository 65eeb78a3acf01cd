// At which clocks, temperature and power did a run happen? Sampled by a thread beside it; labels, never a reason to
// discard.
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
  // `read` runs on the monitor's thread only; what it throws ends the sampling and is told in the summary.
  explicit RegimeMonitor(std::function<RegimeSample()> read, double period_s = 0.02);
  ~RegimeMonitor();

  // Ends the sampling. {"samples": n, "period_s": s, "sm_clock_hz": {"min","median","max"} | null,
  // "memory_clock_hz", "temperature_c", "power_w", "throttle_reasons": [...] | null, "trouble": text | null}
  Json stop();

  // What was read until then, from the first reading on; absent with fewer than two readings of power.
  std::optional<RecordedTrace> trace() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace chokepoint
