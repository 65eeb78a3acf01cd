// What is a subcommand? A name, a help line, and a function that adds its flags and says what to do. One file
// each.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "harness/base/json.hpp"
#include "harness/base/registry.hpp"

namespace chokepoint {

// Exit codes, design.md section 8.
enum Exit { kOk = 0, kSomeCaseFailed = 1, kUsage = 2, kInvalid = 3, kInconclusive = 4, kNothingRan = 77 };

// What all subcommands share.
struct Session {
  std::vector<std::string> argv;
  std::string program;  // path of this executable, for child processes
  std::string configs;  // folder
  bool json = false;
  int exit_code = kOk;
};

struct Command {
  std::string name;
  int place = 0;  // order in --help
  std::string summary;
  bool hidden = false;
  // Adds flags to `app` and sets its callback, which sets session.exit_code or throws Error.
  std::function<void(CLI::App& app, Session& session)> add;
};

// To stdout, two-space indented.
void print_json(const Json& json);

}  // namespace chokepoint
