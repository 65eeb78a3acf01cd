// How do tools for Google Benchmark read our records? Its JSON: one entry per record, the median as real_time,
// metrics as counters. compare.py reads name, run_type, times and unit; github-action-benchmark name, real_time,
// time_unit.
#include <cmath>

#include "harness/base/json.hpp"
#include "harness/report/export.hpp"

namespace chokepoint {
namespace {

constexpr int kJsonSchemaVersion = 1;  // of google/benchmark 1.9, src/json_reporter.cc; older readers ignore it

std::string text_in(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

std::int64_t workers_of(const Record& record) {
  const bool has =
      record.device.is_object() && record.device.contains("workers") && record.device["workers"].is_number_integer();
  return has ? record.device["workers"].get<std::int64_t>() : 1;
}

void add_number(Json& json, const std::string& key, const std::optional<double>& value) {
  if (value && std::isfinite(*value)) json[key] = *value;
}

Json benchmark(const Record& record, const ReportRow& row, const std::string& name, std::size_t family) {
  constexpr double ns = 1e9;
  const MetricValue& time = *exported_value(row, "target_time_s");
  Json entry = {{"name", name},
                {"family_index", family},
                {"per_family_instance_index", 0},
                {"run_name", name},
                {"run_type", "iteration"},
                {"repetitions", 1},
                {"repetition_index", 0},
                {"threads", 1},
                {"iterations", record.time.n},
                {"real_time", time.value * ns},
                {"cpu_time", time.value * ns},  // of the device: there is no other
                {"time_unit", "ns"},
                {"label", label_of(record)}};
  add_number(entry, "real_time_ci_low_ns", time.ci_low ? std::optional(*time.ci_low * ns) : std::nullopt);
  add_number(entry, "real_time_ci_high_ns", time.ci_high ? std::optional(*time.ci_high * ns) : std::nullopt);
  for (const ExportedMetric& metric : exported_metrics())
    if (const MetricValue* value = exported_value(row, metric.name); value && metric.name != "target_time_s") {
      // The two counters that Google Benchmark itself knows.
      const std::string counter = metric.name == "bytes_per_s"    ? "bytes_per_second"
                                  : metric.name == "tokens_per_s" ? "items_per_second"
                                                                  : metric.name;
      entry[counter] = value->value;
    }
  return entry;
}

Json context_of(const ReportInput& input, const Json& absences) {
  std::string date, device;
  std::int64_t workers = 1;
  for (const Record& record : input.set.records) {
    date = std::max(date, text_in(record.provenance, "finished"));
    if (device.empty()) device = text_in(record.device, "name"), workers = workers_of(record);
  }
  return {{"date", date},
          {"host_name", device},
          {"executable", "chokepoint"},
          {"num_cpus", workers},
          {"mhz_per_cpu", 0},
          {"cpu_scaling_enabled", false},
          {"caches", Json::array()},
          {"load_avg", Json::array()},
          {"library_build_type", "release"},
          {"json_schema_version", kJsonSchemaVersion},
          {"left_out", absences}};
}

std::string render_gbench(const ReportInput& input, const Style&) {
  Json benchmarks = Json::array(), absences = Json::array();
  const std::vector<std::string> names = export_names(input);
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    if (exported_value(input.rows[i], "target_time_s"))
      benchmarks.push_back(benchmark(input.set.records[i], input.rows[i], names[i], benchmarks.size()));
  for (const std::string& absence : export_absences(input)) absences.push_back(absence);
  const Json report = {{"context", context_of(input, absences)}, {"benchmarks", benchmarks}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

const Register<Format> gbench_format{
    {.name = "gbench",
     .summary = "Google Benchmark JSON, for compare.py and github-action-benchmark (googlecpp)",
     .render = render_gbench}};

}  // namespace
}  // namespace chokepoint
