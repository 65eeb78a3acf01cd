// How is one group run so that a crash or a hang costs only that group? In a child process: this program
// again, with the group on its standard input and one record per line on its standard output.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"

namespace chokepoint {

struct ChildOutcome {
  std::vector<std::string> lines;  // complete lines of its output
  std::string trouble;  // empty, or "crashed (signal 11, Segmentation fault)", "timed out after 60 s", ...
};

// Runs `command` with `input` on its standard input. Its standard error is ours. Calls `tick` about ten times
// a second and `on_line` with each line when it comes. The child is killed when it says nothing for
// `timeout_s`.
ChildOutcome run_child(const std::vector<std::string>& command, const std::string& input, double timeout_s,
                       const std::function<void()>& tick = {},
                       const std::function<void(const std::string&)>& on_line = {});

}  // namespace chokepoint
