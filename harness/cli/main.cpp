// chokepoint: kernels under verified caps, per dollar and per watt. Wires the subcommands together; errors
// become exit codes here and nowhere else.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "harness/base/error.hpp"
#include "harness/cli/command.hpp"
#include "harness/run/environment.hpp"

namespace chokepoint {
namespace {

int exit_code_of(Fault fault) {
  switch (fault) {
    case Fault::config:
    case Fault::io:
      return kUsage;
    case Fault::unsupported:
      return kNothingRan;
    case Fault::cap_not_held:
      return kInvalid;
    case Fault::wrong_result:
    case Fault::device:
      return kSomeCaseFailed;
  }
  return kSomeCaseFailed;
}

std::string configs_folder() {
  if (const char* folder = std::getenv("CHOKEPOINT_CONFIGS")) return folder;
  return CHOKEPOINT_SOURCE_DIR "/configs";
}

int run(int argc, char** argv) {
  if (!registry_faults().empty()) {
    for (const std::string& fault : registry_faults()) fmt::print(stderr, "error: {}\n", fault);
    return kUsage;
  }
  Session session;
  session.argv.assign(argv, argv + argc);
  session.program = "/proc/self/exe";
  session.configs = configs_folder();

  CLI::App app{
      "Runs attention, mixture-of-experts and matmul kernels under verified caps on compute, memory and\n"
      "interconnect, so that one machine behaves like a smaller one; reports throughput, per dollar and per "
      "watt."};
  app.set_version_flag("--version", fmt::format("{}, git {}", build_facts().version, build_facts().git));
  app.add_option("--configs", session.configs, "folder with profiles, prices, models and suites")
      ->envname("CHOKEPOINT_CONFIGS")
      ->option_text("DIR");
  app.add_flag("--json", session.json, "machine-readable output on stdout");
  app.fallthrough();
  app.require_subcommand(1);
  app.footer(
      "Results go to stdout, talk to stderr.\n"
      "Exit codes: 0 ok, 1 some case failed, 2 usage or config, 3 regression or invalid result,\n"
      "4 inconclusive with --strict, 77 nothing could run here.");
  std::vector<const Command*> commands;
  for (const Command& command : Registry<Command>::instance().all()) commands.push_back(&command);
  std::sort(commands.begin(), commands.end(), [](const Command* a, const Command* b) {
    return std::pair(a->place, a->name) < std::pair(b->place, b->name);
  });
  for (const Command* command : commands) {
    CLI::App* sub = app.add_subcommand(command->name, command->summary);
    if (command->hidden) sub->group("");
    command->add(*sub, session);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    return app.exit(fault) == 0 ? kOk : kUsage;
  }
  return session.exit_code;
}

}  // namespace

void print_json(const Json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace chokepoint

int main(int argc, char** argv) {
  using namespace chokepoint;
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.message());
    if (!error.remedy().empty()) fmt::print(stderr, "  fix: {}\n", error.remedy());
    return exit_code_of(error.fault());
  } catch (const std::exception& error) {
    fmt::print(stderr,
               "error: {}\n  fix: this is a defect of chokepoint; please report it with the command line\n",
               error.what());
    return kSomeCaseFailed;
  }
}
