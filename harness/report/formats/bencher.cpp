// How does Bencher read our records? Its metric format: {benchmark: {measure: {value, lower_value, upper_value}}}, a
// measure per metric under the metric's own name (bencher.dev, "Bencher Metric Format").
#include <cmath>

#include "harness/base/json.hpp"
#include "harness/report/export.hpp"

namespace chokepoint {
namespace {

std::string render_bencher(const ReportInput& input, const Style&) {
  Json report = Json::object();
  const std::vector<std::string> names = export_names(input);
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    for (const ExportedMetric& metric : exported_metrics()) {
      const MetricValue* value = exported_value(input.rows[i], metric.name);
      if (!value) continue;
      Json& entry = report[names[i]][metric.name];
      entry["value"] = value->value;
      if (value->ci_low && std::isfinite(*value->ci_low)) entry["lower_value"] = *value->ci_low;
      if (value->ci_high && std::isfinite(*value->ci_high)) entry["upper_value"] = *value->ci_high;
    }
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

const Register<Format> bencher_format{
    {.name = "bencher",
     .summary = "Bencher Metric Format (BMF), every metric with its interval",
     .render = render_bencher}};

}  // namespace
}  // namespace chokepoint
