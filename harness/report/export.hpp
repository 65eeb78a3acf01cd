// What do reports for other tools share? Stable names of cases, and values that every tool can read.
#pragma once

#include <string>
#include <vector>

#include "harness/report/report.hpp"

namespace chokepoint {

// One name per record, unique, the same in every run: the case's id and its basis, "moe_layer/...@h800-sxm#1f2e
// (emulated)". A number whose basis changes gets another history. The device is added where one case ran on two.
std::vector<std::string> export_names(const ReportInput& input);

// What `higher_is_better` says of a metric, in the order of their names.
struct ExportedMetric {
  std::string name, unit, formula;
  bool higher_is_better = true;
};
std::vector<ExportedMetric> exported_metrics();

// Null when no metric has this name, or the record has no value of it that is a finite number.
const MetricValue* exported_value(const ReportRow& row, const std::string& metric);

// "95 % interval 1.44 to 1.48 us, n 60; cpu as h800-sxm, 1:5800 (scaled)".
std::string export_remark(const Record& record, const MetricValue& value);

// Records that have no figures: "invalid: moe_layer ...: link cap missed".
std::vector<std::string> export_absences(const ReportInput& input);

}  // namespace chokepoint
