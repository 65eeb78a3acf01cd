// Is the timer behind a clock fine enough for what was paced by it?
//
// A GPU's timer ticks, how coarsely is asked of each one when it is opened. A wait on an idle clock is booked up to a tick
// early and is over up to a tick late, so it lasts what it owes within a tick either way, and no count of ours can see
// which. What waits one by one does not average out: launch after launch meets the timer at the same place. Bytes in
// between do not matter: they are booked to the picosecond, and copied up to 5 us ahead.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <string>

#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"

namespace chokepoint {

// A complaint where a cap may have been off by more than its tolerance: messages of a wire that are short beside a
// tick, or launches of `launch_s` that a clock which all of a launch shares may have held to the end. What does not
// wait for its clock is not off.
inline std::optional<std::string> too_short_for_timer(const Delivered& delivered, double launch_s, double tolerance) {
  const double wait_s = delivered.owed_per_message_s.value_or(launch_s);
  const double error = delivered.tick_s / wait_s;
  if (!(error > tolerance)) return std::nullopt;
  if (!delivered.owed_per_message_s && delivered.busy_share.value_or(0.0) + error < 1.0) return std::nullopt;
  return fmt::format("{} of {} cannot be held within {:.0f} %: the GPU's timer ticks every {}, and {} are the least it "
                     "takes",
                     delivered.owed_per_message_s ? "messages" : "launches", duration_text(wait_s, 3), 100 * tolerance,
                     duration_text(delivered.tick_s, 3), duration_text(delivered.tick_s / tolerance, 3));
}

}  // namespace chokepoint
