// What does a tighter cap cost? Slowdown against the rate of one cap, with the band of its intervals and the knee.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"
#include "harness/report/sentences.hpp"
#include "harness/report/sweeps.hpp"

namespace chokepoint {
namespace {

std::string knee_text(const Sweep& sweep) {
  const Resource resource = sweep.resource;
  if (!sweep.knee) {
    const SweepPoint& last = sweep.points.back();
    return fmt::format("no knee: less than {:.0f} % lost down to {}", 100.0 * (kKneeSlowdown - 1.0),
                       rate_text(last.rate, resource));
  }
  std::string text = "knee at " + rate_text(sweep.knee->rate, resource);
  if (sweep.knee->interval)
    text += fmt::format(" [{:.3g}, {:.3g}]", sweep.knee->interval->low / 1e9, sweep.knee->interval->high / 1e9);
  return text;
}

struct Axes {
  Scale x, y;
};

Axes axes_of(const std::vector<const Sweep*>& sweeps, double height) {
  std::vector<double> rates, slowdowns = {1.0};
  for (const Sweep* sweep : sweeps)
    for (const SweepPoint& point : sweep->points) {
      rates.push_back(point.rate);
      slowdowns.push_back(point.slowdown.interval ? point.slowdown.interval->high : point.slowdown.value);
      slowdowns.push_back(point.slowdown.value);
    }
  const bool is_wide = *std::max_element(slowdowns.begin(), slowdowns.end()) > 4.0;
  Axes axes{scale_around(rates, Spacing::logarithmic, 52, 428),
            scale_around(slowdowns, is_wide ? Spacing::logarithmic : Spacing::linear, height, 26)};
  axes.y.low = std::min(1.0, *std::min_element(slowdowns.begin(), slowdowns.end()));
  return axes;
}

void draw_band(Canvas& canvas, const Axes& axes, const Sweep& sweep, std::size_t series) {
  std::vector<Dot> upper, lower, middle;
  for (const SweepPoint& point : sweep.points) {
    const double x = axes.x.at(point.rate);
    const Interval ends = point.slowdown.interval.value_or(Interval{point.slowdown.value, point.slowdown.value});
    upper.push_back({x, axes.y.at(ends.high)});
    lower.insert(lower.begin(), {x, axes.y.at(ends.low)});
    middle.push_back({x, axes.y.at(point.slowdown.value)});
  }
  upper.insert(upper.end(), lower.begin(), lower.end());
  canvas.area(upper, "band " + series_class(series));
  canvas.path(middle, "curve " + series_class(series));
  if (!sweep.knee) return;
  const double x = axes.x.at(sweep.knee->rate);
  canvas.line({x, axes.y.from}, {x, axes.y.from - 0.3 * (axes.y.from - axes.y.to)}, "knee " + series_class(series));
}

void add_rows(const PictureInput& input, const Sweep& sweep, const std::string& name, DataTable& table) {
  for (const SweepPoint& point : sweep.points) {
    const Record& record = input.report.set.records[point.record];
    const bool is_base = point.record == sweep.points.front().record;
    table.rows.push_back({{name},
                          {record.target},
                          {rate_text(point.rate, sweep.resource), point.rate},
                          {is_base ? "1 (the loosest cap)" : ratio_text(point.slowdown), point.slowdown.value},
                          {source_of(input.report, point.record)}});
  }
}

Panel slowdown_panel_of(const PictureInput& input, const std::vector<const Sweep*>& sweeps,
                        const std::vector<std::string>& names, std::size_t place) {
  constexpr double height = 250;
  const Resource resource = sweeps.front()->resource;
  Canvas canvas(height + 46 + kLegendRow * static_cast<double>(sweeps.size()));
  const Axes axes = axes_of(sweeps, height);
  const std::string unit = fmt::format("{}/s", unit_of(resource));
  draw_axes(canvas, axes.x, axes.y,
            fmt::format("cap on {}, {} (logarithmic; tighter to the left)", to_string(resource), unit),
            fmt::format("times slower than with the loosest cap{}",
                        axes.y.spacing == Spacing::logarithmic ? " (logarithmic)" : ""));
  Panel panel{.title = "",
              .svg = "",
              .captions = {},
              .table = {{{"case"}, {"target"}, {"cap", true}, {"slowdown", true}, {"basis, samples, source"}}, {}}};
  std::vector<LegendEntry> legend;
  std::vector<std::size_t> records;
  for (std::size_t i = 0; i < sweeps.size(); ++i) draw_band(canvas, axes, *sweeps[i], i);
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    const std::string& name = names[sweeps[i]->points.front().record];
    for (const SweepPoint& point : sweeps[i]->points) {
      canvas.point({axes.x.at(point.rate), axes.y.at(point.slowdown.value)}, i,
                   fmt::format("{} at {}: {} times slower ({})", name, rate_text(point.rate, resource),
                               point.record == sweeps[i]->points.front().record ? "1" : ratio_text(point.slowdown),
                               source_of(input.report, point.record)));
      records.push_back(point.record);
    }
    legend.push_back({i, fmt::format("{}: {}", knee_text(*sweeps[i]), name)});
    add_rows(input, *sweeps[i], name, panel.table);
  }
  draw_legend(canvas, legend, {10, height + 52});
  panel.title = fmt::format("{} of {}", to_string(resource), device_name(input.report.set.records[records.front()]));
  panel.captions.push_back(
      fmt::format("The knee is the cap at which {:.0f} % are lost against the loosest cap measured, straight "
                  "between neighbours in the logarithm of the rate.",
                  100.0 * (kKneeSlowdown - 1.0)));
  panel.captions.push_back(
      credentials_of(input.report, records, "95 % of each ratio, samples taken in turn where they were"));
  panel.svg = canvas.svg(fmt::format("slowdown-{}", place), "Slowdown against the cap on " + panel.title,
                         "One curve per case; the table below has every point.");
  return panel;
}

DrawnPicture draw_slowdown(const PictureInput& input) {
  const std::vector<Sweep> sweeps = sweeps_of(input.report);
  DrawnPicture drawn;
  if (sweeps.empty()) {
    drawn.left_out =
        fmt::format("no case ran under {} or more rates of one cap with the others unchanged (suite link-sweep does)",
                    kLeastSweepPoints);
    return drawn;
  }
  const std::vector<std::string> names = case_names(input.report, input.groups);
  std::map<std::pair<std::string, Resource>, std::vector<const Sweep*>> panels;
  for (const Sweep& sweep : sweeps)
    panels[{device_name(input.report.set.records[sweep.points.front().record]), sweep.resource}].push_back(&sweep);
  constexpr std::size_t most_curves = 6;
  for (const auto& [key, curves] : panels)
    for (std::size_t i = 0; i < curves.size(); i += most_curves) {
      if (drawn.panels.size() == kMostPanels) {
        drawn.left_out = fmt::format("curves beyond {} panels; `--format json` has their ratios", kMostPanels);
        return drawn;
      }
      const auto end = curves.begin() + static_cast<std::ptrdiff_t>(std::min(curves.size(), i + most_curves));
      drawn.panels.push_back(
          slowdown_panel_of(input, {curves.begin() + static_cast<std::ptrdiff_t>(i), end}, names, drawn.panels.size()));
    }
  return drawn;
}

const Register<Picture> slowdown_picture{{.name = "slowdown",
                                          .place = 3,
                                          .title = "How much slower under a tighter cap",
                                          .how_to_read =
                                              "Each curve is one case, each point one cap that was verified while "
                                              "it ran; lower is better. The band is the "
                                              "interval of each ratio, the dashed line the knee.",
                                          .draw = draw_slowdown}};

}  // namespace
}  // namespace chokepoint
