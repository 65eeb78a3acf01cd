// `list`: the parts of this program and the data files it knows.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/caps/cap.hpp"
#include "harness/claims/claim.hpp"
#include "harness/cli/command.hpp"
#include "harness/metrics/metric.hpp"
#include "harness/model/cost_book.hpp"
#include "harness/model/model_shapes.hpp"
#include "harness/model/price.hpp"
#include "harness/model/profile.hpp"
#include "harness/model/rule.hpp"
#include "harness/model/suite.hpp"
#include "harness/report/gpu_evidence.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rules.hpp"

namespace chokepoint {
namespace {

// Rows of columns; the first column is the name. Printed as text or as a list of objects with these keys.
struct Listing {
  std::vector<std::string> keys;
  std::vector<std::vector<std::string>> rows;
};

template <class T>
std::vector<const T*> sorted_parts() {
  std::vector<const T*> parts;
  for (const T& part : Registry<T>::instance().all()) parts.push_back(&part);
  std::sort(parts.begin(), parts.end(),
            [](const T* a, const T* b) { return registry_key(*a) < registry_key(*b); });
  return parts;
}

std::string dtypes_text(const std::vector<Dtype>& dtypes) {
  std::vector<std::string> names;
  for (Dtype dtype : dtypes) names.emplace_back(to_string(dtype));
  return joined(names, " ");
}

std::string field_text(const ShapeField& field) {
  if (!field.words.empty()) return fmt::format("{}={}", field.name, joined(field.words, "|"));
  return field.fallback ? fmt::format("{}={}", field.name, *field.fallback) : field.name;
}

Listing operations(const Session&) {
  Listing listing{{"operation", "dtypes", "shape", "summary"}, {}};
  for (const Operation* operation : sorted_parts<Operation>()) {
    std::vector<std::string> fields;
    for (const ShapeField& field : operation->fields) fields.push_back(field_text(field));
    listing.rows.push_back(
        {operation->name, dtypes_text(operation->dtypes), joined(fields, ","), operation->summary});
  }
  return listing;
}

// Empty where a kernel runs on all that its device can be.
std::string architecture_text(const Kernel& kernel) {
  if (kernel.least_sm == 0) return "";
  return fmt::format("sm_{}{}", kernel.least_sm, kernel.exactly_that_sm ? "a only" : "+");
}

// The last column but one says on which GPUs committed records have seen a kernel for GPUs be right.
Listing kernels(const Session& session) {
  Listing listing{{"kernel", "device", "needs", "dtypes", "paces", "right on", "summary"}, {}};
  const GpuEvidence evidence = gpu_evidence_in(session.configs + "/../results");
  for (const Kernel* kernel : sorted_parts<Kernel>()) {
    std::vector<std::string> paces;
    for (Resource resource : kernel->paces) paces.emplace_back(to_string(resource));
    listing.rows.push_back({registry_key(*kernel), kernel->device, architecture_text(*kernel), dtypes_text(kernel->dtypes),
                            paces.empty() ? "nothing" : joined(paces, " "),
                            gpu_evidence_text(*kernel, evidence), kernel->summary});
  }
  return listing;
}

std::string profile_rate_text(const Rates& rates, Resource resource) {
  const std::optional<Figure>& figure = rates.achieved ? rates.achieved : rates.datasheet;
  if (!figure) return "unknown";
  return fmt::format("{} {}{}", rate_text(figure->value, resource), figure->kind,
                     figure->verified ? "" : " (unverified)");
}

Listing profiles(const Session& session) {
  Listing listing{{"profile", "architecture", "compute bf16", "memory", "link", "network", "name"}, {}};
  for (const Profile& profile : load_profiles(session.configs)) {
    const auto bf16 = profile.compute.find(Dtype::bf16);
    listing.rows.push_back(
        {profile.id, profile.architecture,
         bf16 == profile.compute.end() ? "unknown" : profile_rate_text(bf16->second, Resource::compute),
         profile_rate_text(profile.memory, Resource::memory), profile_rate_text(profile.link, Resource::link),
         profile_rate_text(profile.network, Resource::network), profile.name});
  }
  return listing;
}

Listing prices(const Session& session) {
  Listing listing{{"book", "kind", "profile", "term", "USD per GPU-hour", "source"}, {}};
  for (const PriceBook& book : load_price_books(session.configs))
    for (const PriceItem& item : book.items)
      listing.rows.push_back({book.id, book.source_kind, item.profile, item.term,
                              item.low && item.high ? fmt::format("{:.2f} ({:.2f} to {:.2f})",
                                                                  item.usd_per_gpu_h, *item.low, *item.high)
                                                    : fmt::format("{:.2f}", item.usd_per_gpu_h),
                              item.source});
  return listing;
}

std::string estimate_text(const Estimate& estimate) {
  return fmt::format("{:.6g}{}{}", estimate.mid,
                     estimate.is_exact() ? "" : fmt::format(" ({:.6g} to {:.6g})", estimate.low, estimate.high),
                     estimate.verified ? "" : " (unverified)");
}

Listing costs(const Session& session) {
  Listing listing{{"book", "figure", "value", "source"}, {}};
  for (const CostBook& book : load_cost_books(session.configs)) {
    const auto add = [&](const std::string& figure, const Estimate& estimate) {
      listing.rows.push_back({book.id, figure, estimate_text(estimate), estimate.source});
    };
    add("electricity, USD per kWh", book.electricity_usd_per_kwh);
    add("load share", book.load_share);
    for (const Facility& facility : book.facilities) add("PUE, " + facility.id, facility.pue);
    add("residual share", book.ownership.residual_share);
    add("discount rate per year", book.ownership.discount_rate_per_year);
    add("life, years", book.ownership.life_years);
    add("availability", book.ownership.availability);
    add("running costs, USD per GPU-hour", book.ownership.opex_usd_per_gpu_h);
    for (const CostMachine& machine : book.machines) {
      add("host power, W, " + machine.profile, machine.host_w);
      if (machine.capex_usd) add("purchase, USD, " + machine.profile, *machine.capex_usd);
    }
  }
  return listing;
}

Listing rules(const Session& session) {
  Listing listing{{"rule", "evidence", "categories", "title", "source"}, {}};
  for (const Rule& rule : load_rules(session.configs)) {
    std::vector<std::string> categories;
    for (const RuleCategory& category : rule.categories) categories.push_back(category.id);
    listing.rows.push_back({rule.id, rule.evidence,
                            categories.empty() ? "left out: " + rule.left_out : joined(categories, " "), rule.title,
                            rule.source});
  }
  return listing;
}

Listing suites(const Session& session) {
  Listing listing{{"suite", "device", "targets", "summary"}, {}};
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(session.configs + "/suites"))
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const Suite suite = load_suite(path);
    listing.rows.push_back({suite.id, suite.device, joined(suite.targets, " "), suite.summary});
  }
  return listing;
}

Listing models(const Session& session) {
  Listing listing{{"model", "operations", "summary"}, {}};
  for (const ModelShapes& model : load_models(session.configs)) {
    std::vector<std::string> names;
    for (const auto& [operation, fragments] : model.fragments) names.push_back(operation);
    listing.rows.push_back({model.id, joined(names, " "), model.summary});
  }
  return listing;
}

Listing list_claims(const Session& session) {
  Listing listing{{"claim", "tier", "kind", "published", "source", "statement"}, {}};
  for (const Claim& claim : load_claims(session.configs)) {
    std::vector<std::string> values;
    for (double value : claim.quantity.values) values.push_back(fmt::format("{}", value));
    listing.rows.push_back({claim.id, claim.tier, claim.kind, joined(values, ", ") + " " + claim.quantity.unit,
                            claim.source.cite, claim.statement});
  }
  return listing;
}

Listing caps(const Session&) {
  Listing listing{{"cap", "device", "mechanism", "needs"}, {}};
  for (const Cap* cap : sorted_parts<Cap>())
    listing.rows.push_back({cap->name, cap->device, cap->mechanism, cap->needs});
  return listing;
}

Listing metrics(const Session&) {
  Listing listing{{"metric", "unit", "better", "formula"}, {}};
  for (const Metric* metric : sorted_parts<Metric>())
    listing.rows.push_back(
        {metric->name, metric->unit, metric->higher_is_better ? "higher" : "lower", metric->formula});
  return listing;
}

Listing formats(const Session&) {
  Listing listing{{"format", "summary"}, {}};
  for (const Format* format : sorted_parts<Format>()) listing.rows.push_back({format->name, format->summary});
  return listing;
}

const std::vector<std::pair<std::string, Listing (*)(const Session&)>> kKinds = {
    {"operations", operations}, {"kernels", kernels}, {"profiles", profiles}, {"prices", prices},
    {"costs", costs},           {"rules", rules},     {"suites", suites},     {"models", models},
    {"claims", list_claims},    {"caps", caps},       {"metrics", metrics},   {"formats", formats}};

// All columns but the last are padded; the last one runs on.
void print_text(const Listing& listing) {
  std::vector<std::size_t> widths(listing.keys.size());
  for (std::size_t column = 0; column < listing.keys.size(); ++column) {
    widths[column] = listing.keys[column].size();
    for (const auto& row : listing.rows) widths[column] = std::max(widths[column], row[column].size());
  }
  const auto print_row = [&](const std::vector<std::string>& row) {
    for (std::size_t column = 0; column + 1 < row.size(); ++column)
      fmt::print("{:<{}}  ", row[column], widths[column]);
    fmt::print("{}\n", row.back());
  };
  print_row(listing.keys);
  for (const auto& row : listing.rows) print_row(row);
}

void list(const std::string& kind, Session& session) {
  std::vector<std::string> known;
  for (const auto& [name, make] : kKinds) {
    known.push_back(name);
    if (name != kind) continue;
    const Listing listing = make(session);
    if (!session.json) return print_text(listing);
    Json json = Json::array();
    for (const auto& row : listing.rows) {
      Json& object = json.emplace_back(Json::object());
      for (std::size_t i = 0; i < row.size(); ++i) object[listing.keys[i]] = row[i];
    }
    return print_json(json);
  }
  throw Error(Fault::config, fmt::format("there is no list of \"{}\"", kind), suggestion(kind, known));
}

void list_profiles_by_rules(const std::string& kind, Session& session) {
  if (kind != "profiles")
    throw Error(Fault::config, fmt::format("--rules says which rules profiles fall under, not {}", kind),
                "write `list profiles --rules`");
  const std::vector<Profile> all = load_profiles(session.configs);
  const std::vector<Rule> known = load_rules(session.configs);
  if (session.json) return print_json(rules_json(all, known));
  fmt::print("{}", render_rules(all, known, style_of(STDOUT_FILENO)));
}

const Register<Command> list_command{
    {.name = "list",
     .place = 3,
     .summary = "operations, kernels, profiles, prices, costs, rules, suites, models, claims, caps, metrics, formats",
     .add = [](CLI::App& app, Session& session) {
       auto kind = std::make_shared<std::string>();
       app.add_option("kind", *kind, "what to list")->required()->option_text("KIND");
       auto by_rules = std::make_shared<bool>(false);
       app.add_flag("--rules", *by_rules, "with `profiles`: which export rules each falls under");
       app.callback([kind, by_rules, &session] {
         *by_rules ? list_profiles_by_rules(*kind, session) : list(*kind, session);
       });
     }}};

}  // namespace
}  // namespace chokepoint
