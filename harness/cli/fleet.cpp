// `fleet`: the cheapest way to share DeepSeek-V3 over a fleet, against the rate of its link.
#include "harness/claims/fleet.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/scenario.hpp"
#include "harness/cli/command.hpp"
#include "harness/model/profile.hpp"
#include "harness/report/table.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

struct FleetFlags {
  std::vector<int> gpus = FleetSpace{}.gpus;
  std::vector<std::string> links = {"450GB/s", "200GB/s", "150GB/s", "100GB/s",
                                    "80GB/s",  "60GB/s",  "50GB/s",  "40GB/s"};
  std::vector<std::string> settings;
  std::string profile = "h800-sxm";
  double usd_per_gpu_h = 2.0;  // DeepSeek-V3 report, table 1: an assumption there too
  double memory_gb = FleetLimits{}.memory_bytes * 1e-9;
  double sequences = FleetLimits{}.sequences_per_step;
};

// What a search chooses itself, or tries all values of.
bool is_chosen(const std::string& key) {
  const std::vector<std::string> chosen = {"link", "node_limit", "micro_batches", "schedule", "overlap"};
  return std::find(chosen.begin(), chosen.end(), key) != chosen.end();
}

void apply(Scenario& scenario, const std::string& setting) {
  const std::size_t equals = setting.find('=');
  if (equals == std::string::npos)
    throw Error(Fault::config, fmt::format("--set {} has no value", setting),
                "write KEY=VALUE, such as network=25GB/s");
  const std::string key = setting.substr(0, equals);
  if (is_chosen(key))
    throw Error(Fault::config, fmt::format("--set {}: the search chooses {} itself", setting, key),
                "leave it out; --link takes the rates of the link");
  set(scenario, key, setting.substr(equals + 1));
}

std::vector<Conditions> conditions_of(const Scenario& scenario, const std::vector<std::string>& links) {
  std::vector<Conditions> conditions(links.size(), scenario.conditions);
  for (std::size_t i = 0; i < links.size(); ++i) conditions[i].link_bytes_per_s = parse_rate(links[i], "B/s");
  return conditions;
}

std::string plan_text(const FleetPlan& plan) {
  const PipelinePlan& pipeline = plan.pipeline;
  const std::string chunks =
      pipeline.schedule == Schedule::interleaved ? fmt::format(" x {}", pipeline.chunks_per_rank) : "";
  return fmt::format("tensor {}, expert {}, pipeline {} {}{}, data {}, {} micro-batches", plan.tensor_ranks,
                     plan.expert_ranks, to_string(pipeline.schedule), pipeline.ranks, chunks,
                     plan.data_parallel(), pipeline.micro_batches);
}

std::string limits_text(const FleetPoint& point) {
  std::string text = fmt::format("{} GPUs: {} plans per link rate, {} within all limits", point.gpus,
                                 point.plans(), point.within_limits);
  std::string separator = "; ruled out by ";
  for (int limit = 0; limit < kFleetLimits; ++limit) {
    if (point.rejected[limit] == 0) continue;
    text +=
        fmt::format("{}{} {}", separator, to_string(static_cast<FleetLimit>(limit)), point.rejected[limit]);
    separator = ", ";
  }
  return text;
}

// Against the first link of the same fleet.
std::optional<double> change_of(const FleetPoint& point, const FleetPoint& first) {
  if (!point.best || !first.best) return std::nullopt;
  return point.best->gpu_hours_per_trillion_tokens / first.best->gpu_hours_per_trillion_tokens - 1.0;
}

std::string table_of(const std::vector<FleetPoint>& points, const std::vector<Conditions>& conditions,
                     const FleetFlags& flags, const Style& style) {
  Table table({{.title = "link", .align = Align::right},
               {.title = "GPU-h per 1T tokens", .align = Align::right},
               {.title = "USD", .align = Align::right, .rank = 1},
               {.title = "change", .align = Align::right},
               {.title = "step", .align = Align::right, .rank = 3},
               {.title = "memory", .align = Align::right, .rank = 3},
               {.title = "cheapest plan", .rank = 2}});
  for (std::size_t i = 0; i < points.size(); ++i) {
    const FleetPoint& point = points[i];
    if (point.conditions == 0) table.section(limits_text(point));
    const std::string link = with_unit(conditions[point.conditions].link_bytes_per_s, "B/s");
    if (!point.best) {
      table.row({Cell(link), Cell("none fits"), Cell(), Cell(), Cell(), Cell(), Cell()});
      continue;
    }
    const FleetCost& best = *point.best;
    const std::optional<double> change = change_of(point, points[i - point.conditions]);
    table.row({link, fmt::format("{:.1f}K", best.gpu_hours_per_trillion_tokens * 1e-3),
               fmt::format("{:.0f}K", best.gpu_hours_per_trillion_tokens * flags.usd_per_gpu_h * 1e-3),
               change ? fmt::format("{:+.1f} %", 100 * *change) : "", fmt::format("{:.3g} s", best.step_s),
               fmt::format("{:.0f} GB", best.memory_bytes * 1e-9), plan_text(best.plan)});
  }
  return table.render(style);
}

Json fleet_json_of(const FleetCost& cost, double usd_per_gpu_h) {
  const FleetPlan& plan = cost.plan;
  return {{"tensor_ranks", plan.tensor_ranks},
          {"expert_ranks", plan.expert_ranks},
          {"pipeline_ranks", plan.pipeline.ranks},
          {"data_parallel", plan.data_parallel()},
          {"schedule", to_string(plan.pipeline.schedule)},
          {"chunks_per_rank", plan.pipeline.stages() / plan.pipeline.ranks},
          {"micro_batches", plan.pipeline.micro_batches},
          {"step_s", cost.step_s},
          {"memory_bytes", cost.memory_bytes},
          {"gpu_hours_per_trillion_tokens", cost.gpu_hours_per_trillion_tokens},
          {"usd_per_trillion_tokens", cost.gpu_hours_per_trillion_tokens * usd_per_gpu_h}};
}

Json fleet_json_of(const FleetPoint& point, const Conditions& conditions, double usd_per_gpu_h) {
  Json rejected = Json::object(), families = Json::array();
  for (int limit = 0; limit < kFleetLimits; ++limit)
    rejected[std::string(to_string(static_cast<FleetLimit>(limit)))] = point.rejected[limit];
  for (const std::optional<FleetCost>& cost : point.best_by_tensor_ranks)
    if (cost) families.push_back(fleet_json_of(*cost, usd_per_gpu_h));
  return {{"gpus", point.gpus},
          {"link_bytes_per_s", conditions.link_bytes_per_s},
          {"plans", point.plans()},
          {"within_limits", point.within_limits},
          {"rejected", rejected},
          {"cheapest", point.best ? fleet_json_of(*point.best, usd_per_gpu_h) : Json(nullptr)},
          {"cheapest_by_tensor_ranks", families}};
}

void fleet(const FleetFlags& flags, Session& session) {
  Scenario scenario;
  const std::vector<Profile> profiles = load_profiles(session.configs);
  set_machine(scenario, find_profile(profiles, flags.profile));
  for (const std::string& setting : flags.settings) apply(scenario, setting);
  const std::vector<Conditions> conditions = conditions_of(scenario, flags.links);
  FleetBasis basis = dsv3_fleet_basis();
  basis.imbalance = scenario.imbalance;
  const std::vector<FleetPoint> points = search_fleet(
      {.gpus = flags.gpus}, basis,
      {.memory_bytes = flags.memory_gb * 1e9, .sequences_per_step = flags.sequences}, conditions);
  if (session.json) {
    Json out = Json::array();
    for (const FleetPoint& point : points)
      out.push_back(fleet_json_of(point, conditions[point.conditions], flags.usd_per_gpu_h));
    return print_json({{"profile", flags.profile},
                       {"basis", "projected"},
                       {"imbalance", basis.imbalance},
                       {"usd_per_gpu_h", flags.usd_per_gpu_h},
                       {"memory_limit_gb", flags.memory_gb},
                       {"sequences_per_step_limit", flags.sequences},
                       {"points", out}});
  }
  const Style style = style_of(STDOUT_FILENO);
  fmt::print("{}", table_of(points, conditions, flags, style));
  const std::string note = fmt::format(
      "projected from the phases of deepseek-ai/profile-data@4496024 (published, one rank of H800s); experts "
      "out of "
      "balance by {:.3g} (a prior), {:.3g} USD per GPU-hour (assumed), {:.3g} GB per GPU, {:.0f} sequences "
      "per step",
      basis.imbalance, flags.usd_per_gpu_h, flags.memory_gb, flags.sequences);
  for (const std::string& line : wrapped(note, style.width, "note: ")) fmt::print("{}\n", line);
}

void add_fleet_flags(CLI::App& app, FleetFlags& flags) {
  app.add_option("--gpus", flags.gpus, "sizes of the fleet")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 24))
      ->option_text("N,..");
  app.add_option("--link", flags.links, "rates of the link per direction")
      ->delimiter(',')
      ->option_text("RATE,..");
  app.add_option("--profile", flags.profile, "machine whose other rates count")->option_text("ID");
  app.add_option("--set", flags.settings,
                 "what if: network=25GB/s, memory=2TB/s, tensor_clock=0.9, imbalance=1.05")
      ->allow_extra_args(false)
      ->option_text("KEY=VALUE");
  app.add_option("--usd-per-gpu-h", flags.usd_per_gpu_h, "price of a GPU-hour")
      ->check(CLI::PositiveNumber)
      ->option_text("USD");
  app.add_option("--memory-gb", flags.memory_gb, "memory of a GPU that a plan may use")
      ->check(CLI::PositiveNumber)
      ->option_text("GB");
  app.add_option("--sequences", flags.sequences, "most sequences per step")
      ->check(CLI::PositiveNumber)
      ->option_text("N");
}

const Register<Command> fleet_command{
    {.name = "fleet",
     .place = 7,
     .summary = "the cheapest way to share a model over a fleet, against its link's rate",
     .add = [](CLI::App& app, Session& session) {
       auto flags = std::make_shared<FleetFlags>();
       add_fleet_flags(app, *flags);
       app.callback([flags, &session] { fleet(*flags, session); });
     }}};

}  // namespace
}  // namespace chokepoint
