#include "harness/report/summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "harness/base/strings.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

struct Case {
  const Comparison* comparison;
  std::string name;
};

// Smallest and largest value among the cases that have one, as texts of the middle values.
template <class ValueOf, class TextOf>
std::string range_text(const std::vector<Case>& cases, const ValueOf& value_of, const TextOf& text_of) {
  std::optional<std::size_t> least, most;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const std::optional<Bounded> value = value_of(*cases[i].comparison);
    if (!value) continue;
    if (!least || value->value < value_of(*cases[*least].comparison)->value) least = i;
    if (!most || value->value > value_of(*cases[*most].comparison)->value) most = i;
  }
  if (!least) return "";
  const std::string low = text_of(*least), high = text_of(*most);
  return low == high ? low : low + " to " + high;
}

std::string sentence(const std::vector<Case>& cases, const std::vector<Record>& records) {
  const Comparison& first = *cases.front().comparison;
  const Record& a = records[first.a];
  const Record& b = records[first.b];
  Basis basis = first.basis;
  for (const Case& one : cases) basis = weaker(basis, one.comparison->basis);
  const std::string throughput =
      range_text(cases, [](const Comparison& c) { return std::optional(c.throughput_ratio); },
                 [&](std::size_t i) {
                   const std::string ratio = ratio_text(cases[i].comparison->throughput_ratio);
                   return cases.size() == 1 ? ratio : fmt::format("{} ({})", ratio, cases[i].name);
                 });
  std::string text = fmt::format("{} against {} in {} case{}: {} times the throughput", b.target, a.target, cases.size(),
                                 cases.size() == 1 ? "" : "s", throughput);
  const auto add_price = [&](std::optional<Bounded> Comparison::*member, const std::optional<PriceQuote>& price,
                             const std::string& priced, const std::string& other) {
    const std::string range = range_text(cases, [&](const Comparison& c) { return c.*member; },
                                         [&](std::size_t i) { return usd_per_h_text(*(cases[i].comparison->*member)); });
    if (!range.empty())
      text += fmt::format("; at {} for the {}, the {} breaks even at {}", price->text(), priced, other, range);
  };
  add_price(&Comparison::break_even_b_usd_per_h, first.price_a, a.target, b.target);
  add_price(&Comparison::break_even_a_usd_per_h, first.price_b, b.target, a.target);
  const std::string energy =
      range_text(cases, [](const Comparison& c) { return c.work_per_joule_ratio; },
                 [&](std::size_t i) { return ratio_text(*cases[i].comparison->work_per_joule_ratio); });
  std::set<std::string> energy_bases;
  for (const Case& one : cases)
    if (one.comparison->work_per_joule_ratio) energy_bases.insert(records[one.comparison->b].energy.basis);
  if (!energy.empty())
    text += fmt::format("; {} times the work per joule ({} power)", energy,
                        joined(std::vector(energy_bases.begin(), energy_bases.end()), " or "));
  return fmt::format("{}; {}", text, to_string(basis));
}

}  // namespace

std::vector<std::string> summary_of(const ReportInput& input, const std::vector<ReportGroup>& groups) {
  std::vector<std::pair<std::string, std::string>> order;
  std::map<std::pair<std::string, std::string>, std::vector<Case>> pairs;
  for (const ReportGroup& group : groups)
    for (const ReportCase& report_case : group.cases)
      for (const std::size_t i : report_case.comparisons) {
        const Comparison& comparison = input.comparisons[i];
        const std::pair key(input.set.records[comparison.a].target, input.set.records[comparison.b].target);
        if (!pairs.contains(key)) order.push_back(key);
        const std::string name = group.operation + (report_case.short_title.empty() ? "" : " " + report_case.short_title);
        pairs[key].push_back({&comparison, name});
      }
  std::vector<std::string> sentences;
  for (const auto& key : order) sentences.push_back(sentence(pairs[key], input.set.records));
  return sentences;
}

}  // namespace chokepoint
