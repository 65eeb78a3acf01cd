// What did power, clock and temperature do while a case ran? The readings that its record kept, over time, with the
// windows its figures were taken from.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <set>

#include "harness/model/recorded_trace.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

constexpr double kTraceLeft = 52.0, kTraceRight = 428.0, kTraceTop = 26.0, kTracePlot = 150.0, kTraceStrip = 52.0,
                 kTraceGap = 22.0;

// One of the things that were read.
struct TraceLane {
  std::string title;
  std::size_t series = 0;
  std::function<std::optional<double>(const TracePoint&)> value;
};

std::vector<TraceLane> lanes_of(const RecordedTrace& trace) {
  std::vector<TraceLane> lanes = {{"power, W", 0, [](const TracePoint& p) { return std::optional(p.power_w); }}};
  const auto add = [&](TraceLane lane) {
    if (std::any_of(trace.points.begin(), trace.points.end(),
                    [&](const TracePoint& p) { return lane.value(p).has_value(); }))
      lanes.push_back(std::move(lane));
  };
  add({"SM clock, MHz", 1,
       [](const TracePoint& p) { return p.sm_clock_hz ? std::optional(*p.sm_clock_hz / 1e6) : std::nullopt; }});
  add({"temperature, °C", 2, [](const TracePoint& p) { return p.temperature_c; }});
  return lanes;
}

std::string point_says(const TracePoint& point) {
  std::string text = fmt::format("{:.3f} s: {:.1f} W", point.t_s, point.power_w);
  if (point.sm_clock_hz) text += fmt::format(", {:.0f} MHz", *point.sm_clock_hz / 1e6);
  if (point.temperature_c) text += fmt::format(", {:.0f} °C", *point.temperature_c);
  return text;
}

Scale lane_scale(const RecordedTrace& trace, const TraceLane& lane, double from, double to) {
  std::vector<double> values;
  for (const TracePoint& point : trace.points)
    if (const std::optional<double> value = lane.value(point)) values.push_back(*value);
  Scale scale = scale_around(values, Spacing::linear, from, to);
  if (lane.series == 0) scale.low = 0.0;  // power is compared by length
  return scale;
}

void draw_lane(Canvas& canvas, const RecordedTrace& trace, const TraceLane& lane, const Scale& x, const Scale& y) {
  draw_y_ticks(canvas, x, y, lane.series == 0 ? 6 : 2);
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  canvas.words({2, y.to - 7}, lane.title, lane.series == 0 ? "" : "small");
  std::vector<Dot> stretch;
  const auto flush = [&] {
    if (stretch.size() > 1) canvas.path(stretch, "curve " + series_class(lane.series));
    stretch.clear();
  };
  for (const TracePoint& point : trace.points) {
    const std::optional<double> value = lane.value(point);
    if (!value) {
      flush();
      continue;
    }
    stretch.push_back({x.at(point.t_s), y.at(*value)});
    if (lane.series == 0) canvas.point(stretch.back(), 0, point_says(point), "", 2.6);
  }
  flush();
}

DataTable trace_table(const RecordedTrace& trace) {
  DataTable table{{{"time, s", true}, {"power, W", true}, {"SM clock, MHz", true}, {"temperature, °C", true}}, {}};
  for (const TracePoint& point : trace.points)
    table.rows.push_back(
        {{fmt::format("{:.3f}", point.t_s), point.t_s},
         {fmt::format("{:.1f}", point.power_w), point.power_w},
         {point.sm_clock_hz ? fmt::format("{:.0f}", *point.sm_clock_hz / 1e6) : "", point.sm_clock_hz},
         {point.temperature_c ? fmt::format("{:.0f}", *point.temperature_c) : "", point.temperature_c}});
  return table;
}

Panel trace_panel(const PictureInput& input, std::size_t record, const RecordedTrace& trace, const std::string& title,
                  std::size_t place) {
  const std::vector<TraceLane> lanes = lanes_of(trace);
  const double bottom = kTraceTop + kTracePlot + (kTraceStrip + kTraceGap) * static_cast<double>(lanes.size() - 1);
  Canvas canvas(bottom + 40);
  std::vector<double> moments;
  for (const TracePoint& point : trace.points) moments.push_back(point.t_s);
  for (const Interval& window : trace.windows_s) moments.push_back(window.low), moments.push_back(window.high);
  const Scale x = scale_around(moments, Spacing::linear, kTraceLeft, kTraceRight);
  for (const Interval& window : trace.windows_s)
    canvas.box({x.at(window.low), kTraceTop}, x.at(window.high) - x.at(window.low), bottom - kTraceTop, "window");
  for (const Interval& window : trace.windows_s)
    for (const double edge : {window.low, window.high})
      canvas.line({x.at(edge), kTraceTop}, {x.at(edge), bottom}, "knee s6");
  double top = kTraceTop;
  for (const TraceLane& lane : lanes) {
    const double height = lane.series == 0 ? kTracePlot : kTraceStrip;
    draw_lane(canvas, trace, lane, x, lane_scale(trace, lane, top + height, top));
    top += height + kTraceGap;
  }
  draw_x_ticks(canvas, x, 7, bottom, bottom);
  canvas.words({(x.from + x.to) / 2, bottom + 32}, "seconds since the load began", "", Anchor::middle);
  Panel panel{.title = title, .svg = "", .captions = {}, .table = trace_table(trace)};
  panel.captions.push_back(trace.load == "energy"
                               ? "Shaded: the windows that the joules were taken from."
                               : "Shaded: the time in which the samples were taken, all targets in turn.");
  panel.captions.push_back(fmt::format(
      "Basis: {}. Readings: n = {} kept ({}). Interval: none, single readings; the lines only join them. Source: {}.",
      basis_text(input.report.set.records[record]), trace.points.size(), trace.source,
      source_of(input.report, record)));
  panel.svg = canvas.svg(fmt::format("power_trace-{}", place), "Power over time, " + title,
                         "One mark per reading; the table below has the same readings.");
  return panel;
}

struct TracedRecord {
  std::size_t record = 0;
  RecordedTrace trace;
  double length_s() const { return trace.points.back().t_s - trace.points.front().t_s; }
};

// All targets of a group have the trace of the time in which they were sampled in turn.
bool is_shared_trace(const Record& record, const RecordedTrace& trace) {
  return trace.load == "sampling" && !record.interleave_group.empty();
}

// Records with a trace, one of each group that was sampled together, the longest trace first.
std::vector<TracedRecord> traced_records(const ReportInput& input) {
  std::vector<TracedRecord> traced;
  std::set<std::string> groups;
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    const Record& record = input.set.records[i];
    std::optional<RecordedTrace> trace = power_trace_of(record.provenance);
    if (!trace || trace->points.empty()) continue;
    if (is_shared_trace(record, *trace) && !groups.insert(record.run_id + '\n' + record.interleave_group).second)
      continue;
    traced.push_back({i, std::move(*trace)});
  }
  std::stable_sort(traced.begin(), traced.end(),
                   [](const TracedRecord& a, const TracedRecord& b) { return a.length_s() > b.length_s(); });
  return traced;
}

DrawnPicture draw_power_trace(const PictureInput& input) {
  const std::vector<TracedRecord> traced = traced_records(input.report);
  DrawnPicture drawn;
  if (traced.empty()) drawn.left_out = "no record keeps a trace of power (nothing read it, or the run was too short)";
  const std::vector<std::string> names = case_names(input.report, input.groups);
  for (std::size_t i = 0; i < std::min(traced.size(), kMostPanels); ++i) {
    const auto& [at, trace] = traced[i];
    const Record& record = input.report.set.records[at];
    const std::string whose = is_shared_trace(record, trace) ? "all targets in turn" : record.target;
    drawn.panels.push_back(trace_panel(input, at, trace, fmt::format("{}, {}", names[at], whose), i));
  }
  if (traced.size() > kMostPanels) drawn.left_out = fmt::format("{} shorter traces", traced.size() - kMostPanels);
  return drawn;
}

const Register<Picture> power_trace_picture{
    {.name = "power_trace",
     .place = 8,
     .title = "Power over time",
     .how_to_read = "Each mark is one reading. A level line means a steady load; a clock that "
                    "falls while power stays at its limit means that power, not the code, set "
                    "the speed.",
     .draw = draw_power_trace}};

}  // namespace
}  // namespace chokepoint
