#include "harness/model/rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/model/config_files.hpp"

namespace chokepoint {
namespace {

struct Naming {
  std::string_view key, shown, unit;
};

// In the order of RuleQuantity.
constexpr std::array<Naming, 4> kNames{{{"tpp", "TPP", ""},
                                        {"performance_density", "PD", ""},
                                        {"io_gb_per_s", "I/O", "GB/s"},
                                        {"memory_gb_per_s", "memory", "GB/s"}}};

const Naming& names_of(RuleQuantity quantity) { return kNames.at(static_cast<std::size_t>(quantity)); }

RuleQuantity quantity_of(Fields& fields) {
  std::vector<std::string> known;
  const std::string word = fields.text("quantity");
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i].key == word) return static_cast<RuleQuantity>(i);
    known.emplace_back(kNames[i].key);
  }
  fields.reject("quantity", fmt::format("is \"{}\"", word), suggestion(word, known));
}

RuleCondition decode_condition(Fields fields) {
  RuleCondition condition;
  condition.quantity = quantity_of(fields);
  condition.at_least = fields.maybe_positive("at_least");
  condition.below = fields.maybe_positive("below");
  fields.finish();
  if (!condition.at_least && !condition.below)
    fields.reject("", "has no threshold", "add \"at_least\" or \"below\"");
  if (condition.at_least && condition.below && *condition.at_least >= *condition.below)
    fields.reject("below",
                  fmt::format("is {}, not above at_least, {}", *condition.below, *condition.at_least),
                  "nothing could meet this; order the two");
  return condition;
}

RuleClause decode_clause(Fields fields) {
  RuleClause clause;
  for (const Fields& condition : fields.objects("all_of"))
    clause.all_of.push_back(decode_condition(condition));
  if (clause.all_of.empty()) fields.reject("all_of", "is empty", "add a condition, or leave the clause out");
  clause.verified = fields.maybe_boolean("verified").value_or(true);
  fields.finish();
  return clause;
}

RuleCategory decode_category(Fields fields) {
  RuleCategory category;
  category.id = telling_text(fields, "id");
  category.when_met = telling_text(fields, "when_met");
  category.when_not = telling_text(fields, "when_not");
  for (const Fields& clause : fields.objects("any_of")) category.any_of.push_back(decode_clause(clause));
  if (category.any_of.empty()) fields.reject("any_of", "is empty", "add a clause, or leave the category out");
  fields.finish();
  return category;
}

RuleCut decode_cut(Fields fields) {
  RuleCut cut{telling_text(fields, "profile"), telling_text(fields, "of"), telling_text(fields, "source")};
  fields.finish();
  if (cut.profile == cut.of)
    fields.reject("of", fmt::format("is {}, the cut machine itself", cut.of), "name the full one");
  return cut;
}

void decode_categories(Fields& fields, Rule& rule) {
  for (const Fields& entry : fields.objects("categories")) {
    rule.categories.push_back(decode_category(entry));
    for (std::size_t i = 0; i + 1 < rule.categories.size(); ++i)
      if (rule.categories[i].id == rule.categories.back().id)
        entry.reject("id", fmt::format("is \"{}\" for the second time", rule.categories[i].id), "keep one");
  }
  rule.left_out = maybe_telling_text(fields, "left_out").value_or("");
  if (rule.categories.empty() && rule.left_out.empty())
    fields.reject("categories", "is empty", "add one, or say in \"left_out\" why there is none");
  if (!rule.categories.empty() && !rule.left_out.empty())
    fields.reject("left_out", "stands beside categories", "mark single clauses with \"verified\": false");
}

}  // namespace

std::string_view to_string(RuleQuantity quantity) { return names_of(quantity).key; }
std::string_view short_name(RuleQuantity quantity) { return names_of(quantity).shown; }
std::string_view unit_of(RuleQuantity quantity) { return names_of(quantity).unit; }

Rule decode_rule(const JsonFile& file) {
  static const std::vector<std::string> evidences = {"primary", "secondary", "none"};
  Fields fields(file);
  Rule rule;
  rule.date = date_text(fields, "date");
  rule.name = telling_text(fields, "name");
  rule.id = dated_id(fields, rule.date, rule.name, "name");
  rule.title = telling_text(fields, "title");
  rule.summary = telling_text(fields, "summary");
  rule.evidence = fields.text("evidence");
  require_word(fields, "evidence", rule.evidence, evidences);
  rule.source = telling_text(fields, "source");
  decode_categories(fields, rule);
  for (const Fields& entry : fields.maybe_objects("cuts")) rule.cuts.push_back(decode_cut(entry));
  fields.finish();
  rule.path = file.path;
  return rule;
}

std::vector<Rule> load_rules(const std::string& configs) {
  std::vector<Rule> rules;
  for (const std::string& path : json_files_of(configs + "/rules"))
    rules.push_back(decode_rule(read_json(path)));
  std::stable_sort(rules.begin(), rules.end(), [](const auto& a, const auto& b) { return a.date < b.date; });
  return rules;
}

const Rule& find_rule(const std::vector<Rule>& rules, const std::string& id_or_date) {
  std::vector<std::string> same_date;
  for (const Rule& rule : rules)
    if (rule.date == id_or_date) same_date.push_back(rule.id);
  if (same_date.size() > 1)
    throw Error(Fault::config, fmt::format("{} rules have the date {}", same_date.size(), id_or_date),
                fmt::format("name one: {}", joined(same_date, ", ")));
  return find_by_id(rules, same_date.empty() ? id_or_date : same_date.front(), "rule");
}

}  // namespace chokepoint
