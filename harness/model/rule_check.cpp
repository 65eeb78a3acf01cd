#include "harness/model/rule_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

constexpr double kTera = 1e12, kGiga = 1e9;

void add(std::string& list, const std::string& entry) { list += (list.empty() ? "" : "; ") + entry; }

// The largest of all rates bounds TPP from above, the largest verified one from below.
RuleExtent tpp_of(const Profile& profile) {
  RuleExtent extent;
  std::string doubtful;
  for (const auto& [dtype, rates] : profile.compute) {
    if (!rates.datasheet) continue;
    const double bits = 8.0 * static_cast<double>(bytes_of(dtype)), rate = rates.datasheet->value / kTera;
    const double tpp = rate * bits;
    if (!extent.high || tpp > *extent.high) {
      extent.high = tpp;
      doubtful = rates.datasheet->verified ? "" : fmt::format("the {} rate is unverified", to_string(dtype));
    }
    if (rates.datasheet->verified && (!extent.low || tpp > *extent.low)) {
      extent.low = tpp;
      extent.basis = fmt::format("{:.6g} TFLOP/s of {} x {:.0f} bit", rate, to_string(dtype), bits);
    }
  }
  extent.doubt = extent.high ? doubtful : "no datasheet rate of compute";
  return extent;
}

RuleExtent density_of(const Profile& profile, const RuleExtent& tpp) {
  if (!profile.die_area) return {{}, {}, "", "die area is missing"};
  if (!profile.die_area->verified) return {{}, {}, "", "die area is unverified"};
  const double area_mm2 = profile.die_area->value;
  RuleExtent extent{{}, {}, fmt::format("TPP / {:.6g} mm2", area_mm2), tpp.doubt};
  if (tpp.low) extent.low = *tpp.low / area_mm2;
  if (tpp.high) extent.high = *tpp.high / area_mm2;
  return extent;
}

// Adds what both directions of `figure` carry; a missing or unverified one adds nothing that is certain.
void add_io(const std::optional<Figure>& figure, std::string_view name, RuleExtent& extent) {
  if (figure && figure->verified) {
    const double both_ways = 2.0 * figure->value / kGiga;
    extent.low = *extent.low + both_ways;
    if (extent.high) extent.high = *extent.high + both_ways;
    extent.basis +=
        fmt::format("{}{} 2 x {:.6g}", extent.basis.empty() ? "" : " + ", name, figure->value / kGiga);
    return;
  }
  if (extent.high)
    extent.high = figure ? std::optional(*extent.high + 2.0 * figure->value / kGiga) : std::nullopt;
  add(extent.doubt, fmt::format("the rate of the {} is {}", name, figure ? "unverified" : "missing"));
}

RuleExtent io_of(const Profile& profile) {
  RuleExtent extent{0.0, 0.0, "", ""};
  add_io(profile.link.datasheet, "link", extent);
  add_io(profile.host_link, "host link", extent);
  return extent;
}

RuleExtent memory_of(const Profile& profile) {
  const std::optional<Figure>& figure = profile.memory.datasheet;
  if (!figure) return {{}, {}, "", "the rate of memory is missing"};
  if (!figure->verified) return {{}, {}, "", "the rate of memory is unverified"};
  const double rate = figure->value / kGiga;
  return {rate, rate, fmt::format("{:.6g} GB/s of memory", rate), ""};
}

std::string number_text(RuleQuantity quantity, double value) {
  if (quantity == RuleQuantity::performance_density) {
    const std::string text = fmt::format("{:.2f}", value);  // as many digits as the thresholds have
    return text.ends_with("0") ? text.substr(0, text.size() - 1) : text;
  }
  std::string digits = fmt::format("{:.0f}", value);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

// For tables, where nothing is compared with a threshold.
std::string value_text(RuleQuantity quantity, double value) {
  return quantity == RuleQuantity::performance_density ? fmt::format("{:.1f}", value)
                                                       : number_text(quantity, value);
}

struct Finding {
  RuleAnswer answer = RuleAnswer::unknown;
  std::string reason;
};

std::string unit_suffix(RuleQuantity quantity) {
  const bool is_rate = unit_of(quantity) == "GB/s";
  return is_rate ? " GB/s" : "";
}

// One side of a condition; `is_met` when the bound is reached for "at least", missed for "below".
Finding check_bound(RuleQuantity quantity, const RuleExtent& extent, double bound, bool wants_at_least) {
  const std::string name(short_name(quantity)), limit = number_text(quantity, bound) + unit_suffix(quantity);
  const bool reaches = extent.low && *extent.low >= bound, misses = extent.high && *extent.high < bound;
  if (reaches || misses)
    return {reaches == wants_at_least ? RuleAnswer::yes : RuleAnswer::no,
            fmt::format("{} {} {} {}", name, number_text(quantity, reaches ? *extent.low : *extent.high),
                        reaches ? ">=" : "<", limit)};
  return {RuleAnswer::unknown,
          fmt::format("{} {} {}: {}", name, wants_at_least ? ">=" : "<", limit, extent.doubt)};
}

Finding check_condition(const RuleCondition& condition, const RuleMeasures& measures) {
  const RuleExtent& extent = measures.of(condition.quantity);
  Finding finding{RuleAnswer::yes, ""};
  for (const auto& [bound, wants_at_least] :
       {std::pair(condition.at_least, true), std::pair(condition.below, false)}) {
    if (!bound) continue;
    const Finding side = check_bound(condition.quantity, extent, *bound, wants_at_least);
    if (side.answer == RuleAnswer::no) return side;
    if (finding.answer == RuleAnswer::unknown) continue;
    if (side.answer == RuleAnswer::unknown) finding = side;
    if (side.answer == RuleAnswer::yes) add(finding.reason, side.reason);
  }
  return finding;
}

struct ClauseFinding {
  RuleAnswer answer = RuleAnswer::yes;
  std::vector<RuleQuantity> decided_by;
  std::string reason;
};

// All conditions that decide: every failed one, else every open one, else all of them.
ClauseFinding check_clause(const RuleClause& clause, const RuleMeasures& measures) {
  std::vector<Finding> findings;
  for (const RuleCondition& condition : clause.all_of)
    findings.push_back(check_condition(condition, measures));
  ClauseFinding result;
  const auto any = [&](RuleAnswer answer) {
    return std::any_of(findings.begin(), findings.end(),
                       [&](const Finding& f) { return f.answer == answer; });
  };
  result.answer = any(RuleAnswer::no)        ? RuleAnswer::no
                  : any(RuleAnswer::unknown) ? RuleAnswer::unknown
                                             : RuleAnswer::yes;
  for (std::size_t i = 0; i < findings.size(); ++i)
    if (findings[i].answer == result.answer) {
      result.decided_by.push_back(clause.all_of[i].quantity);
      add(result.reason, findings[i].reason);
    }
  return result;
}

void include(const ClauseFinding& clause, CategoryVerdict& verdict) {
  for (const RuleQuantity quantity : clause.decided_by)
    if (std::find(verdict.decided_by.begin(), verdict.decided_by.end(), quantity) == verdict.decided_by.end())
      verdict.decided_by.push_back(quantity);
  add(verdict.reason, clause.reason);
}

// One clause that is met is enough; otherwise what is open stays open, and only failures everywhere mean no.
CategoryVerdict check_category(const RuleCategory& category, const RuleMeasures& measures) {
  CategoryVerdict verdict;
  verdict.category = category.id;
  std::vector<ClauseFinding> clauses;
  for (const RuleClause& clause : category.any_of) {
    if (clause.verified)
      clauses.push_back(check_clause(clause, measures));
    else
      verdict.has_left_out_clause = true;
  }
  const auto any = [&](RuleAnswer answer) {
    return std::any_of(clauses.begin(), clauses.end(),
                       [&](const ClauseFinding& c) { return c.answer == answer; });
  };
  verdict.answer = any(RuleAnswer::yes)                          ? RuleAnswer::yes
                   : any(RuleAnswer::unknown) || clauses.empty() ? RuleAnswer::unknown
                                                                 : RuleAnswer::no;
  for (const ClauseFinding& clause : clauses) {
    if (clause.answer != verdict.answer) continue;
    include(clause, verdict);
    if (verdict.answer == RuleAnswer::yes) break;
  }
  if (clauses.empty()) verdict.reason = "no threshold of it is verified";
  verdict.word = verdict.answer == RuleAnswer::yes  ? category.when_met
                 : verdict.answer == RuleAnswer::no ? category.when_not
                                                    : "cannot be said";
  return verdict;
}

}  // namespace

RuleMeasures rule_measures(const Profile& profile) {
  const RuleExtent tpp = tpp_of(profile);
  return {{tpp, density_of(profile, tpp), io_of(profile), memory_of(profile)}};
}

const CategoryVerdict* RuleVerdict::headline() const {
  for (const RuleAnswer wanted : {RuleAnswer::yes, RuleAnswer::unknown, RuleAnswer::no})
    for (const CategoryVerdict& category : categories)
      if (category.answer == wanted) return &category;
  return nullptr;
}

RuleVerdict check_rule(const Rule& rule, const RuleMeasures& measures) {
  RuleVerdict verdict{rule.id, rule.date, {}, rule.left_out};
  for (const RuleCategory& category : rule.categories)
    verdict.categories.push_back(check_category(category, measures));
  return verdict;
}

std::string extent_text(RuleQuantity quantity, const RuleExtent& extent) {
  if (!extent.low && !extent.high) return "";
  if (!extent.low) return "up to " + value_text(quantity, *extent.high);
  if (!extent.high) return value_text(quantity, *extent.low) + " or more";
  if (extent.is_exact()) return value_text(quantity, *extent.low);
  return fmt::format("{} to {}", value_text(quantity, *extent.low), value_text(quantity, *extent.high));
}

}  // namespace chokepoint
