// How coarsely does a GPU's timer tick, as device code sees it (%globaltimer)? No document says it for a card, so each is asked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace chokepoint {

// Between readings that differ.
struct TimerTick {
  std::uint64_t least_ns = 0, median_ns = 0;
  bool operator==(const TimerTick&) const = default;
};

// Empty where no reading differed from the one before.
inline std::optional<TimerTick> tick_of(std::vector<std::uint32_t> steps_ns) {
  if (steps_ns.empty()) return std::nullopt;
  std::sort(steps_ns.begin(), steps_ns.end());
  return TimerTick{steps_ns.front(), steps_ns[steps_ns.size() / 2]};
}

// Of the current device, on a stream of it (a cudaStream_t). Takes as long as 64 ticks, a millisecond or two where
// there are none. Throws Error{device}.
std::optional<TimerTick> timer_tick(void* stream);

}  // namespace chokepoint
