// How far below the machine's limits did each case stay? Rooflines with two ceilings: what the host was measured to
// deliver (uncapped), and what the caps let through (Williams, Waterman and Patterson 2009).
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>

#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

struct Key {
  std::string device;
  Resource resource;
  Dtype dtype;
  double dilation;
  auto tie() const { return std::tie(device, resource, dtype, dilation); }
  bool operator<(const Key& other) const { return tie() < other.tie(); }
};

double bytes_of(const Work& work, Resource resource) {
  return resource == Resource::memory ? work.memory_bytes
         : resource == Resource::link ? work.link_bytes
                                      : work.network_bytes;
}

const CapRecord* cap_of(const Record& record, Resource resource) {
  const auto found = std::find_if(record.caps.begin(), record.caps.end(),
                                  [&](const CapRecord& cap) { return cap.resource == resource; });
  return found == record.caps.end() ? nullptr : &*found;
}

// A corner: FLOP/s = min(compute, bytes per second * FLOP per byte). All in seconds of the target.
struct Ceiling {
  double compute = 0.0, rate = 0.0;
  double at(double flop_per_byte) const { return std::min(compute, rate * flop_per_byte); }
};

Ceiling capped_ceiling(const Record& record, Resource resource) {
  return {cap_of(record, Resource::compute)->target_rate, cap_of(record, resource)->target_rate};
}

Ceiling host_ceiling(const Record& record, Resource resource) {
  return {cap_of(record, Resource::compute)->ceiling * record.dilation,
          cap_of(record, resource)->ceiling * record.dilation};
}

struct RooflineSpot {
  std::size_t record = 0;
  double x = 0.0, y = 0.0, y_low = 0.0, y_high = 0.0;
};

std::optional<RooflineSpot> roofline_spot_of(const ReportInput& input, std::size_t index, Resource resource) {
  const Record& record = input.set.records[index];
  const double bytes = bytes_of(record.work, resource);
  const auto rate = input.rows[index].metrics.find("flop_per_s");
  if (bytes <= 0.0 || record.work.flop <= 0.0 || rate == input.rows[index].metrics.end() || rate->second.value <= 0.0)
    return std::nullopt;
  const Ceiling own = host_ceiling(record, resource), capped = capped_ceiling(record, resource);
  for (const double figure :
       {own.compute, own.rate, capped.compute, capped.rate, rate->second.value, record.work.flop / bytes})
    if (!(figure > 0.0) || !std::isfinite(figure)) return std::nullopt;
  const MetricValue& metric = rate->second;
  return RooflineSpot{index, record.work.flop / bytes, metric.value, metric.ci_low.value_or(metric.value),
                      metric.ci_high.value_or(metric.value)};
}

void draw_roof(Canvas& canvas, const Scale& x, const Scale& y, const Ceiling& ceiling, const std::string& classes) {
  const double corner = std::clamp(ceiling.compute / ceiling.rate, x.low, x.high);
  const double start = std::max(x.low, y.low / ceiling.rate);  // where the slope enters the frame
  std::vector<Dot> dots;
  if (start < corner) dots.push_back({x.at(start), y.at(ceiling.at(start))});
  dots.push_back({x.at(corner), y.at(ceiling.at(corner))});
  if (corner < x.high) dots.push_back({x.to, y.at(ceiling.compute)});
  canvas.path(dots, classes);
}

using RooflineSpots = std::vector<RooflineSpot>;

std::vector<std::string> roofline_targets_of(const ReportInput& input, const RooflineSpots& spots) {
  std::vector<std::string> targets;
  for (const RooflineSpot& spot : spots) {
    const std::string& target = input.set.records[spot.record].target;
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) targets.push_back(target);
  }
  return targets;
}

std::string ceiling_text(const Ceiling& ceiling) {
  return fmt::format("{}, {}", with_unit(ceiling.rate, "B/s"), with_unit(ceiling.compute, "FLOP/s"));
}

// What one panel shows, with its scales.
struct RooflineChart {
  const PictureInput& input;
  const std::vector<std::string>& names;
  Key key;
  RooflineSpots spots;
  std::vector<std::string> targets;  // by series
  Ceiling host = {};
  std::map<std::string, Ceiling> roofs = {};  // by target
  Scale x = {}, y = {};

  const Record& record_of(const RooflineSpot& spot) const { return input.report.set.records[spot.record]; }
  double part_of_roof(const RooflineSpot& spot) const {
    return spot.y / roofs.at(record_of(spot).target).at(spot.x);
  }
  std::size_t shown() const { return std::min(targets.size(), kMostSeries); }
};

constexpr double kHeight = 265.0;

RooflineChart chart_of(const PictureInput& input, const std::vector<std::string>& names, const Key& key,
                       const RooflineSpots& spots) {
  RooflineChart chart{input, names, key, spots, roofline_targets_of(input.report, spots)};
  std::vector<double> xs, ys;
  for (const RooflineSpot& spot : spots) {
    const Record& record = chart.record_of(spot);
    const Ceiling own = host_ceiling(record, key.resource);
    chart.host = {std::max(chart.host.compute, own.compute), std::max(chart.host.rate, own.rate)};
    chart.roofs.emplace(record.target, capped_ceiling(record, key.resource));
    xs.push_back(spot.x);
    ys.push_back(spot.y);
  }
  xs.push_back(chart.host.compute / chart.host.rate);
  for (const auto& [target, roof] : chart.roofs) xs.push_back(roof.compute / roof.rate);
  ys.push_back(chart.host.compute);
  chart.x = scale_around(xs, Spacing::logarithmic, 52, 428);
  chart.y = scale_around(ys, Spacing::logarithmic, kHeight, 26);
  return chart;
}

void draw_roofs(Canvas& canvas, const RooflineChart& chart) {
  draw_axes(canvas, chart.x, chart.y, fmt::format("FLOP per byte of {} (logarithmic)", to_string(chart.key.resource)),
            "FLOP/s of the target (logarithmic)");
  draw_roof(canvas, chart.x, chart.y, chart.host, "roof uncapped");
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < chart.shown(); ++i) {
    const Ceiling& roof = chart.roofs.at(chart.targets[i]);
    draw_roof(canvas, chart.x, chart.y, roof, "roof " + series_class(i));
    legend.push_back({i, fmt::format("{}, capped: {}", chart.targets[i], ceiling_text(roof))});
  }
  legend.push_back({0, "uncapped, as measured here: " + ceiling_text(chart.host), true, "roof uncapped"});
  draw_legend(canvas, legend, {10, kHeight + 52});
}

void draw_roofline_spots(Canvas& canvas, const RooflineChart& chart) {
  for (const RooflineSpot& spot : chart.spots) {
    const std::string& target = chart.record_of(spot).target;
    const auto found = std::find(chart.targets.begin(), chart.targets.end(), target);
    const auto series = static_cast<std::size_t>(found - chart.targets.begin());
    if (series >= chart.shown()) continue;
    canvas.point({chart.x.at(spot.x), chart.y.at(spot.y)}, series,
                 fmt::format("{} as {}: {}, {:.0f} % of the capped roof ({})", chart.names[spot.record], target,
                             figure_text(spot.y, spot.y_low, spot.y_high, "FLOP/s"), 100.0 * chart.part_of_roof(spot),
                             source_of(chart.input.report, spot.record)),
                 "", 3.2);
  }
}

DataTable roofline_table_of(const RooflineChart& chart) {
  DataTable table{{{"case"},
                   {"target"},
                   {"FLOP per byte", true},
                   {"FLOP/s", true},
                   {"of the capped roof", true},
                   {"of the uncapped roof", true},
                   {"basis, samples, source"}},
                  {}};
  for (const RooflineSpot& spot : chart.spots) {
    const double of_capped = chart.part_of_roof(spot), of_host = spot.y / chart.host.at(spot.x);
    table.rows.push_back({{chart.names[spot.record]},
                          {chart.record_of(spot).target},
                          {with_unit(spot.x, ""), spot.x},
                          {figure_text(spot.y, spot.y_low, spot.y_high, "FLOP/s"), spot.y},
                          {fmt::format("{:.0f} %", 100.0 * of_capped), of_capped},
                          {fmt::format("{:.0f} %", 100.0 * of_host), of_host},
                          {source_of(chart.input.report, spot.record)}});
  }
  return table;
}

std::vector<std::string> roofline_captions_of(const RooflineChart& chart) {
  std::vector<std::string> captions;
  if (chart.key.dilation != 1.0)
    captions.push_back(
        fmt::format("Scaled {}: host ceilings are multiplied by the dilation.", dilation_text(chart.key.dilation)));
  const auto is_native = [&](const auto& roof) { return roof.second.rate >= 0.999 * chart.host.rate; };
  if (std::all_of(chart.roofs.begin(), chart.roofs.end(), is_native))
    captions.push_back(fmt::format("Native {}: the silicon itself is the cap, so both ceilings are one line.",
                                   to_string(chart.key.resource)));
  const auto is_above = [&](const RooflineSpot& spot) { return chart.part_of_roof(spot) > 1.0; };
  if (const auto above = std::count_if(chart.spots.begin(), chart.spots.end(), is_above); above > 0)
    captions.push_back(fmt::format("{} point{} above the roof: ceilings are bursts of one shape, and clocks move.",
                                   above, above == 1 ? " lies" : "s lie"));
  if (chart.shown() < chart.targets.size())
    captions.push_back(fmt::format("{} more targets are in the table alone.", chart.targets.size() - chart.shown()));
  std::vector<std::size_t> members;
  for (const RooflineSpot& spot : chart.spots) members.push_back(spot.record);
  captions.push_back(
      credentials_of(chart.input.report, members, "of the median time, 95 % unless the suite says otherwise"));
  return captions;
}

Panel roofline_panel_of(const RooflineChart& chart, std::size_t place) {
  Canvas canvas(kHeight + 46 + kLegendRow * static_cast<double>(chart.shown() + 1));
  draw_roofs(canvas, chart);
  draw_roofline_spots(canvas, chart);
  const std::string title =
      fmt::format("{}, {}, {}", to_string(chart.key.resource), to_string(chart.key.dtype), chart.key.device);
  return {.title = title,
          .svg = canvas.svg(
              fmt::format("roofline-{}", place), "Roofline over " + title,
              "Rates against arithmetic intensity under two ceilings; the table below has every point."),
          .captions = roofline_captions_of(chart),
          .table = roofline_table_of(chart)};
}

// Panels: what is capped first, then where most records are.
std::vector<std::pair<Key, const RooflineSpots*>> in_order(const std::map<Key, RooflineSpots>& panels) {
  std::vector<std::pair<Key, const RooflineSpots*>> order;
  for (const auto& [key, spots] : panels) order.emplace_back(key, &spots);
  std::stable_sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    const auto rank = [](const auto& entry) {
      return std::pair(entry.first.resource == Resource::memory, -static_cast<long>(entry.second->size()));
    };
    return rank(a) < rank(b);
  });
  return order;
}

DrawnPicture draw_roofline(const PictureInput& input) {
  const std::vector<Record>& records = input.report.set.records;
  std::map<Key, RooflineSpots> panels;
  std::size_t without_caps = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (records[i].status != Status::ok) continue;
    if (!cap_of(records[i], Resource::compute)) ++without_caps;
    if (!cap_of(records[i], Resource::compute)) continue;
    for (const Resource resource : {Resource::link, Resource::network, Resource::memory})
      if (cap_of(records[i], resource))
        if (const std::optional<RooflineSpot> spot = roofline_spot_of(input.report, i, resource))
          panels[{device_name(records[i]), resource, records[i].dtype, records[i].dilation}].push_back(*spot);
  }
  DrawnPicture drawn;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  const std::vector<std::pair<Key, const RooflineSpots*>> order = in_order(panels);
  for (const auto& [key, spots] : order)
    if (drawn.panels.size() < kMostPanels)
      drawn.panels.push_back(roofline_panel_of(chart_of(input, names, key, *spots), drawn.panels.size()));
  if (order.size() > kMostPanels)
    drawn.left_out = fmt::format("{} more pairs of resource and data type", order.size() - kMostPanels);
  if (without_caps > 0)
    drawn.left_out += fmt::format("{}{} record{} without ceilings: uncapped runs do not keep them",
                                  drawn.left_out.empty() ? "" : "; ", without_caps, without_caps == 1 ? "" : "s");
  if (drawn.panels.empty() && drawn.left_out.empty()) drawn.left_out = "no record has FLOP, bytes and a cap on both";
  return drawn;
}

const Register<Picture> roofline_picture{
    {.name = "roofline",
     .place = 5,
     .title = "Rooflines, capped and uncapped",
     .how_to_read =
         "Nothing can lie above its roof. The dashed line is what this device was measured to deliver "
         "without caps, the solid "
         "ones are what each target's caps let through; a point near its roof is bound by that resource.",
     .draw = draw_roofline}};

}  // namespace
}  // namespace chokepoint
