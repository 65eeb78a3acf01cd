#include "harness/report/html/picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

std::string panel_markup(const Panel& panel, const std::string& title) {
  std::string out = "<figure>\n";
  if (!panel.title.empty()) out += fmt::format("<h3>{}</h3>\n", escaped_markup(panel.title));
  out += panel.svg + "<figcaption>\n";
  for (const std::string& caption : panel.captions) out += fmt::format("<p>{}</p>\n", escaped_markup(caption));
  const std::string name = panel.title.empty() ? title : title + ": " + panel.title;
  if (panel.table.columns.empty()) return out + "</figcaption>\n</figure>\n";
  return out + fmt::format(
                   "</figcaption>\n<details><summary>The table behind this picture ({} "
                   "row{})</summary>\n{}</details>\n</figure>\n",
                   panel.table.rows.size(), panel.table.rows.size() == 1 ? "" : "s", table_markup(panel.table, name));
}

std::string span(const std::set<std::int64_t>& counts) {
  if (counts.empty()) return "none";
  return *counts.begin() == *counts.rbegin() ? fmt::format("{}", *counts.begin())
                                             : fmt::format("{} to {}", *counts.begin(), *counts.rbegin());
}

using FieldTexts = std::vector<std::pair<std::string, std::string>>;  // "tokens", "tokens=64"

// What tells cases apart: data type and shape.
FieldTexts fields_of(const Record& record) {
  FieldTexts fields = {{"dtype", std::string(to_string(record.dtype))}};
  for (const auto& [field, value] : record.shape.values())
    std::visit(
        [&, &name = field](const auto& inner) { fields.emplace_back(name, fmt::format("{}={}", name, inner)); },
        value);
  return fields;
}

template <class Visit>
void for_each_case(const ReportInput& input, const ReportGroup& group, const Visit& visit) {
  for (const ReportCase& one : group.cases) {
    const Record& record = input.set.records[one.records.front()];
    const Json& provenance = record.provenance;
    const bool has_label = provenance.is_object() && provenance.contains("label") && provenance["label"].is_string();
    visit(one, has_label ? provenance["label"].get<std::string>() : std::string(), fields_of(record));
  }
}

}  // namespace

std::string basis_text(const Record& record) {
  return std::string(record.basis ? to_string(*record.basis) : to_string(record.status));
}

std::string device_name(const Record& record) {
  for (const char* key : {"name", "kind"})
    if (record.device.is_object() && record.device.contains(key) && record.device[key].is_string())
      return record.device[key].get<std::string>();
  return "device without a name";
}

std::string listed(const std::vector<std::string>& words) {
  constexpr std::size_t most = 3;
  if (words.size() <= most) return joined(words, ", ");
  return fmt::format("{} and {} more", joined(std::span(words).first(most), ", "), words.size() - most);
}

std::vector<std::string> price_absences(const ReportInput& input, const std::vector<std::string>& targets) {
  std::vector<std::string> reasons, sentences;
  std::map<std::string, std::vector<std::string>> of_reason;
  for (const std::string& target : targets) {
    if (input.prices.of(target)) continue;
    const std::string reason = input.prices.absence_of(target);
    if (!of_reason.contains(reason)) reasons.push_back(reason);
    of_reason[reason].push_back(target);
  }
  for (const std::string& reason : reasons)
    sentences.push_back(fmt::format("{}: {}", listed(of_reason[reason]), reason));
  return sentences;
}

std::string figure_text(double value, std::optional<double> low, std::optional<double> high, std::string_view unit) {
  static constexpr std::array<std::pair<double, const char*>, 9> prefixes{{{1e15, "P"},
                                                                           {1e12, "T"},
                                                                           {1e9, "G"},
                                                                           {1e6, "M"},
                                                                           {1e3, "k"},
                                                                           {1.0, ""},
                                                                           {1e-3, "m"},
                                                                           {1e-6, "u"},
                                                                           {1e-9, "n"}}};
  const auto fits = [&](const auto& prefix) { return std::abs(value) >= 0.9995 * prefix.first; };
  const auto found = std::find_if(prefixes.begin(), prefixes.end(), fits);
  const bool is_plain = value == 0.0 || found == prefixes.end();
  const double scale = is_plain ? 1.0 : found->first;
  const std::string shown_unit = std::string(is_plain ? "" : found->second) + std::string(unit);
  const std::string interval =
      low && high ? fmt::format("{:.4g}, {:.4g}", *low / scale, *high / scale) : "no interval";
  return fmt::format("{:.3g} [{}]{}{}", value / scale, interval, shown_unit.empty() ? "" : " ", shown_unit);
}

std::string figure_text(const MetricValue& metric) {
  return figure_text(metric.value, metric.ci_low, metric.ci_high, metric.unit);
}

std::string source_of(const ReportInput& input, std::size_t index) {
  const Record& record = input.set.records[index];
  const std::string ess = record.time.ess ? fmt::format(" (ESS {:.0f})", *record.time.ess) : "";
  const Place place = index < input.set.places.size() ? input.set.places[index] : Place{};
  return fmt::format("{}, n {}{}, {}:{}", basis_text(record), record.time.n, ess, place.file, place.line);
}

std::string credentials_of(const ReportInput& input, const std::vector<std::size_t>& records,
                           const std::string& intervals) {
  std::set<std::string> bases, files;
  std::set<std::int64_t> counts;
  for (const std::size_t i : records) {
    bases.insert(basis_text(input.set.records[i]));
    counts.insert(input.set.records[i].time.n);
    if (i < input.set.places.size()) files.insert(input.set.places[i].file);
  }
  return fmt::format("Basis: {}. Samples: n = {} per record, {} record{}. Interval: {}. Source: {}.",
                     joined(std::vector(bases.begin(), bases.end()), ", "), span(counts), records.size(),
                     records.size() == 1 ? "" : "s", intervals,
                     joined(std::vector(files.begin(), files.end()), ", "));
}

std::vector<std::string> case_names(const ReportInput& input, const std::vector<ReportGroup>& groups) {
  std::vector<std::string> names(input.set.records.size());
  for (const ReportGroup& group : groups) {
    std::map<std::string, std::map<std::string, std::set<std::string>>> values;  // of a field, by label
    for_each_case(input, group, [&](const ReportCase&, const std::string& label, const FieldTexts& fields) {
      for (const auto& [field, value] : fields) values[label][field].insert(value);
    });
    for_each_case(input, group, [&](const ReportCase& one, const std::string& label, const FieldTexts& fields) {
      std::string name = group.operation + (label.empty() ? "" : ' ' + label);
      for (const auto& [field, value] : fields)
        if (values[label][field].size() > 1) name += ' ' + value;
      for (const std::size_t i : one.records)
        names[i] = name + (group.has_several_kernels ? ", " + input.set.records[i].kernel : "");
    });
  }
  return names;
}

std::string picture_markup(const Picture& picture, const DrawnPicture& drawn) {
  std::string out = fmt::format(
      "<section id=\"{0}\" aria-labelledby=\"{0}-h\">\n<h2 id=\"{0}-h\">{1}</h2>\n<p>{2}</p>\n"
      "<p class=\"skip\"><a href=\"#{0}-end\">Skip the points of this picture</a></p>\n<div class=\"panels\">\n",
      picture.name, escaped_markup(picture.title), escaped_markup(picture.how_to_read));
  for (const Panel& panel : drawn.panels) out += panel_markup(panel, picture.title);
  out += "</div>\n";
  if (drawn.below) out += table_markup(*drawn.below, picture.title);
  if (!drawn.left_out.empty())
    out += fmt::format("<p class=\"left-out\">Left out: {}.</p>\n", escaped_markup(drawn.left_out));
  return out + fmt::format("<span id=\"{}-end\"></span></section>\n", picture.name);
}

}  // namespace chokepoint
