// `claims`: whether published numbers follow from what kernels, caps and schedules allow, and what would have changed
// them.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/files.hpp"
#include "harness/base/routing_trace.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/kernel_records.hpp"
#include "harness/claims/outcome_json.hpp"
#include "harness/cli/claims_flags.hpp"
#include "harness/cli/claims_rule.hpp"
#include "harness/cli/claims_text.hpp"
#include "harness/cli/command.hpp"
#include "harness/cli/named_estimates.hpp"
#include "harness/run/environment.hpp"

namespace chokepoint {
namespace {

struct ClaimsFlags {
  std::vector<std::string> names, settings, records, prices_of;
  std::string format = "table", output, profile, sweep, trace, rule, routing_trace, prices, take = "comparable";
  std::uint64_t seed = DrawPlan{}.seed;
  std::int64_t draws = DrawPlan{}.draws;
  bool is_strict = false;
};

ClaimOptions claim_options_of(const ClaimsFlags& flags, const Session& session) {
  ClaimOptions options;
  options.configs = session.configs;
  options.profiles = load_profiles(session.configs);
  options.profile = flags.profile;
  if (!flags.profile.empty()) find_profile(options.profiles, flags.profile);
  for (const std::string& text : flags.settings) apply_setting(text, options);
  if (!flags.routing_trace.empty()) load_routing_trace(options.routing_trace = flags.routing_trace);  // or say why not
  options.plan = {flags.seed, flags.draws};
  options.measured_use = flags.take == "measured" ? MeasuredUse::all : MeasuredUse::comparable;
  if (!flags.records.empty())
    options.records = std::make_shared<const std::vector<Record>>(read_record_files(flags.records));
  return options;
}

Json tool() {
  const BuildFacts facts = build_facts();
  return {{"version", facts.version}, {"git", facts.git.empty() ? Json(nullptr) : Json(facts.git)}};
}

std::string rendered_claims(const std::vector<ClaimOutcome>& outcomes, const ClaimsFlags& flags,
                            const std::string& format) {
  if (format == "json") return to_json(outcomes, tool()).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  if (format == "markdown") return claims_markdown(outcomes);
  const Style style = style_of(STDOUT_FILENO);
  if (flags.names.empty()) return claims_table(outcomes, style);
  std::string text;
  for (const ClaimOutcome& outcome : outcomes) text += (text.empty() ? "" : "\n") + claim_in_full(outcome, style);
  return text;
}

void write(const std::string& text, const std::string& output) {
  if (output.empty())
    fmt::print("{}", text);
  else
    replace_file(output, text);
}

int exit_code_of_claims(const std::vector<ClaimOutcome>& outcomes, bool is_strict) {
  const auto any = [&](bool (*is)(Verdict)) {
    return std::any_of(outcomes.begin(), outcomes.end(), [&](const ClaimOutcome& o) { return is(o.verdict); });
  };
  if (any(is_failure)) return kInvalid;
  return is_strict && any(is_inconclusive) ? kInconclusive : kOk;
}

Json sweep_json(const Claim& claim, const SweepRequest& sweep, const std::vector<double>& changes) {
  Json points = Json::array();
  const std::string key =
      fmt::format("{}_{}_per_s", to_string(sweep.resource), sweep.resource == Resource::compute ? "flop" : "bytes");
  for (std::size_t i = 0; i < changes.size(); ++i) points.push_back({{key, sweep.rates[i]}, {"change", changes[i]}});
  return {{"id", claim.id}, {"quantity", claim.quantity.name}, {"points", points}};
}

// The sensitivity curve of every chosen claim that depends on the resource.
void sweep_claims(const std::vector<Claim>& claims, const ClaimOptions& options, const ClaimsFlags& flags,
                  Session& session) {
  const SweepRequest sweep = parse_sweep(flags.sweep);
  const std::string resource(to_string(sweep.resource)), unit = fmt::format("{}/s", unit_of(sweep.resource));
  Json curves = Json::array();
  std::string text;
  for (const Claim& claim : claims) {
    const std::vector<std::string> keys = settable_keys(claim, options);
    if (std::find(keys.begin(), keys.end(), resource) == keys.end()) continue;
    const std::vector<double> changes = changes_along(claim, options, sweep.resource, sweep.rates);
    std::vector<SweptValue> points;
    for (std::size_t i = 0; i < changes.size(); ++i) points.push_back({sweep.rates[i], changes[i]});
    if (points.empty()) continue;
    curves.push_back(sweep_json(claim, sweep, changes));
    text += sweep_chart(fmt::format("{}: {} against {}", claim.id, claim.quantity.name, resource), unit, points,
                        style_of(STDOUT_FILENO));
  }
  if (curves.empty())
    throw Error(Fault::config, fmt::format("none of these claims depends on {}", resource),
                "name one that does, e.g. dsv3.train.gpuh_per_T");
  const bool is_json = session.json || flags.format == "json";
  write(is_json ? curves.dump(2) + "\n" : text, flags.output);
}

// The simulated step of the one claim that is named.
void write_trace(const std::vector<Claim>& claims, const ClaimOptions& options, const std::string& path) {
  if (claims.size() != 1)
    throw Error(Fault::config, fmt::format("--trace draws one claim, and {} are chosen", claims.size()),
                "name one, e.g. dsv3.train.gpuh_per_T");
  const std::optional<std::string> trace = chrome_trace_of(claims.front(), options);
  if (!trace)
    throw Error(Fault::config, fmt::format("nothing is simulated for {}", claims.front().id),
                "name a claim of kind train_step or pair");
  replace_file(path, *trace);
  fmt::print(stderr, "{}: open it at chrome://tracing or ui.perfetto.dev\n", path);
}

// A trace that none of the claims could use is a mistake, and their notes say which one.
void require_trace_used(const std::vector<ClaimOutcome>& outcomes, const std::string& path) {
  std::string reason = "none of these claims routes tokens to experts";
  for (const ClaimOutcome& outcome : outcomes) {
    for (const ClaimInput& input : outcome.inputs)
      if (input.key == "routing.trace") return;
    const std::string left_out = fmt::format("routing trace {} left out: ", path);
    for (const std::string& note : outcome.notes)
      if (note.starts_with(left_out)) reason = note.substr(left_out.size());
  }
  throw Error(Fault::config, fmt::format("--routing-trace {}: {}", path, reason),
              "name a claim about the training or serving of the traced model, and a trace of it");
}

// What an export rule cost is no claim of anybody's, but the same models answer it.
void cost_of_rule(const ClaimsFlags& flags, Session& session) {
  if (!flags.names.empty() || !flags.settings.empty() || !flags.profile.empty() || !flags.sweep.empty() ||
      !flags.records.empty() || !flags.trace.empty() || !flags.routing_trace.empty())
    throw Error(Fault::config, "--rule asks about an export rule, not about claims",
                "leave out claims, --set, --profile, --records, --routing-trace, --sweep and --trace");
  RuleCostInputs inputs = load_rule_cost_inputs(session.configs);
  inputs.price_choice = flags.prices;
  inputs.usd_per_h = named_estimates(flags.prices_of, "--price");
  const RuleCost cost = rule_cost(find_rule(load_rules(session.configs), flags.rule), inputs);
  const std::string format = session.json ? "json" : flags.format;
  if (format == "json") return write(rule_cost_json(cost).dump(2) + "\n", flags.output);
  write(format == "markdown" ? rule_cost_markdown(cost) : rule_cost_table(cost, style_of(STDOUT_FILENO)), flags.output);
}

void claims(const ClaimsFlags& flags, Session& session) {
  if (!flags.rule.empty()) return cost_of_rule(flags, session);
  if (!flags.prices.empty() || !flags.prices_of.empty())
    throw Error(Fault::config, "--prices and --price go with --rule",
                "add --rule, or set the rent behind a claim: --set usd_per_gpu_h=1.2");
  const ClaimOptions options = claim_options_of(flags, session);
  const std::vector<Claim> chosen = chosen_claims(session.configs, flags.names);
  require_settable(chosen, options);
  if (!flags.sweep.empty()) return sweep_claims(chosen, options, flags, session);
  if (!flags.trace.empty()) write_trace(chosen, options, flags.trace);
  std::vector<ClaimOutcome> outcomes;
  for (const Claim& claim : chosen) outcomes.push_back(outcome_of(claim, options));
  if (!flags.routing_trace.empty()) require_trace_used(outcomes, flags.routing_trace);
  write(rendered_claims(outcomes, flags, session.json ? "json" : flags.format), flags.output);
  session.exit_code = exit_code_of_claims(outcomes, flags.is_strict);
}

void add_claims_flags(CLI::App& app, ClaimsFlags& flags) {
  app.add_option("claims", flags.names, "ids (globs too) or files; without any, all of configs/claims")
      ->option_text("ID..");
  app.add_option("--set", flags.settings,
                 "what if: link=450GB/s; an assumption, expert_imbalance=1.05; of its energy pue=1.1, electricity=0.06")
      ->allow_extra_args(false)
      ->option_text("KEY=VALUE");
  app.add_option("--profile", flags.profile, "what if: another machine instead of the claim's own")->option_text("ID");
  app.add_option("--records", flags.records,
                 "folders of records: what they measured takes the place of published kernels")
      ->allow_extra_args(false)
      ->option_text("DIR");
  app.add_option("--take", flags.take,
                 "of kernels both measured and published: the measured one where it is comparable, or always: measured")
      ->check(CLI::IsMember({"comparable", "measured"}))
      ->option_text("WHICH");
  app.add_option("--routing-trace", flags.routing_trace,
                 "the experts that tokens chose (configs/traces): its imbalance takes the place of an assumed one")
      ->option_text("FILE");
  app.add_option("--sweep", flags.sweep, "the sensitivity curve: link=40..450 or link=40..450:20")
      ->option_text("RESOURCE=FROM..TO");
  app.add_option("--rule", flags.rule, "what did this export rule cost? Its date or id: 2022-10-07 (`list rules`)")
      ->option_text("RULE");
  app.add_option("--prices", flags.prices,
                 "with --rule: price book, e.g. 2026-03-29_semianalysis:rental_3y (default: the newest market)")
      ->option_text("BOOK");
  app.add_option("--price", flags.prices_of, "with --rule: rent per hour of your own: h20=1.2 or h20=1..1.5")
      ->allow_extra_args(false)
      ->option_text("PROFILE=USD");
  app.add_option("--format", flags.format, "table, markdown or json")
      ->check(CLI::IsMember({"table", "markdown", "json"}))
      ->option_text("NAME");
  app.add_option("-o,--output", flags.output, "file to write instead of stdout")->option_text("FILE");
  app.add_option("--trace", flags.trace, "write the simulated step of one claim for chrome://tracing")
      ->option_text("FILE");
  app.add_option("--seed", flags.seed, "of the draws of assumptions")->option_text("N");
  app.add_option("--draws", flags.draws, "how many draws of assumptions")
      ->check(CLI::Range(100, 1000000))
      ->option_text("N");
  app.add_flag("--strict", flags.is_strict, "exit 4 when a verdict is neither for nor against a claim");
}

const Register<Command> claims_command{
    {.name = "claims",
     .place = 7,
     .summary = "whether published numbers follow from kernels, caps and schedules",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<ClaimsFlags>();
       add_claims_flags(app, *flags);
       app.callback([flags, &session] { claims(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
