// What did the report's cases take from commit to commit? Every run of a case on its machine, its levels, and the
// commits at which they changed.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostHistoryDots = 200;  // of a panel: the latest
constexpr std::size_t kCommitLetters = 7;
constexpr double kHistoryLeft = 52.0, kHistoryRight = 428.0, kHistoryTop = 30.0, kHistoryBottom = 220.0;

std::string short_commit(const std::string& commit) { return commit.substr(0, kCommitLetters); }

std::string step_text(double ratio) { return fmt::format("{:+.1f} %", 100.0 * (ratio - 1.0)); }

// The line without its oldest dots.
HistoryLine latest_dots(const HistoryLine& line) {
  if (line.dots.size() <= kMostHistoryDots) return line;
  HistoryLine kept = line;
  const std::size_t gone = line.dots.size() - kMostHistoryDots;
  kept.dots.erase(kept.dots.begin(), kept.dots.begin() + static_cast<std::ptrdiff_t>(gone));
  kept.levels.clear();
  for (HistoryLevel level : line.levels) {
    if (level.end <= gone) continue;
    const double whole = static_cast<double>(std::max<std::size_t>(1, level.end - level.begin - 1));
    if (level.begin < gone)
      level.first_s *= std::pow(level.last_s / level.first_s, static_cast<double>(gone - level.begin) / whole);
    level.begin = std::max(level.begin, gone) - gone;
    level.end -= gone;
    kept.levels.push_back(level);
  }
  std::erase_if(kept.steps, [&](const HistoryStep& step) { return step.at < gone; });
  for (HistoryStep& step : kept.steps) step.at -= gone;
  return kept;
}

struct TimeUnit {
  double seconds = 1.0;
  const char* name = "s";
};

TimeUnit time_unit_for(double seconds) {
  static constexpr std::array<TimeUnit, 4> units = {{{1.0, "s"}, {1e-3, "ms"}, {1e-6, "us"}, {1e-9, "ns"}}};
  for (const TimeUnit& unit : units)
    if (seconds >= unit.seconds) return unit;
  return units.back();
}

Scale history_times(const HistoryLine& line, const TimeUnit& unit) {
  std::vector<double> values;
  for (const HistoryDot& dot : line.dots) {
    values.push_back(dot.seconds / unit.seconds);
    if (dot.interval)
      values.push_back(dot.interval->low / unit.seconds), values.push_back(dot.interval->high / unit.seconds);
  }
  return scale_around(values, Spacing::linear, kHistoryBottom, kHistoryTop);
}

void draw_history_frame(Canvas& canvas, const HistoryLine& line, const Scale& x, const Scale& y, const TimeUnit& unit) {
  draw_y_ticks(canvas, x, y, 6);
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  canvas.line({x.from, y.from}, {x.from, y.to}, "axis");
  canvas.words({2, y.to - 14}, fmt::format("time on the target, {}", unit.name));
  canvas.words({x.from, y.from + 15}, short_commit(line.dots.front().commit), "tick");
  canvas.words({x.to, y.from + 15}, short_commit(line.dots.back().commit), "tick", Anchor::end);
  canvas.words({(x.from + x.to) / 2, y.from + 32}, fmt::format("{} runs, oldest first", line.dots.size()), "",
               Anchor::middle);
}

void draw_levels(Canvas& canvas, const HistoryLine& line, const Scale& x, const Scale& y, const TimeUnit& unit) {
  for (const HistoryLevel& level : line.levels)
    canvas.line({x.at(static_cast<double>(level.begin)), y.at(level.first_s / unit.seconds)},
                {x.at(static_cast<double>(level.end - 1)), y.at(level.last_s / unit.seconds)}, "curve s2");
  for (std::size_t i = 0; i < line.steps.size(); ++i) {
    const HistoryStep& step = line.steps[i];
    const double at = x.at(static_cast<double>(step.at) - 0.5);
    canvas.line({at, y.from}, {at, y.to}, step.time_ratio > 1.0 ? "one bad" : "one");
    const bool is_right = at > (x.from + x.to) / 2;
    canvas.words({is_right ? at - 4 : at + 4, y.to + 11 + 13 * static_cast<double>(i % 3)},
                 fmt::format("{} at {}", step_text(step.time_ratio), short_commit(line.dots[step.at].commit)), "small",
                 is_right ? Anchor::end : Anchor::start);
  }
}

std::string dot_says(const HistoryLine& line, const HistoryDot& dot) {
  const std::string interval =
      dot.interval ? fmt::format(" [{}, {}]", duration_text(dot.interval->low), duration_text(dot.interval->high))
                   : " [no interval]";
  return fmt::format("{}: {}{}, {}{}{}", short_commit(dot.commit), duration_text(dot.seconds), interval, dot.finished,
                     dot.is_spike ? ", a spike" : "", line.machine.empty() ? "" : ", " + line.machine);
}

void add_dots(Canvas& canvas, const HistoryLine& line, const Scale& x, const Scale& y, const TimeUnit& unit,
              DataTable& table) {
  for (std::size_t i = 0; i < line.dots.size(); ++i) {
    const HistoryDot& dot = line.dots[i];
    const double at = x.at(static_cast<double>(i));
    if (dot.interval)
      canvas.line({at, y.at(dot.interval->low / unit.seconds)}, {at, y.at(dot.interval->high / unit.seconds)},
                  "range s0");
    canvas.point({at, y.at(dot.seconds / unit.seconds)}, 0, dot_says(line, dot), dot.is_spike ? "open" : "", 3.0);
    const auto step =
        std::find_if(line.steps.begin(), line.steps.end(), [&](const HistoryStep& s) { return s.at == i; });
    std::string what = dot.is_spike ? "spike" : "";
    if (step != line.steps.end())
      what = fmt::format("{} [{}, {}]{}", step_text(step->time_ratio), step_text(step->interval.low),
                         step_text(step->interval.high), step->doubt.empty() ? "" : "; " + step->doubt);
    table.rows.push_back({{short_commit(dot.commit)},
                          {dot.finished},
                          {duration_text(dot.seconds, 4), dot.seconds},
                          {dot.interval ? fmt::format("{} to {}", duration_text(dot.interval->low, 4),
                                                      duration_text(dot.interval->high, 4))
                                        : "none"},
                          {what},
                          {dot.run_id}});
  }
}

std::vector<std::string> history_captions(const PictureInput& input, const HistoryLine& all, const HistoryLine& line) {
  std::vector<std::string> captions;
  if (all.levels.empty())
    captions.emplace_back("Too few runs to look for changes.");
  else if (all.steps.empty())
    captions.emplace_back(all.drift ? fmt::format("No jump; a drift of {:+.3f} % per run.", 100.0 * *all.drift)
                                    : std::string("No change of level."));
  for (const HistoryStep& step : line.steps)
    if (!step.doubt.empty())
      captions.push_back(fmt::format("{}: {}.", short_commit(line.dots[step.at].commit), step.doubt));
  if (line.dots.size() < all.dots.size())
    captions.push_back(fmt::format("The latest {} of {} runs.", line.dots.size(), all.dots.size()));
  if (all.without_time > 0) captions.push_back(fmt::format("{} more runs have no time.", all.without_time));
  captions.push_back(
      fmt::format("Basis: as each run recorded it. Runs: n = {} on {}. Interval: 95 % of each run's own samples, runs "
                  "differ by more. "
                  "Source: {}.",
                  all.dots.size(), all.machine, input.report.beside.history_file));
  return captions;
}

// As the page names it elsewhere; as the file does, where the report has no such record.
std::string history_title(const PictureInput& input, const HistoryLine& line) {
  const std::vector<Record>& records = input.report.set.records;
  const auto record =
      std::find_if(records.begin(), records.end(), [&](const Record& one) { return one.case_id == line.case_id; });
  if (record == records.end()) return line.case_id.substr(0, line.case_id.rfind('#'));
  const std::vector<std::string> names = case_names(input.report, input.groups);
  return fmt::format("{} as {}", names[static_cast<std::size_t>(record - records.begin())], record->target);
}

Panel history_panel(const PictureInput& input, const HistoryLine& all, std::size_t place) {
  const HistoryLine line = latest_dots(all);
  Canvas canvas(kHistoryBottom + 44);
  const TimeUnit unit = time_unit_for(line.dots.front().seconds);
  const Scale y = history_times(line, unit);
  const Scale x{
      .low = -0.5, .high = static_cast<double>(line.dots.size()) - 0.5, .from = kHistoryLeft, .to = kHistoryRight};
  Panel panel{.title = history_title(input, all),
              .svg = "",
              .captions = history_captions(input, all, line),
              .table = {{{"commit"}, {"finished"}, {"time", true}, {"interval"}, {"change"}, {"run"}}, {}}};
  draw_history_frame(canvas, line, x, y, unit);
  draw_levels(canvas, line, x, y, unit);
  add_dots(canvas, line, x, y, unit, panel.table);
  panel.svg = canvas.svg(fmt::format("history-{}", place), "Time per commit of " + panel.title,
                         "One mark per run; the table below has the same runs.");
  return panel;
}

double last_step_size(const HistoryLine& line) {
  return line.steps.empty() ? 0.0 : std::abs(std::log(line.steps.back().time_ratio));
}

DrawnPicture draw_history(const PictureInput& input) {
  const ReportBeside& beside = input.report.beside;
  if (beside.history_file.empty()) return {.panels = {}, .left_out = "no history was named (--history FILE)"};
  std::vector<const HistoryLine*> lines;
  for (const HistoryLine& line : beside.history)
    if (!line.dots.empty()) lines.push_back(&line);
  DrawnPicture drawn;
  if (lines.empty())
    drawn.left_out = fmt::format("none of the {} cases in {} with a time is in these records", beside.history_cases,
                                 beside.history_file);
  std::stable_sort(lines.begin(), lines.end(),
                   [](const HistoryLine* a, const HistoryLine* b) { return last_step_size(*a) > last_step_size(*b); });
  for (std::size_t i = 0; i < std::min(lines.size(), kMostPanels); ++i)
    drawn.panels.push_back(history_panel(input, *lines[i], i));
  if (lines.size() > kMostPanels)
    drawn.left_out = fmt::format("{} more cases, whose level changed less; chokepoint history show CASE has them",
                                 lines.size() - kMostPanels);
  return drawn;
}

const Register<Picture> history_picture{
    {.name = "history",
     .place = 9,
     .title = "What the cases took, commit by commit",
     .how_to_read = "One mark per run, lower is faster. The line is the level, a dashed line the commit at which it "
                    "changed; a hollow mark is a spike, which is no change.",
     .draw = draw_history}};

}  // namespace
}  // namespace chokepoint
