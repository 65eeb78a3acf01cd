// Did every cap hold? What was delivered before, during and after each run, in percent of what was asked for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

struct Entry {
  std::size_t record = 0;
  const CapRecord* cap = nullptr;
};

struct Strip {
  std::string title;
  std::vector<Entry> entries;
};

constexpr double kCapsLeft = 56.0, kCapsRight = 428.0, kLane = 14.0, kStrip = 3 * kLane + 26.0, kCapsTop = 22.0;
constexpr std::size_t kMostTargets = 4;  // with panels of their own; of more, all share one
constexpr double kMostPercent = 25.0;    // beyond, marks stand at the frame and say their value

using Delivered = std::optional<double> CapRecord::*;
constexpr std::array<std::pair<const char*, Delivered>, 3> kMoments = {{{"before", &CapRecord::delivered_before},
                                                                        {"during", &CapRecord::delivered_during},
                                                                        {"after", &CapRecord::delivered_after}}};

std::optional<double> off_percent(const CapRecord& cap, Delivered moment) {
  if (!(cap.*moment) || cap.requested <= 0.0) return std::nullopt;
  return 100.0 * (*(cap.*moment) / cap.requested - 1.0);
}

// Empty `target`: all of them.
std::vector<Strip> strips_of(const ReportInput& input, const std::string& target) {
  std::vector<Strip> strips;
  for (std::size_t i = 0; i < input.set.records.size(); ++i) {
    if (!target.empty() && input.set.records[i].target != target) continue;
    for (const CapRecord& cap : input.set.records[i].caps) {
      const std::string title(to_string(cap.resource));
      auto strip =
          std::find_if(strips.begin(), strips.end(), [&](const Strip& known) { return known.title == title; });
      if (strip == strips.end()) strip = strips.insert(strips.end(), Strip{title, {}});
      strip->entries.push_back({i, &cap});
    }
  }
  return strips;
}

Scale scale_of(const std::vector<Strip>& strips) {
  std::vector<double> values = {-3.0, 3.0};
  for (const Strip& strip : strips)
    for (const Entry& entry : strip.entries)
      for (const auto& [name, moment] : kMoments)
        if (const auto off = off_percent(*entry.cap, moment))
          values.push_back(std::clamp(*off, -kMostPercent, kMostPercent));
  return scale_around(values, Spacing::linear, kCapsLeft, kCapsRight);
}

std::string delivered_text(const CapRecord& cap, Delivered moment) {
  const std::optional<double> off = off_percent(cap, moment);
  return off ? fmt::format("{} ({:+.2f} %)", rate_text(*(cap.*moment), cap.resource), *off) : "not counted";
}

void draw_strip(Canvas& canvas, const PictureInput& input, const std::vector<std::string>& names, const Scale& x,
                const Strip& strip, double top) {
  const CapRecord& first = *strip.entries.front().cap;
  const double tolerance = 100.0 * first.tolerance.value_or(0.02);
  canvas.words({8, top + 11}, fitted(fmt::format("{}: {}", strip.title, first.mechanism), 420), "small strong");
  const double lanes = top + 17;
  canvas.box({x.at(-tolerance), lanes}, x.at(tolerance) - x.at(-tolerance), 3 * kLane, "tolerance");
  for (std::size_t lane = 0; lane < kMoments.size(); ++lane) {
    const double y = lanes + kLane * (static_cast<double>(lane) + 0.5);
    canvas.words({kCapsLeft - 6, y + 4}, kMoments[lane].first, "small", Anchor::end);
    canvas.line({x.from, y}, {x.to, y}, "grid");
    for (const Entry& entry : strip.entries) {
      const std::optional<double> off = off_percent(*entry.cap, kMoments[lane].second);
      if (!off) continue;
      const bool is_held = entry.cap->status == CapStatus::held;
      canvas.point({x.at(std::clamp(*off, x.low, x.high)), y}, is_held ? 0 : 4,
                   fmt::format("{} of {} as {}, {}: asked for {}, delivered {}: {}", to_string(entry.cap->resource),
                               names[entry.record], input.report.set.records[entry.record].target,
                               kMoments[lane].first, rate_text(entry.cap->requested, entry.cap->resource),
                               delivered_text(*entry.cap, kMoments[lane].second), to_string(entry.cap->status)),
                   is_held ? "thin" : "bad", is_held ? 2.8 : 4.0);
    }
  }
}

DataTable caps_table_of(const PictureInput& input, const std::vector<std::string>& names,
                        const std::vector<Strip>& strips) {
  DataTable table{{{"case"},
                   {"target"},
                   {"resource"},
                   {"mechanism"},
                   {"asked for", true},
                   {"before", true},
                   {"during", true},
                   {"after", true},
                   {"uncapped ceiling", true},
                   {"tolerance", true},
                   {"status"},
                   {"source"}},
                  {}};
  for (const Strip& strip : strips)
    for (const Entry& entry : strip.entries) {
      const CapRecord& cap = *entry.cap;
      std::vector<DataCell> row = {{names[entry.record]},
                                   {input.report.set.records[entry.record].target},
                                   {strip.title},
                                   {cap.mechanism},
                                   {rate_text(cap.requested, cap.resource), cap.requested}};
      for (const auto& [name, moment] : kMoments)
        row.push_back({delivered_text(cap, moment), off_percent(cap, moment)});
      row.push_back({rate_text(cap.ceiling, cap.resource), cap.ceiling});
      row.push_back({cap.tolerance ? fmt::format("{:.3g} %", 100.0 * *cap.tolerance) : "not kept", cap.tolerance});
      row.push_back({std::string(to_string(cap.status))});
      row.push_back({source_of(input.report, entry.record)});
      table.rows.push_back(std::move(row));
    }
  return table;
}

void draw_caps_frame(Canvas& canvas, const Scale& x, double bottom) {
  for (const double tick : ticks_of(x, 6)) {
    canvas.line({x.at(tick), kCapsTop - 6}, {x.at(tick), bottom}, "grid");
    canvas.words({x.at(tick), bottom + 15}, std::abs(tick) < 1e-9 ? "0" : fmt::format("{:+.3g} %", tick), "tick",
                 Anchor::middle);
  }
  canvas.line({x.at(0), kCapsTop - 6}, {x.at(0), bottom}, "one");
  canvas.words({x.at(0), 11}, "as asked for", "small", Anchor::middle);
  canvas.words({220, bottom + 33}, "delivered rate against the requested one", "", Anchor::middle);
}

std::vector<std::string> caps_captions_of(const PictureInput& input, const std::vector<Strip>& strips) {
  std::map<std::string_view, std::size_t> counts;
  std::vector<std::size_t> records;
  bool has_native = false;
  for (const Strip& strip : strips)
    for (const Entry& entry : strip.entries) {
      ++counts[to_string(entry.cap->status)];
      records.push_back(entry.record);
      has_native = has_native || entry.cap->mechanism == "native";
    }
  std::sort(records.begin(), records.end());
  records.erase(std::unique(records.begin(), records.end()), records.end());
  std::string count;
  for (const auto& [status, n] : counts) count += fmt::format("{}{} {}", count.empty() ? "" : ", ", n, status);
  std::vector<std::string> captions = {fmt::format("Caps: {}. Shaded: the tolerance.", count)};
  if (has_native)
    captions.emplace_back(
        "Native silicon is its own cap: nothing counts it during a run, and it may deliver more than its ceiling, "
        "which was a burst of one shape.");
  captions.push_back(credentials_of(input.report, records, "none, each mark is one probe or one count"));
  return captions;
}

Panel caps_panel_of(const PictureInput& input, const std::vector<std::string>& names, const std::string& target,
                    const Scale& x, std::size_t place) {
  const std::vector<Strip> strips = strips_of(input.report, target);
  const double bottom = kCapsTop + kStrip * static_cast<double>(strips.size());
  Canvas canvas(bottom + 40);
  draw_caps_frame(canvas, x, bottom);
  for (std::size_t i = 0; i < strips.size(); ++i)
    draw_strip(canvas, input, names, x, strips[i], kCapsTop + kStrip * static_cast<double>(i));
  const std::string title = target.empty() ? "all targets" : "as " + target;
  return {.title = title,
          .svg = canvas.svg(fmt::format("caps-{}", place), "Delivered rates of every cap, " + title,
                            "Before, during and after each run; the table below has every cap."),
          .captions = caps_captions_of(input, strips),
          .table = caps_table_of(input, names, strips)};
}

DrawnPicture draw_caps(const PictureInput& input) {
  std::vector<std::string> targets;
  for (const Record& record : input.report.set.records)
    if (!record.caps.empty() && std::find(targets.begin(), targets.end(), record.target) == targets.end())
      targets.push_back(record.target);
  if (targets.empty()) return {.panels = {}, .left_out = "no record has a cap"};
  if (targets.size() > kMostTargets) targets = {""};
  const std::vector<std::string> names = case_names(input.report, input.groups);
  const Scale x = scale_of(strips_of(input.report, ""));
  DrawnPicture drawn;
  for (const std::string& target : targets)
    drawn.panels.push_back(caps_panel_of(input, names, target, x, drawn.panels.size()));
  return drawn;
}

const Register<Picture> caps_picture{
    {.name = "caps",
     .place = 6,
     .title = "Did the caps hold?",
     .how_to_read = "Each mark is a rate that was delivered, in percent of the one asked for: right of 0 is faster "
                    "than the cap, left is slower. "
                    "Crosses are caps that did not hold: those records are invalid and appear in no other picture.",
     .draw = draw_caps}};

}  // namespace
}  // namespace chokepoint
