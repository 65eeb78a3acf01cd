// What is a metric? A number derived from a record and, where money is meant, a dated price. One file per metric.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "harness/base/registry.hpp"
#include "harness/model/record.hpp"

namespace chokepoint {

// What metrics may know. All are target scale: seconds of the machine played.
struct MetricInput {
  const Record& record;
  double time_s;                          // of one launch on the target
  std::optional<double> price_usd_per_h;  // of one device of the target
};

struct Metric {
  std::string name;
  std::string unit;
  std::string formula;            // in words and symbols, for `list metrics`
  bool higher_is_better = true;
  // Absent when something it needs is absent. Monotone in time_s, so that intervals carry over by their ends.
  std::function<std::optional<double>(const MetricInput&)> value;
};

// The metric at the median and at the ends of the interval of the time; absent when the median is.
std::optional<MetricValue> evaluate(const Metric& metric, const Record& record, std::optional<double> price_usd_per_h);

}  // namespace chokepoint
