// How does Prometheus read our records? OpenMetrics 1.0 text, which its older text parser and node_exporter's
// textfile collector read too: gauges alone, units in the names, intervals as samples of their own.
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "harness/base/strings.hpp"
#include "harness/report/export.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

// Backslash, quote and line break, as the format wants them in label values and help.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) out += c == '\\' ? "\\\\" : c == '"' ? "\\\"" : std::string(1, c);
  return out;
}

struct Name {
  std::string family, unit;
};

// "tokens_per_j" -> chokepoint_tokens_per_joule, unit tokens_per_joule: units stand at the end of a name, in full.
Name name_of(const std::string& metric) {
  static const std::map<std::string, std::string> full = {{"s", "seconds"}, {"j", "joules"}};
  static const std::map<std::string, std::string> full_per = {{"s", "second"}, {"j", "joule"}, {"usd", "usd"}};
  std::vector<std::string> words = split(metric, '_');
  std::size_t unit_start = words.size() - 1;
  for (std::size_t i = 1; i < words.size(); ++i)
    if (words[i] == "per") unit_start = std::min(unit_start, i - 1);
  const bool is_rate = words.size() > 1 && words[words.size() - 2] == "per";
  const auto& table = is_rate ? full_per : full;
  if (const auto found = table.find(words.back()); found != table.end()) words.back() = found->second;
  return {"chokepoint_" + joined(words, "_"), joined(std::span(words).subspan(unit_start), "_")};
}

std::string labels(const Record& record, const std::string& name) {
  const bool has_device =
      record.device.is_object() && record.device.contains("name") && record.device["name"].is_string();
  return fmt::format(
      "case=\"{}\",operation=\"{}\",kernel=\"{}\",dtype=\"{}\",target=\"{}\",device=\"{}\",basis=\"{}\"",
      escaped(name), escaped(record.operation), escaped(record.kernel), to_string(record.dtype),
      escaped(record.target), has_device ? escaped(record.device["name"].get<std::string>()) : "",
      record.basis ? to_string(*record.basis) : "none");
}

std::string family(const ReportInput& input, const ExportedMetric& metric, const std::vector<std::string>& names) {
  const Name name = name_of(metric.name);
  std::string samples;
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    const MetricValue* value = exported_value(input.rows[i], metric.name);
    if (!value) continue;
    const auto add = [&](const char* estimate, const std::optional<double>& number) {
      if (number && std::isfinite(*number))
        samples += fmt::format("{}{{{},estimate=\"{}\"}} {}\n", name.family, labels(input.set.records[i], names[i]),
                               estimate, *number);
    };
    add("median", value->value);
    add("ci_low", value->ci_low);
    add("ci_high", value->ci_high);
  }
  if (samples.empty()) return "";
  return fmt::format("# TYPE {0} gauge\n# UNIT {0} {1}\n# HELP {0} {2}; {3} is better.\n{4}", name.family, name.unit,
                     escaped(metric.formula), metric.higher_is_better ? "higher" : "lower", samples);
}

std::string render_openmetrics(const ReportInput& input, const Style&) {
  const std::vector<std::string> names = export_names(input);
  std::string out;
  for (const ExportedMetric& metric : exported_metrics()) out += family(input, metric, names);
  std::string counts, states;
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    const Record& record = input.set.records[i];
    counts += fmt::format("chokepoint_case_samples{{{}}} {}\n", labels(record, names[i]), record.time.n);
    states += fmt::format("chokepoint_case_ok{{{},status=\"{}\"}} {}\n", labels(record, names[i]),
                          to_string(record.status), record.status == Status::ok ? 1 : 0);
  }
  if (!counts.empty())
    out +=
        "# TYPE chokepoint_case_samples gauge\n# HELP chokepoint_case_samples Samples of the case's time.\n" + counts;
  if (!states.empty())
    out +=
        "# TYPE chokepoint_case_ok gauge\n# HELP chokepoint_case_ok 1 when the case has figures that count, 0 with "
        "its status otherwise.\n" +
        states;
  return out + "# EOF\n";
}

const Register<Format> openmetrics_format{{.name = "openmetrics",
                                           .summary = "OpenMetrics text, for Prometheus and GitLab's metrics report",
                                           .ending = ".prom",
                                           .render = render_openmetrics}};

}  // namespace
}  // namespace chokepoint
