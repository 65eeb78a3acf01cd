// How does a report enter a spreadsheet or a data frame? One line per record, every figure in its own column, in SI base
// units. RFC 4180: lines end in CR LF, fields with a comma, quote or line break stand in quotes. Absent is empty.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "harness/metrics/metric.hpp"
#include "harness/report/report.hpp"
#include "harness/report/rows.hpp"

namespace chokepoint {
namespace {

// A text. Where a spreadsheet would take it for a formula it stands in quotes too; the data stay as they are.
std::string quoted(const std::string& text) {
  const bool needs_quotes = text.find_first_of(",\"\r\n") != std::string::npos ||
                            (!text.empty() && std::string_view("=+-@\t").find(text.front()) != std::string_view::npos);
  if (!needs_quotes) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

std::string number(double value) { return fmt::format("{}", value); }  // shortest text that reads back the same
std::string number(const std::optional<double>& value) { return value ? number(*value) : ""; }

// Writes the header with the first line and checks nothing: both come from the same calls, so they cannot disagree.
class CsvLine {
 public:
  void text(const std::string& title, const std::string& value) { add(title, quoted(value)); }
  void number_of(const std::string& title, const std::optional<double>& value) { add(title, number(value)); }
  void count(const std::string& title, std::int64_t value) { add(title, fmt::format("{}", value)); }
  void boolean(const std::string& title, std::optional<bool> value) {
    add(title, value ? (*value ? "true" : "false") : "");
  }

  std::string header() const { return header_ + "\r\n"; }
  std::string values() const { return values_ + "\r\n"; }

 private:
  void add(const std::string& title, const std::string& value) {
    header_ += (header_.empty() ? "" : ",") + title;
    values_ += (header_ == title ? "" : ",") + value;
  }
  std::string header_, values_;
};

std::string device_field(const Record& record, const char* key) {
  const bool has = record.device.is_object() && record.device.contains(key) && record.device[key].is_string();
  return has ? record.device[key].get<std::string>() : "";
}

void add_caps(CsvLine& line, const Record& record) {
  for (const Resource resource : kResources) {
    const auto cap = std::find_if(record.caps.begin(), record.caps.end(),
                                  [&](const CapRecord& c) { return c.resource == resource; });
    const bool has = cap != record.caps.end();
    const std::string stem = fmt::format("cap_{}_", to_string(resource));
    const std::string rate = resource == Resource::compute ? "flop_per_s" : "bytes_per_s";
    const auto value = [&](const std::string& name, std::optional<double> CapRecord::*member) {
      line.number_of(stem + name + "_" + rate, has ? *cap.*member : std::nullopt);
    };
    line.text(stem + "status", has ? std::string(to_string(cap->status)) : "");
    line.text(stem + "mechanism", has ? cap->mechanism : "");
    line.number_of(stem + "requested_" + rate, has ? std::optional(cap->requested) : std::nullopt);
    value("delivered_before", &CapRecord::delivered_before);
    value("delivered_during", &CapRecord::delivered_during);
    value("delivered_after", &CapRecord::delivered_after);
    line.number_of(stem + "ceiling_" + rate, has ? std::optional(cap->ceiling) : std::nullopt);
  }
}

void add_metrics(CsvLine& line, const ReportRow& row) {
  std::vector<std::string> names;
  for (const Metric& metric : Registry<Metric>::instance().all()) names.push_back(metric.name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const auto found = row.metrics.find(name);
    const bool has = found != row.metrics.end();
    line.number_of(name, has ? std::optional(found->second.value) : std::nullopt);
    line.number_of(name + "_ci_low", has ? found->second.ci_low : std::nullopt);
    line.number_of(name + "_ci_high", has ? found->second.ci_high : std::nullopt);
  }
}

void add_time(CsvLine& line, const TimeSummary& time) {
  line.number_of("host_time_median_s", time.median);
  line.number_of("host_time_ci_low_s", time.ci_low);
  line.number_of("host_time_ci_high_s", time.ci_high);
  line.number_of("host_time_mean_s", time.mean);
  line.number_of("host_time_mean_ci_low_s", time.mean_ci_low);
  line.number_of("host_time_mean_ci_high_s", time.mean_ci_high);
  line.count("n", time.n);
  line.number_of("ess", time.ess);
  line.number_of("cv", time.cv);
  line.text("stopped_by", time.stopped_by);
  line.text("regime", time.regime);
  line.number_of("window_s", time.window_s);
}

CsvLine line_of(const Record& record, const ReportRow& row, const Place& place) {
  CsvLine line;
  line.text("case_id", record.case_id);
  line.text("run_id", record.run_id);
  line.count("attempt", record.attempt);
  line.text("operation", record.operation);
  line.text("kernel", record.kernel);
  line.text("dtype", std::string(to_string(record.dtype)));
  line.text("shape", record.shape.text());
  line.text("device_kind", device_field(record, "kind"));
  line.text("device_name", device_field(record, "name"));
  line.text("target", record.target);
  line.text("label", label_of(record));
  line.text("basis", record.basis ? std::string(to_string(*record.basis)) : "");
  line.text("status", std::string(to_string(record.status)));
  line.text("reason", record.reason);
  line.number_of("dilation", record.dilation);
  add_time(line, record.time);
  line.number_of("work_flop", record.work.flop);
  line.number_of("work_memory_bytes", record.work.memory_bytes);
  line.number_of("work_link_bytes", record.work.link_bytes);
  line.number_of("work_network_bytes", record.work.network_bytes);
  line.number_of("work_tokens", record.work.tokens);
  line.boolean("output_verified",
               record.verification ? std::optional(record.verification->passed) : std::optional<bool>());
  line.number_of("output_error", record.verification ? record.verification->error : std::nullopt);
  line.number_of("output_tolerance", record.verification ? std::optional(record.verification->tolerance) : std::nullopt);
  line.text("energy_basis", record.energy.basis);
  line.number_of("energy_power_w", record.energy.power_w);
  line.text("energy_scope", record.energy.scope);
  line.number_of("price_usd_per_h", row.price ? std::optional(row.price->item.usd_per_gpu_h) : std::nullopt);
  line.text("price_book", row.price ? row.price->book : "");
  line.text("price_date", row.price ? row.price->date : "");
  line.text("price_kind", row.price ? row.price->source_kind : "");
  line.text("price_term", row.price ? row.price->item.term : "");
  add_metrics(line, row);
  add_caps(line, record);
  line.text("file", place.file);
  line.count("line", place.line);
  return line;
}

std::string render_csv(const ReportInput& input, const Style&) {
  static const Record blank;
  std::string out = line_of(blank, {}, {}).header();
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    out += line_of(input.set.records[i], input.rows[i], input.set.places[i]).values();
  return out;
}

const Register<Format> csv_format{{.name = "csv",
                                   .summary = "one line per record, every figure a column (RFC 4180)",
                                   .ending = ".csv",
                                   .render = render_csv}};

}  // namespace
}  // namespace chokepoint
