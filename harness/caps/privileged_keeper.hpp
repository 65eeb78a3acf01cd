// Who turns root-only knobs and puts them back when the process that asked for them is gone? The keeper, a process in a
// session of its own with its own NVML. Being the only one that turns, it knows the way back before it turns, and no
// knob goes back twice.
#pragma once

#include <sys/types.h>

#include "harness/base/error.hpp"

namespace chokepoint {

// One packet each on a socket between a process and its fork, hence plain memory.
struct KnobRequest {
  enum class What { lock_sm_clock, lock_memory_clock, limit_power, set_nvlink_mode, put_back } what;
  char gpu[96];        // bus id or UUID; empty where no GPU is meant
  double least, most;  // Hz, W, or NVML's number of a mode
};

struct KnobAnswer {
  bool is_done;
  Fault fault;  // of what was refused, with text that may be cut
  char message[400], remedy[200];
};

// The life of the keeper: serves requests on `socket` until that is closed or the process `holder`, its parent, has
// ended; then puts everything back, last first, and ends. A knob that the driver refuses to put back is tried for five
// seconds more (NVLink modes are refused while the children of a killed run still end), then told on standard error.
[[noreturn]] void keep_knobs(int socket, pid_t holder) noexcept;

}  // namespace chokepoint
