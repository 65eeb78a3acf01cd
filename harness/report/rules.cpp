#include "harness/report/rules.hpp"

#include <fmt/format.h>

#include "harness/base/strings.hpp"
#include "harness/report/table.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr std::array<RuleQuantity, 4> kQuantities = {RuleQuantity::tpp, RuleQuantity::performance_density,
                                                     RuleQuantity::io_gb_per_s,
                                                     RuleQuantity::memory_gb_per_s};

std::vector<Column> columns_for(const std::vector<Rule>& rules) {
  std::vector<Column> columns = {{.title = "profile"},
                                 {.title = "TPP", .align = Align::right, .rank = 1},
                                 {.title = "mm2", .align = Align::right, .rank = 4},
                                 {.title = "PD", .align = Align::right, .rank = 2},
                                 {.title = "I/O GB/s", .align = Align::right, .rank = 3},
                                 {.title = "memory GB/s", .align = Align::right, .rank = 5}};
  for (const Rule& rule : rules)
    if (!rule.categories.empty()) columns.push_back({.title = rule.date});
  return columns;
}

// "controlled (3A090.a)", "not controlled (I/O)", "cannot be said (PD)".
Cell verdict_cell(const RuleVerdict& verdict) {
  const CategoryVerdict& category = *verdict.headline();
  std::vector<std::string> names;
  for (const RuleQuantity quantity : category.decided_by) names.emplace_back(short_name(quantity));
  std::string brackets = joined(names, ", ");
  if (category.answer == RuleAnswer::yes) brackets = verdict.categories.size() > 1 ? category.category : "";
  const Paint paint = category.answer == RuleAnswer::yes  ? Paint::strong
                      : category.answer == RuleAnswer::no ? Paint::plain
                                                          : Paint::faint;
  if (brackets.empty()) return {category.word, paint};
  return {std::vector<std::string>{fmt::format("{} ({})", category.word, brackets), category.word}, paint};
}

// The link counts for certain; what the host's port adds is shown apart, since tables elsewhere leave it out.
Cell io_cell(const Profile& profile, const RuleExtent& extent) {
  if (!profile.link.datasheet) return {extent_text(RuleQuantity::io_gb_per_s, extent)};
  const double link = 2.0 * profile.link.datasheet->value / 1e9;
  if (!profile.host_link) return {fmt::format("{:.0f} + host", link)};
  return {fmt::format("{:.0f} + {:.0f}", link, 2.0 * profile.host_link->value / 1e9)};
}

std::string area_text(const Profile& profile) {
  if (!profile.die_area) return "";
  return fmt::format("{:.0f}{}", profile.die_area->value, profile.die_area->verified ? "" : "?");
}

std::vector<Cell> cells_for(const Profile& profile, const std::vector<Rule>& rules) {
  const RuleMeasures measures = rule_measures(profile);
  const auto text = [&](RuleQuantity quantity) { return Cell(extent_text(quantity, measures.of(quantity))); };
  std::vector<Cell> cells = {Cell(profile.id),
                             text(RuleQuantity::tpp),
                             Cell(area_text(profile)),
                             text(RuleQuantity::performance_density),
                             io_cell(profile, measures.of(RuleQuantity::io_gb_per_s)),
                             text(RuleQuantity::memory_gb_per_s)};
  for (const Rule& rule : rules)
    if (!rule.categories.empty()) cells.push_back(verdict_cell(check_rule(rule, measures)));
  return cells;
}

std::string condition_text(const RuleCondition& condition) {
  const std::string name(short_name(condition.quantity));
  const auto number = [&](double value) {
    const std::string unit = unit_of(condition.quantity) == "GB/s" ? " GB/s" : "";
    return fmt::format("{:.6g}{}", value, unit);
  };
  if (condition.at_least && condition.below)
    return fmt::format("{} <= {} < {}", number(*condition.at_least), name, number(*condition.below));
  return condition.at_least ? fmt::format("{} >= {}", name, number(*condition.at_least))
                            : fmt::format("{} < {}", name, number(*condition.below));
}

std::string clause_text(const RuleClause& clause) {
  std::vector<std::string> parts;
  for (const RuleCondition& condition : clause.all_of) parts.push_back(condition_text(condition));
  return joined(parts, " and ") + (clause.verified ? "" : " (not verified: left out)");
}

std::string rule_note(const Rule& rule) {
  std::string text = fmt::format("{}, {}: ", rule.date, rule.title);
  if (rule.categories.empty()) return text + fmt::format("left out, {}. {}", rule.left_out, rule.source);
  for (const RuleCategory& category : rule.categories) {
    std::vector<std::string> clauses;
    for (const RuleClause& clause : category.any_of) clauses.push_back(clause_text(clause));
    text += fmt::format("{} {} when {}. ", category.id, category.when_met, joined(clauses, "; or "));
  }
  return text + fmt::format("Evidence: {} ({})", rule.evidence, rule.source);
}

// "b200-sxm: die area is missing; the rate of the host link is missing", for every profile with such a gap.
std::vector<std::string> doubt_notes(const std::vector<Profile>& profiles) {
  std::vector<std::string> notes;
  for (const Profile& profile : profiles) {
    const RuleMeasures measures = rule_measures(profile);
    std::vector<std::string> doubts;
    for (const RuleQuantity quantity : kQuantities)
      if (const std::string& doubt = measures.of(quantity).doubt; !doubt.empty()) doubts.push_back(doubt);
    if (!doubts.empty()) notes.push_back(fmt::format("{}: {}", profile.id, joined(doubts, "; ")));
  }
  return notes;
}

// What could not be said, and why: "b200-sxm, 2023-10-17 3A090.b: cannot be said; PD >= 1.6: die area is
// missing".
std::vector<std::string> open_notes(const std::vector<Profile>& profiles, const std::vector<Rule>& rules) {
  std::vector<std::string> notes;
  for (const Profile& profile : profiles) {
    const RuleMeasures measures = rule_measures(profile);
    for (const Rule& rule : rules)
      for (const CategoryVerdict& category : check_rule(rule, measures).categories)
        if (category.answer == RuleAnswer::unknown)
          notes.push_back(fmt::format("{}, {} {}: cannot be said; {}", profile.id, rule.date,
                                      category.category, category.reason));
  }
  return notes;
}

Json or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

Json extent_json(const RuleExtent& extent) {
  return {{"low", or_null(extent.low)},
          {"high", or_null(extent.high)},
          {"basis", extent.basis},
          {"doubt", extent.doubt}};
}

Json verdict_json(const RuleVerdict& verdict) {
  Json categories = Json::array();
  for (const CategoryVerdict& category : verdict.categories) {
    const Json met =
        category.answer == RuleAnswer::unknown ? Json() : Json(category.answer == RuleAnswer::yes);
    categories.push_back({{"category", category.category},
                          {"met", met},
                          {"verdict", category.word},
                          {"reason", category.reason},
                          {"unverified_clauses_left_out", category.has_left_out_clause}});
  }
  const Json left_out = verdict.left_out.empty() ? Json() : Json(verdict.left_out);
  const CategoryVerdict* headline = verdict.headline();
  return {{"rule", verdict.rule},
          {"verdict", headline == nullptr ? Json() : Json(headline->word)},
          {"categories", categories},
          {"left_out", left_out}};
}

Json figure_json(const std::optional<Figure>& figure) {
  if (!figure) return {};
  return {{"value", figure->value},
          {"unit", figure->unit},
          {"source", figure->source},
          {"verified", figure->verified}};
}

Json profile_json(const Profile& profile, const std::vector<Rule>& rules) {
  const RuleMeasures measures = rule_measures(profile);
  Json json = {{"profile", profile.id}, {"name", profile.name}, {"die_area", figure_json(profile.die_area)}};
  for (const RuleQuantity quantity : kQuantities)
    json[std::string(to_string(quantity))] = extent_json(measures.of(quantity));
  Json& verdicts = json["rules"] = Json::array();
  for (const Rule& rule : rules) verdicts.push_back(verdict_json(check_rule(rule, measures)));
  return json;
}

}  // namespace

std::string render_rules(const std::vector<Profile>& profiles, const std::vector<Rule>& rules,
                         const Style& style) {
  Table table(columns_for(rules));
  for (const Profile& profile : profiles) table.row(cells_for(profile, rules));
  std::string out = table.render(style);
  const auto note = [&](const std::string& text) {
    for (const std::string& line : wrapped(printable(text, style.unicode), style.width, "- "))
      out += line + '\n';
  };
  if (const std::vector<std::string> dropped = table.dropped(style); !dropped.empty())
    note(fmt::format("not shown at {} columns: {}", style.width, joined(dropped, ", ")));
  out += '\n';
  for (const Rule& rule : rules) note(rule_note(rule));
  for (const std::string& text : doubt_notes(profiles)) note(text);
  for (const std::string& text : open_notes(profiles, rules)) note(text);
  note(
      "TPP is the largest dense rate in TFLOP/s times the bits of its dtype; PD is TPP per mm2 of die. I/O "
      "is what the "
      "link and the host's port carry, both directions together. Facts as published, no legal advice; --json "
      "has every "
      "figure's source.");
  return out;
}

Json rules_json(const std::vector<Profile>& profiles, const std::vector<Rule>& rules) {
  Json json = {{"profiles", Json::array()}, {"rules", Json::array()}};
  for (const Profile& profile : profiles) json["profiles"].push_back(profile_json(profile, rules));
  for (const Rule& rule : rules)
    json["rules"].push_back({{"rule", rule.id},
                             {"date", rule.date},
                             {"title", rule.title},
                             {"summary", rule.summary},
                             {"evidence", rule.evidence},
                             {"source", rule.source}});
  return json;
}

}  // namespace chokepoint
