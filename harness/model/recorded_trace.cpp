#include "harness/model/recorded_trace.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace chokepoint {
namespace {

template <class Value>
Json trace_column(const std::vector<TracePoint>& points, Value value) {
  Json list = Json::array();
  bool has_any = false;
  for (const TracePoint& point : points) {
    const std::optional<double> one = value(point);
    has_any = has_any || one;
    list.push_back(one ? Json(*one) : Json(nullptr));
  }
  return has_any ? list : Json(nullptr);
}

// The column `key` of a trace with `count` points; empty where it is null or absent.
std::vector<std::optional<double>> trace_column_from(Fields& fields, const std::string& key,
                                                     std::optional<std::size_t> count) {
  if (!fields.has(key)) {
    fields.any(key);
    return {};
  }
  const Json& list = fields.any(key);
  if (!list.is_array()) fields.reject(key, "is no list", "restore the record from a copy");
  if (list.size() > kMostTracePoints)
    fields.reject(key, fmt::format("has {} values and at most {} are kept", list.size(), kMostTracePoints),
                  "restore the record from a copy");
  if (count && list.size() != *count)
    fields.reject(key, fmt::format("has {} values and t_s has {}", list.size(), *count),
                  "restore the record from a copy");
  std::vector<std::optional<double>> values;
  for (const Json& one : list) {
    if (!one.is_number() && !one.is_null())
      fields.reject(key, "holds something that is no number", "restore the record from a copy");
    values.push_back(one.is_null() ? std::nullopt : std::optional(one.get<double>()));
  }
  return values;
}

double present_number(const Fields& fields, const std::string& key, const std::optional<double>& value) {
  if (!value) fields.reject(key, "holds a null", "restore the record from a copy");
  return *value;
}

std::vector<Interval> trace_windows_from(Fields& fields) {
  std::vector<Interval> windows;
  for (const Json& one : fields.any("windows_s")) {
    if (!one.is_array() || one.size() != 2 || !one[0].is_number() || !one[1].is_number())
      fields.reject("windows_s", "holds something that is no pair of moments", "restore the record from a copy");
    windows.push_back({one[0].get<double>(), one[1].get<double>()});
  }
  return windows;
}

}  // namespace

std::vector<TracePoint> thinned(const std::vector<TracePoint>& points) {
  const std::size_t stride = std::max<std::size_t>(1, (points.size() + kMostTracePoints - 1) / kMostTracePoints);
  std::vector<TracePoint> kept;
  for (std::size_t i = 0; i < points.size(); i += stride) kept.push_back(points[i]);
  return kept;
}

Json to_json(const RecordedTrace& trace) {
  const std::vector<TracePoint> points = thinned(trace.points);
  Json times = Json::array(), windows = Json::array();
  for (const TracePoint& point : points) times.push_back(point.t_s);
  for (const Interval& window : trace.windows_s) windows.push_back({window.low, window.high});
  return {{"source", trace.source},
          {"load", trace.load},
          {"t_s", times},
          {"power_w", trace_column(points, [](const TracePoint& p) { return std::optional(p.power_w); })},
          {"sm_clock_hz", trace_column(points, [](const TracePoint& p) { return p.sm_clock_hz; })},
          {"temperature_c", trace_column(points, [](const TracePoint& p) { return p.temperature_c; })},
          {"windows_s", windows}};
}

RecordedTrace recorded_trace_from_json(Fields fields) {
  RecordedTrace trace{.source = fields.text("source"), .load = fields.text("load"), .points = {}, .windows_s = {}};
  const auto times = trace_column_from(fields, "t_s", std::nullopt);
  const auto power = trace_column_from(fields, "power_w", times.size()),
             clock = trace_column_from(fields, "sm_clock_hz", times.size()),
             temperature = trace_column_from(fields, "temperature_c", times.size());
  if (times.empty() || power.empty()) fields.reject("power_w", "has no readings", "leave the trace out: null");
  for (std::size_t i = 0; i < times.size(); ++i) {
    trace.points.push_back({.t_s = present_number(fields, "t_s", times[i]),
                            .power_w = present_number(fields, "power_w", power[i]),
                            .sm_clock_hz = clock.empty() ? std::nullopt : clock[i],
                            .temperature_c = temperature.empty() ? std::nullopt : temperature[i]});
    if (i > 0 && trace.points[i].t_s < trace.points[i - 1].t_s)
      fields.reject("t_s", "goes back in time", "restore the record from a copy");
  }
  trace.windows_s = trace_windows_from(fields);
  fields.finish();
  return trace;
}

std::optional<RecordedTrace> power_trace_of(const Json& provenance) {
  const auto found = provenance.is_object() ? provenance.find("power_trace") : provenance.end();
  if (found == provenance.end() || found->is_null()) return std::nullopt;
  return recorded_trace_from_json(Fields(JsonFile{"provenance.power_trace", "", *found}));
}

}  // namespace chokepoint
