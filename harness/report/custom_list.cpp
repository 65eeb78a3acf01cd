#include "harness/report/custom_list.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/json.hpp"
#include "harness/report/export.hpp"

namespace chokepoint {

std::string custom_list(const ReportInput& input, bool higher_is_better) {
  Json list = Json::array();
  const std::vector<std::string> names = export_names(input);
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    for (const ExportedMetric& metric : exported_metrics()) {
      const MetricValue* value = exported_value(input.rows[i], metric.name);
      if (!value || metric.higher_is_better != higher_is_better) continue;
      Json entry = {
          {"name", fmt::format("{}: {}", names[i], metric.name)}, {"unit", metric.unit}, {"value", value->value}};
      if (value->ci_low && value->ci_high && std::isfinite(*value->ci_high - *value->ci_low))
        entry["range"] = fmt::format("± {:.4g}", (*value->ci_high - *value->ci_low) / 2);
      entry["extra"] = export_remark(input.set.records[i], *value);
      list.push_back(std::move(entry));
    }
  return list.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace chokepoint
