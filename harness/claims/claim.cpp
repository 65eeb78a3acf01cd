#include "harness/claims/claim.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"
#include "harness/base/json.hpp"
#include "harness/base/strings.hpp"
#include "harness/claims/claim_parts.hpp"
#include "harness/claims/derivation.hpp"
#include "harness/claims/expression.hpp"
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
                                                 {"routing_trace", SettingKind::text},
                                                 {"redundant", SettingKind::number, 0.0},
                                                 {"microbatches"},
                                                 {"mtp_acceptance", SettingKind::number, 0.0}};
  return rules;
}

const Derivation* derivation_of(const std::string& kind) { return Registry<Derivation>::instance().find(kind); }

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
                result.symbol.empty() ? result.remedy : "add it to let; " + suggestion(result.symbol, names));
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
    claim.row_tolerances = decode_positive_numbers(fields, "per_row");
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

// "/claims/3/quantity/unit" -> "claims[3].quantity.unit", as Fields writes it.
std::string key_text(const std::string& json_pointer) {
  std::string text;
  for (const std::string& part : split(json_pointer.substr(1), '/')) {
    const bool is_index = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    text += is_index ? "[" + part + "]" : (text.empty() ? "" : ".") + part;
  }
  return text;
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
  throw Error(Fault::config, fmt::format("{}:{}: {} ({}) {}", file->path, line, key_text(at), id, message), remedy);
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
