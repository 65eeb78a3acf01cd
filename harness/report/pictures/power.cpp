// How much power did the board draw while it was sampled? Smallest, median and largest reading of each record.
#include <fmt/format.h>

#include <algorithm>

#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

struct Reading {
  std::size_t record = 0;
  double low = 0.0, median = 0.0, high = 0.0;
  std::int64_t samples = 0;
};

std::optional<Reading> reading_of(const ReportInput& input, std::size_t index) {
  const Json& provenance = input.set.records[index].provenance;
  if (!provenance.is_object() || !provenance.contains("clocks") || !provenance["clocks"].is_object())
    return std::nullopt;
  const Json& clocks = provenance["clocks"];
  if (!clocks.contains("power_w") || !clocks["power_w"].is_object()) return std::nullopt;
  const Json& power = clocks["power_w"];
  for (const char* key : {"min", "median", "max"})
    if (!power.contains(key) || !power[key].is_number()) return std::nullopt;
  const bool has_count = clocks.contains("samples") && clocks["samples"].is_number_integer();
  return Reading{index, power["min"], power["median"], power["max"],
                 has_count ? clocks["samples"].get<std::int64_t>() : 0};
}

DrawnPicture draw_power(const PictureInput& input) {
  std::vector<Reading> readings;
  for (std::size_t i = 0; i < input.report.set.records.size(); ++i)
    if (input.report.set.records[i].status == Status::ok)
      if (const std::optional<Reading> reading = reading_of(input.report, i)) readings.push_back(*reading);
  if (readings.empty())
    return {.panels = {}, .left_out = "no record has power readings"};
  const std::vector<std::string> names = case_names(input.report, input.groups);
  Panel panel{.title = "",
              .svg = "",
              .captions = {},
              .table = {{{"case"},
                         {"target"},
                         {"smallest, W", true},
                         {"median, W", true},
                         {"largest, W", true},
                         {"readings", true},
                         {"source"}},
                        {}}};
  for (const Reading& r : readings)
    panel.table.rows.push_back({{names[r.record]},
                                {input.report.set.records[r.record].target},
                                {fmt::format("{:.0f}", r.low), r.low},
                                {fmt::format("{:.0f}", r.median), r.median},
                                {fmt::format("{:.0f}", r.high), r.high},
                                {fmt::format("{}", r.samples), static_cast<double>(r.samples)},
                                {source_of(input.report, r.record)}});
  const std::size_t all = readings.size();
  std::stable_sort(readings.begin(), readings.end(),
                   [](const Reading& a, const Reading& b) { return a.median > b.median; });
  if (readings.size() > kMostRows) readings.resize(kMostRows);
  constexpr double row = 29.0, top = 12.0;
  const double bottom = top + row * static_cast<double>(readings.size()) + 8;
  std::vector<double> values = {0.0};
  std::vector<std::size_t> records;
  for (const Reading& r : readings) values.push_back(r.high), records.push_back(r.record);
  Canvas canvas(bottom + 42);
  Scale x = scale_around(values, Spacing::linear, 14, 426);
  x.low = 0.0;
  draw_x_ticks(canvas, x, 7, top - 4, bottom);
  canvas.words({220, bottom + 33}, "board power, W", "", Anchor::middle);
  for (std::size_t i = 0; i < readings.size(); ++i) {
    const Reading& r = readings[i];
    const double y = top + row * (static_cast<double>(i) + 0.75);
    const std::string& target = input.report.set.records[r.record].target;
    canvas.words({14, y - 8}, fitted(names[r.record] + " as " + target, 360), "small");
    canvas.words({426, y - 8}, fmt::format("{:.0f} W", r.median), "small", Anchor::end);
    canvas.line({x.at(r.low), y}, {x.at(r.high), y}, "range s0");
    canvas.point({x.at(r.median), y}, 0,
                 fmt::format("{} as {}: {:.0f} W, between {:.0f} and {:.0f} W in {} readings ({})", names[r.record],
                             target, r.median, r.low, r.high, r.samples, source_of(input.report, r.record)),
                 "", 3.4);
  }
  panel.svg = canvas.svg("power-0", "Board power while sampling",
                         "One row per record; the table below has the same figures.");
  if (all > kMostRows)
    panel.captions.push_back(fmt::format("The {} largest medians of {}; all are in the table.", kMostRows, all));
  panel.captions.emplace_back(
      "The driver's own readings, a mean over up to a second: not the metered energy, and short loads look smaller "
      "than they are.");
  panel.captions.push_back(
      credentials_of(input.report, records, "none, the bar is the smallest to the largest reading"));
  return {.panels = {std::move(panel)}, .left_out = ""};
}

const Register<Picture> power_picture{
    {.name = "power",
     .place = 7,
     .title = "Board power while sampling",
     .how_to_read = "The mark is the median reading, the bar reaches from the smallest to the largest.",
     .draw = draw_power}};

}  // namespace
}  // namespace chokepoint
