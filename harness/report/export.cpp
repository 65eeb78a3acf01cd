#include "harness/report/export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/metrics/metric.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

std::string device_of(const Record& record) {
  std::string text;
  for (const char* key : {"kind", "name"})
    if (record.device.is_object() && record.device.contains(key) && record.device[key].is_string())
      text += (text.empty() ? "" : " ") + record.device[key].get<std::string>();
  return text;
}

}  // namespace

std::vector<std::string> export_names(const ReportInput& input) {
  std::map<std::string, std::size_t> uses;
  for (const Record& record : input.set.records) ++uses[record.case_id];
  std::map<std::string, std::size_t> given;
  std::vector<std::string> names;
  for (const Record& record : input.set.records) {
    const std::string_view basis = record.basis ? to_string(*record.basis) : to_string(record.status);
    std::string name = record.case_id + (uses[record.case_id] > 1 ? " on " + device_of(record) : "");
    name = printable(fmt::format("{} ({})", name, basis));
    const std::size_t before = given[name]++;
    names.push_back(before == 0 ? name : fmt::format("{} #{}", name, before + 1));
  }
  return names;
}

std::vector<ExportedMetric> exported_metrics() {
  std::vector<ExportedMetric> metrics;
  for (const Metric& metric : Registry<Metric>::instance().all())
    metrics.push_back({metric.name, metric.unit, metric.formula, metric.higher_is_better});
  std::sort(metrics.begin(), metrics.end(),
            [](const ExportedMetric& a, const ExportedMetric& b) { return a.name < b.name; });
  return metrics;
}

const MetricValue* exported_value(const ReportRow& row, const std::string& metric) {
  const auto found = row.metrics.find(metric);
  return found == row.metrics.end() || !std::isfinite(found->second.value) ? nullptr : &found->second;
}

std::string export_remark(const Record& record, const MetricValue& value) {
  const bool has_interval =
      value.ci_low && value.ci_high && std::isfinite(*value.ci_low) && std::isfinite(*value.ci_high);
  const std::string interval =
      has_interval ? fmt::format("interval {:.6g} to {:.6g} {}", *value.ci_low, *value.ci_high, value.unit)
                   : "no interval";
  return printable(fmt::format("{}, n {}; {}", interval, record.time.n, label_of(record)));
}

std::vector<std::string> export_absences(const ReportInput& input) {
  std::vector<std::string> absences;
  const std::vector<std::string> names = export_names(input);
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    const Record& record = input.set.records[i];
    if (record.status == Status::ok) continue;
    absences.push_back(printable(fmt::format("{}: {}: {}", to_string(record.status), names[i],
                                             record.reason.empty() ? "no reason recorded" : record.reason)));
  }
  return absences;
}

}  // namespace chokepoint
