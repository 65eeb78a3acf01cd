#include "harness/claims/claim.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/derivation.hpp"
#include "harness/claims/expression.hpp"
#include "harness/claims/quantity_unit.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

const std::vector<std::string> kTiers = {"T0", "T1", "T2", "T3", "T4", "T5"};

const std::vector<SettingRule>& system_rules() {
  static const std::vector<SettingRule> rules = {
      {"gpus"},
      {"pp"},
      {"ep"},
      {"dp"},
      {"tp"},
      {"vp"},
      {"cp"},
      {"zero", SettingKind::number, 0.0},
      {"schedule", SettingKind::text, 0.0, {"1f1b", "interleaved_1f1b", "zbh1", "dualpipe", "dualpipev"}}};
  return rules;
}

const std::vector<SettingRule>& workload_rules() {
  static const std::vector<SettingRule> rules = {{"model", SettingKind::text},
                                                 {"seq"},
                                                 {"global_batch_seqs"},
                                                 {"micro_batch_seqs"},
                                                 {"micro_batches"},
                                                 {"tokens"},
                                                 {"ctx"},
                                                 {"batch_per_gpu"},
                                                 {"tokens_per_gpu"},
                                                 {"ep"},
                                                 {"redundant", SettingKind::number, 0.0},
                                                 {"microbatches"},
                                                 {"mtp_acceptance", SettingKind::number, 0.0}};
  return rules;
}

const Derivation* derivation_of(const std::string& kind) { return Registry<Derivation>::instance().find(kind); }

// A list of positive numbers or, as a list of one, a single one.
std::vector<double> positive_numbers(Fields& fields, const std::string& key) {
  const Json& value = fields.any(key);
  if (!value.is_array()) return {fields.positive(key)};
  if (value.empty()) fields.reject(key, "is empty", "write at least one number");
  std::vector<double> numbers;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const double number = value[i].is_number() ? value[i].get<double>() : NAN;
    if (!std::isfinite(number) || number <= 0.0)
      fields.reject(fmt::format("{}/{}", key, i), fmt::format("is {}, not a positive number", value[i].dump()),
                    "write a positive number");
    numbers.push_back(number);
  }
  return numbers;
}

std::string checked_unit(Fields& fields) {
  std::string unit = telling_text(fields, "unit");
  if (!quantity_unit(unit))
    fields.reject("unit", fmt::format("is \"{}\", which is no unit known here", unit),
                  "write it like h, ms, GB/s, TFLOP/s/GPU, 1/s, USD, MWh or ratio");
  return unit;
}

void check_range(const Fields& fields, const Quantity& quantity) {
  if (quantity.lo.has_value() != quantity.hi.has_value())
    fields.reject(quantity.lo ? "lo" : "hi", "stands alone", "give both lo and hi, or neither");
  if (!quantity.lo) return;
  if (quantity.values.size() > 1) fields.reject("lo", "stands beside a list of values", "leave lo and hi out");
  if (*quantity.lo > quantity.values.front() || quantity.values.front() > *quantity.hi)
    fields.reject("value",
                  fmt::format("is {}, outside lo {} to hi {}", quantity.values.front(), *quantity.lo, *quantity.hi),
                  "order them: lo <= value <= hi");
}

Quantity decode_quantity(Fields fields) {
  static const std::vector<std::string> directions = {"lower", "higher"};
  Quantity quantity;
  quantity.name = telling_text(fields, "name");
  quantity.unit = checked_unit(fields);
  quantity.values = positive_numbers(fields, "value");
  if (fields.has("rows")) quantity.rows = distinct_texts(fields, "rows", fields.texts("rows"));
  if (!quantity.rows.empty() && quantity.rows.size() != quantity.values.size())
    fields.reject("rows", fmt::format("has {} names for {} values", quantity.rows.size(), quantity.values.size()),
                  "name every value once");
  quantity.lo = fields.maybe_positive("lo");
  quantity.hi = fields.maybe_positive("hi");
  check_range(fields, quantity);
  const std::string better = fields.text("better");
  require_word(fields, "better", better, directions);
  quantity.is_lower_better = better == "lower";
  fields.finish();
  return quantity;
}

ClaimSource decode_source(Fields fields) {
  static const std::vector<std::string> grades = {"primary", "secondary"};
  ClaimSource source;
  source.cite = telling_text(fields, "cite");
  source.url = telling_text(fields, "url");
  source.locator = maybe_telling_text(fields, "locator").value_or("");
  source.retrieved = maybe_telling_text(fields, "retrieved").value_or("");
  const std::string grade = fields.text("grade");
  require_word(fields, "grade", grade, grades);
  source.is_primary = grade == "primary";
  fields.finish();
  return source;
}

Assumption decode_assumption(Fields fields, const Derivation* derivation) {
  Assumption assumption;
  assumption.key = telling_text(fields, "key");
  if (derivation) require_word(fields, "key", assumption.key, derivation->assumption_keys);
  assumption.value = fields.positive("value");
  assumption.lo = fields.positive("lo");
  assumption.hi = fields.positive("hi");
  if (assumption.lo > assumption.hi)
    fields.reject("lo", fmt::format("is {}, above hi {}", assumption.lo, assumption.hi),
                  "order them: lo <= value <= hi");
  if (assumption.value < assumption.lo || assumption.value > assumption.hi)
    fields.reject("value", fmt::format("is {}, outside lo {} to hi {}", assumption.value, assumption.lo, assumption.hi),
                  "order them: lo <= value <= hi");
  assumption.basis = fields.text("basis");
  require_word(fields, "basis", assumption.basis, assumption_bases());
  assumption.source = maybe_telling_text(fields, "source").value_or("");
  fields.finish();
  return assumption;
}

std::vector<Assumption> decode_assumptions(Fields& fields, const Derivation* derivation) {
  std::vector<Assumption> assumptions;
  for (const Fields& entry : fields.maybe_objects("assumptions")) {
    assumptions.push_back(decode_assumption(entry, derivation));
    for (std::size_t i = 0; i + 1 < assumptions.size(); ++i)
      if (assumptions[i].key == assumptions.back().key)
        entry.reject("key", fmt::format("is \"{}\" for the second time", assumptions[i].key), "keep one of them");
  }
  return assumptions;
}

std::map<std::string, double> decode_let(Fields fields) {
  std::map<std::string, double> let;
  for (const std::string& name : fields.keys()) {
    const Json& value = fields.any(name);
    if (!value.is_number())
      fields.reject(name, fmt::format("is {}, not a literal number", value.dump()), "write the number itself");
    let[name] = fields.number(name);
  }
  return let;
}

void check_expression(const Fields& fields, const Claim& claim) {
  const Evaluation result = evaluate(claim.expression, [&](std::string_view name) -> std::optional<double> {
    const auto found = claim.let.find(std::string(name));
    return found == claim.let.end() ? std::nullopt : std::optional(found->second);
  });
  if (result.value) return;
  std::vector<std::string> names;
  for (const auto& [name, value] : claim.let) names.push_back(name);
  fields.reject("expr", fmt::format("{} (position {})", result.fault, result.at + 1),
                result.symbol.empty() ? result.remedy : "add it to let" + suggestion(result.symbol, names));
}

void decode_expression(Fields& fields, Claim& claim) {
  claim.expression = telling_text(fields, "expr");
  if (auto let = fields.maybe_object("let")) claim.let = decode_let(*let);
  check_expression(fields, claim);
}

void decode_model(Fields fields, Claim& claim) {
  claim.kind = fields.text("kind");
  require_word(fields, "kind", claim.kind, known_kinds());
  const Derivation* derivation = derivation_of(claim.kind);
  if (!derivation) return decode_any_settings(fields, claim.model);  // not testable here, whatever the file says
  if (derivation->takes_expression) decode_expression(fields, claim);
  std::vector<SettingRule> rules = derivation->settings;
  if (derivation->routes.size() > 1) rules.push_back({"route", SettingKind::text, 0.0, derivation->routes});
  decode_settings(fields, rules, claim.model);
  if (auto params = fields.maybe_object("params")) {
    decode_settings(*params, rules, claim.model);
    params->finish();
  }
  fields.finish();
}

void decode_tolerance(Fields fields, Claim& claim) {
  claim.tolerance = fields.positive("rel");
  if (fields.has("per_row")) {
    claim.row_tolerances = positive_numbers(fields, "per_row");
    if (claim.row_tolerances.size() != claim.quantity.values.size())
      fields.reject(
          "per_row",
          fmt::format("has {} tolerances for {} values", claim.row_tolerances.size(), claim.quantity.values.size()),
          "give every value its tolerance, or leave per_row out");
  }
  fields.finish();
}

Settings decode_part(Fields& fields, const std::string& key, const std::vector<SettingRule>& rules) {
  Settings settings;
  if (auto part = fields.maybe_object(key)) {
    decode_settings(*part, rules, settings);
    part->finish();
  }
  return settings;
}

std::string checked_id(Fields& fields) {
  std::string id = telling_text(fields, "id");
  const bool is_plain = std::all_of(
      id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-'; });
  if (!is_plain) fields.reject("id", fmt::format("is \"{}\"", id), "use letters, digits, dots, - and _");
  return id;
}

Claim decode_claim(Fields fields) {
  Claim claim;
  claim.id = checked_id(fields);
  claim.tier = fields.text("tier");
  require_word(fields, "tier", claim.tier, kTiers);
  claim.statement = telling_text(fields, "statement");
  claim.quantity = decode_quantity(fields.object("quantity"));
  claim.source = decode_source(fields.object("source"));
  claim.hardware = maybe_telling_text(fields, "hardware").value_or("");
  claim.system = decode_part(fields, "system", system_rules());
  claim.workload = decode_part(fields, "workload", workload_rules());
  decode_model(fields.object("model"), claim);
  claim.assumptions = decode_assumptions(fields, derivation_of(claim.kind));
  claim.inputs = maybe_telling_texts(fields, "inputs");
  decode_tolerance(fields.object("tolerance"), claim);
  claim.caveats = maybe_telling_texts(fields, "caveats");
  fields.finish();
  return claim;
}

}  // namespace

std::string Claim::row_name(std::size_t row) const {
  if (!quantity.rows.empty()) return quantity.rows[row];
  return quantity.values.size() == 1 ? "" : fmt::format("{}", row + 1);
}

void Claim::reject(const std::string& key, const std::string& message, const std::string& remedy) const {
  std::string at = pointer + (key.empty() ? "" : "/" + key);
  int line = line_of(file->text, at);
  if (line == 0) line = line_of(file->text, pointer);
  std::replace(at.begin(), at.end(), '/', '.');
  throw Error(Fault::config, fmt::format("{}:{}: {} ({}) {}", file->path, line, at.substr(1), id, message), remedy);
}

const std::vector<std::string>& assumption_bases() {
  static const std::vector<std::string> bases = {"published", "trace", "trace-fit", "prior", "derived", "measure"};
  return bases;
}

std::vector<Claim> decode_claims(const JsonFile& file) {
  Fields fields(file);
  if (const std::string schema = fields.text("schema"); schema != "claims/1")
    fields.reject("schema", fmt::format("is \"{}\"", schema), "this program reads claims/1");
  fields.maybe_text("summary");
  const std::string hash = sha256_hex(file.text);
  const auto kept = std::make_shared<const JsonFile>(file);
  std::vector<Claim> claims;
  for (const Fields& entry : fields.objects("claims")) {
    Claim claim = decode_claim(entry);
    claim.file_hash = hash;
    claim.file = kept;
    claim.pointer = fmt::format("/claims/{}", claims.size());
    claims.push_back(std::move(claim));
  }
  if (claims.empty()) fields.reject("claims", "is empty", "add a claim");
  fields.finish();
  require_distinct_ids(claims);
  return claims;
}

std::vector<Claim> load_claims_file(const std::string& path) { return decode_claims(read_json(path)); }

std::vector<Claim> load_claims(const std::string& configs) {
  std::vector<Claim> claims;
  for (const std::string& path : json_files_of(configs + "/claims"))
    for (Claim& claim : load_claims_file(path)) claims.push_back(std::move(claim));
  require_distinct_ids(claims);
  return claims;
}

void require_distinct_ids(const std::vector<Claim>& claims) {
  for (std::size_t i = 0; i < claims.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (claims[i].id == claims[j].id)
        claims[i].reject("id", fmt::format("is \"{}\", as in {} already", claims[i].id, claims[j].file->path),
                         "give it an id of its own");
}

}  // namespace chokepoint
