// Which flags choose and bend a suite? Shared by `run` and `plan`, so that a plan is what a run does.
#pragma once

#include <string>

#include "harness/cli/command.hpp"
#include "harness/run/plan.hpp"

namespace chokepoint {

struct SuiteFlags {
  std::string suite, device, targets, filter = "*", budget, energy;
  std::uint64_t seed = 0;
  double dilation = 0.0;
  CLI::Option *seed_option = nullptr, *dilation_option = nullptr;
};

void add_suite_flags(CLI::App& app, SuiteFlags& flags);
PlanOptions plan_options(const SuiteFlags& flags, const Session& session);

}  // namespace chokepoint
