// `plan`: what a suite would run, how long it would take, and what cannot run here and why. Measures nothing.
#include <fmt/format.h>

#include "harness/base/units.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/suite_flags.hpp"

namespace chokepoint {
namespace {

Json plan_json_of(const std::vector<CaseGroup>& groups) {
  Json cases = Json::array();
  for (const CaseGroup& group : groups)
    for (const std::string& target : group.targets)
      cases.push_back({{"case_id", case_id(group, target)},
                       {"label", group.label},
                       {"unsupported", group.unsupported ? Json(*group.unsupported) : Json(nullptr)},
                       {"budget_s", group.sampling.budget_s}});
  return cases;
}

void plan(const SuiteFlags& flags, Session& session) {
  const Suite suite = load_suite(find_suite(session.configs, flags.suite));
  const std::vector<CaseGroup> groups = plan_suite(suite, plan_options(flags, session));
  if (session.json) return print_json(plan_json_of(groups));
  double total_s = 0.0;
  std::size_t cases = 0;
  fmt::print("{}: {}\n", suite.id, suite.summary);
  for (const CaseGroup& group : groups) {
    fmt::print("\n{}{}\n", group.name(), group.label.empty() ? "" : "  (" + group.label + ")");
    for (const std::string& target : group.targets) fmt::print("  @{}\n", target);
    if (group.unsupported)
      fmt::print("  unsupported: {}\n", *group.unsupported);
    else
      fmt::print("  at most {} with probes\n", duration_text(expected_s(group), 2));
    total_s += expected_s(group);
    cases += group.targets.size();
  }
  fmt::print("\n{} cases in {} groups, at most about {} in all\n", cases, groups.size(),
             duration_text(total_s, 2));
}

const Register<Command> plan_command{
    {.name = "plan",
     .place = 2,
     .summary = "what a suite would run, how long, and what is unsupported and why",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<SuiteFlags>();
       add_suite_flags(app, *flags);
       app.callback([flags, &session] { plan(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
