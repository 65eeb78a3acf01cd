// How do the targets compare, case by case? One line per comparison with its interval, beside 1.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/report/html/picture.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

constexpr double kRow = 33.0, kTop = 24.0, kLeft = 14.0, kRight = 292.0,
                 kEdge = 430.0;  // values stand right of the lanes

struct ForestLine {
  std::size_t comparison = 0;
  std::string name;  // of the case, with the target where several stand against one
};

struct Group {
  std::string against, operation;
  std::vector<std::string> others;
  std::vector<ForestLine> lines;
};

// One scale for all groups that compare with the same target: equal lengths are equal losses.
Scale ratio_scale(const ReportInput& input, const std::vector<Group>& groups, const std::string& against) {
  std::vector<double> values = {1.0};
  for (const Group& group : groups)
    for (const ForestLine& line : group.lines) {
      if (group.against != against) continue;
      const Bounded& ratio = input.comparisons[line.comparison].throughput_ratio;
      values.push_back(ratio.interval ? ratio.interval->low : ratio.value);
      values.push_back(ratio.interval ? ratio.interval->high : ratio.value);
    }
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return scale_around(values, *high > 3.0 * *low ? Spacing::logarithmic : Spacing::linear, kLeft, kRight);
}

void draw_line(Canvas& canvas, const PictureInput& input, const Scale& x, const ForestLine& line, double y) {
  const Comparison& pair = input.report.comparisons[line.comparison];
  const Bounded& ratio = pair.throughput_ratio;
  const Record& b = input.report.set.records[pair.b];
  const std::string value = ratio_text(ratio);
  canvas.words({kLeft, y - 9}, fitted(line.name, kEdge - kLeft), "small");
  canvas.words({kEdge, y + 4}, value, "small", Anchor::end);
  const bool is_clear = ratio.interval && !ratio.interval->contains(1.0);
  if (ratio.interval) canvas.line({x.at(ratio.interval->low), y}, {x.at(ratio.interval->high), y}, "range s0");
  canvas.point(
      {x.at(ratio.value), y}, 0,
      fmt::format("{}: {} does {} times the work of {} ({}; {})", line.name, b.target, value,
                  input.report.set.records[pair.a].target, to_string(pair.basis), source_of(input.report, pair.b)),
      is_clear ? "" : "open", 3.6);
}

DataTable forest_table_of(const PictureInput& input, const std::vector<ForestLine>& lines) {
  DataTable table{{{"case"},
                   {"target"},
                   {"against"},
                   {"throughput ratio", true},
                   {"break-even price of the target"},
                   {"basis"},
                   {"sampled"},
                   {"source"}},
                  {}};
  for (const ForestLine& line : lines) {
    const Comparison& pair = input.report.comparisons[line.comparison];
    const std::string pairing = pair.pairing == Pairing::interleaved
                                    ? fmt::format("in turn, {} blocks, ESS {:.0f}", pair.blocks, pair.ess)
                                    : pair.remark;
    table.rows.push_back({{line.name},
                          {input.report.set.records[pair.b].target},
                          {input.report.set.records[pair.a].target},
                          {ratio_text(pair.throughput_ratio), pair.throughput_ratio.value},
                          {pair.break_even_b_usd_per_h ? usd_per_h_text(*pair.break_even_b_usd_per_h) : ""},
                          {std::string(to_string(pair.basis))},
                          {pairing},
                          {source_of(input.report, pair.b)}});
  }
  return table;
}

void draw_forest_frame(Canvas& canvas, const Scale& x, double bottom, const std::string& against) {
  draw_x_ticks(canvas, x, 5, kTop - 6, bottom);
  canvas.line({x.at(1.0), kTop - 6}, {x.at(1.0), bottom}, "one");
  canvas.words({x.at(1.0), 12}, "1 = as much work", "small", x.at(1.0) > 200 ? Anchor::end : Anchor::middle);
  canvas.words({kLeft, bottom + 33}, fmt::format("times the throughput of {}{}", against,
                                                 x.spacing == Spacing::logarithmic ? " (logarithmic)" : ""));
}

Panel forest_panel_of(const PictureInput& input, Group group, const Scale& x, std::size_t place) {
  std::vector<ForestLine>& lines = group.lines;
  Panel panel{.title = fmt::format("{}{}{} against {}", group.operation, group.operation.empty() ? "" : ": ",
                                   listed(group.others), group.against),
              .svg = "",
              .captions = {},
              .table = forest_table_of(input, lines)};
  const std::size_t all = lines.size();
  const auto distance = [&](const ForestLine& line) {
    return std::abs(std::log(input.report.comparisons[line.comparison].throughput_ratio.value));
  };
  if (all > kMostRows) {
    std::stable_sort(lines.begin(), lines.end(),
                     [&](const ForestLine& a, const ForestLine& b) { return distance(a) > distance(b); });
    lines.resize(kMostRows);
    panel.captions.push_back(
        fmt::format("The {} ratios farthest from 1 of {}; all are in the table.", kMostRows, all));
  }
  const double bottom = kTop + kRow * static_cast<double>(lines.size()) + 6;
  Canvas canvas(bottom + 42);
  draw_forest_frame(canvas, x, bottom, group.against);
  std::vector<std::size_t> records;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    draw_line(canvas, input, x, lines[i], kTop + kRow * (static_cast<double>(i) + 0.75));
    records.push_back(input.report.comparisons[lines[i].comparison].b);
  }
  panel.captions.push_back(credentials_of(
      input.report, records,
      fmt::format("{:.0f} % of each ratio", 100.0 * input.report.comparisons[lines.front().comparison].confidence)));
  panel.svg = canvas.svg(fmt::format("forest-{}", place), "Throughput ratios, " + panel.title,
                         "One row per case; the table below has the same rows.");
  return panel;
}

// How many lines stand against each target.
std::map<std::string, std::size_t> lines_against(const PictureInput& input) {
  std::map<std::string, std::size_t> counts;
  for (const ReportGroup& operation : input.groups)
    for (const ReportCase& one : operation.cases)
      for (const std::size_t i : one.comparisons)
        ++counts[input.report.set.records[input.report.comparisons[i].a].target];
  return counts;
}

// A panel per operation, or one for all where that stays short.
std::vector<Group> groups_of_lines(const PictureInput& input) {
  constexpr std::size_t most_in_one = 16;
  const std::vector<Record>& records = input.report.set.records;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  std::map<std::string, std::size_t> counts = lines_against(input);
  std::vector<Group> groups;
  for (const ReportGroup& operation : input.groups)
    for (const ReportCase& one : operation.cases)
      for (const std::size_t i : one.comparisons) {
        const Comparison& pair = input.report.comparisons[i];
        const std::string &a = records[pair.a].target, &b = records[pair.b].target, &name = names[pair.b];
        const std::string title = counts[a] <= most_in_one ? "" : operation.operation;
        auto group = std::find_if(groups.begin(), groups.end(),
                                  [&](const Group& known) { return known.against == a && known.operation == title; });
        if (group == groups.end()) group = groups.insert(groups.end(), Group{a, title, {}, {}});
        if (std::find(group->others.begin(), group->others.end(), b) == group->others.end())
          group->others.push_back(b);
        const bool is_short = !title.empty() && name.size() > title.size();
        group->lines.push_back({i, is_short ? name.substr(title.size() + 1) : name});
      }
  return groups;
}

DrawnPicture draw_forest(const PictureInput& input) {
  std::vector<Group> groups = groups_of_lines(input);
  DrawnPicture drawn;
  for (Group& group : groups)
    if (group.others.size() > 1)
      for (ForestLine& line : group.lines)
        line.name = input.report.set.records[input.report.comparisons[line.comparison].b].target + ": " + line.name;
  for (const Group& group : groups)
    if (drawn.panels.size() < kMostPanels)
      drawn.panels.push_back(
          forest_panel_of(input, group, ratio_scale(input.report, groups, group.against), drawn.panels.size()));
  if (groups.empty()) drawn.left_out = "no case ran on two targets";
  if (groups.size() > kMostPanels)
    drawn.left_out =
        fmt::format("{} more groups of cases; `--format json` has all pairs", groups.size() - kMostPanels);
  return drawn;
}

const Register<Picture> forest_picture{{.name = "forest",
                                        .place = 1,
                                        .title = "Throughput of every case against the other target",
                                        .how_to_read =
                                            "A mark left of 1 does less work per hour. The bar is the interval "
                                            "of the ratio; a hollow mark shows no difference: its "
                                            "interval reaches 1, or it has none. The ratio is also the price "
                                            "ratio at which both cost the same per unit of work.",
                                        .draw = draw_forest}};

}  // namespace
}  // namespace chokepoint
