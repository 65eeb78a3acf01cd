#include "harness/cli/suite_flags.hpp"

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {

void add_suite_flags(CLI::App& app, SuiteFlags& flags) {
  app.add_option("suite", flags.suite, "name of a suite in configs/suites, or a file")
      ->required()
      ->option_text("SUITE");
  app.add_option("--device", flags.device, "cpu or cuda:N, instead of the suite's")->option_text("DEVICE");
  app.add_option("--target", flags.targets, "profiles to play, e.g. h100-sxm,h800-sxm@link=80GB/s, or host")
      ->option_text("ID[,ID]");
  app.add_option("--filter", flags.filter, "only cases whose name matches, e.g. 'moe_layer*@h800*'")
      ->option_text("GLOB");
  app.add_option("--budget", flags.budget, "time for the whole suite, e.g. 60s")->option_text("TIME");
  app.add_option("--energy", flags.energy, "measure joules too, on a GPU: quick, standard or publish")
      ->check(CLI::IsMember({"quick", "standard", "publish"}))
      ->option_text("PROFILE");
  flags.seed_option =
      app.add_option("--seed", flags.seed, "seed of the inputs, instead of the suite's")
          ->check(CLI::NonNegativeNumber)
          ->option_text("N");
  flags.dilation_option =
      app.add_option("--dilation", flags.dilation,
                     "seconds of host time per target second, instead of the smallest that works")
          ->option_text("D");
}

PlanOptions plan_options(const SuiteFlags& flags, const Session& session) {
  PlanOptions options;
  options.configs = session.configs;
  options.filter = flags.filter;
  if (!flags.device.empty()) options.device = flags.device;
  if (!flags.targets.empty()) options.targets = split(flags.targets, ',');
  options.energy = flags.energy;
  if (!flags.budget.empty()) options.budget_s = parse_duration_s(flags.budget);
  if (flags.seed_option->count() > 0) options.seed = flags.seed;
  if (flags.dilation_option->count() > 0) options.dilation = flags.dilation;
  return options;
}

}  // namespace chokepoint
