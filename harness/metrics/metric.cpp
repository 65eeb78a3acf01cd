#include "harness/metrics/metric.hpp"

#include <algorithm>

namespace chokepoint {

std::optional<MetricValue> evaluate(const Metric& metric, const Record& record,
                                    std::optional<double> price_usd_per_h) {
  const auto at = [&](std::optional<double> host_time_s) -> std::optional<double> {
    if (!host_time_s) return std::nullopt;
    return metric.value({record, *host_time_s / record.dilation, price_usd_per_h});
  };
  const std::optional<double> value = at(record.time.median);
  if (!value) return std::nullopt;
  MetricValue result{*value, at(record.time.ci_low), at(record.time.ci_high), metric.unit};
  if (result.ci_low && result.ci_high && *result.ci_low > *result.ci_high)
    std::swap(result.ci_low, result.ci_high);
  return result;
}

}  // namespace chokepoint
