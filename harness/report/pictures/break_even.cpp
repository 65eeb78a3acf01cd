// At which price is the slower target worth it? Price ratio against throughput ratio: on the diagonal both cost the
// same per unit of work. Today's prices are marked, each with who says so.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "harness/report/html/picture.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

struct PriceMark {
  double ratio = 0.0;
  std::optional<Interval> range;
  std::string text;
};

std::string price_text(const PriceBook& book, const PriceItem& item) {
  return fmt::format("${:.2f} ({} {}, {})", item.usd_per_gpu_h, book.date, book.seller, book.source_kind);
}

std::string price_text(const PriceQuote& price) {
  return fmt::format("${:.2f} ({} {}, {})", price.item.usd_per_gpu_h, price.date, price.seller, price.source_kind);
}

PriceMark mark_of(const PriceItem& a, const PriceItem& b, const std::string& a_text, const std::string& b_text) {
  PriceMark mark{b.usd_per_gpu_h / a.usd_per_gpu_h, std::nullopt, fmt::format("{} / {}", b_text, a_text)};
  if (a.low || a.high || b.low || b.high)
    mark.range = Interval{b.low.value_or(b.usd_per_gpu_h) / a.high.value_or(a.usd_per_gpu_h),
                          b.high.value_or(b.usd_per_gpu_h) / a.low.value_or(a.usd_per_gpu_h)};
  return mark;
}

// The prices the report uses, then those of every book that has both. Where no book has both, a price of one over one
// of another: a mark, never a verdict.
std::vector<PriceMark> marks_of(const Prices& prices, const std::string& a, const std::string& b) {
  std::vector<PriceMark> marks;
  const std::optional<PriceQuote> price_a = prices.of(a), price_b = prices.of(b);
  if (price_a && price_b)
    marks.push_back(mark_of(price_a->item, price_b->item, price_text(*price_a), price_text(*price_b)));
  for (const PriceBook& book : prices.books)
    for (const PriceItem& item_b : book.items)
      for (const PriceItem& item_a : book.items)
        if (item_a.profile == a && item_b.profile == b && item_a.term == item_b.term)
          marks.push_back(mark_of(item_a, item_b, price_text(book, item_a), price_text(book, item_b)));
  if (!marks.empty() || !price_a) return marks;
  for (const PriceBook& book : prices.books)
    for (const PriceItem& item_b : book.items)
      if (item_b.profile == b) {
        PriceMark mark = mark_of(price_a->item, item_b, price_text(*price_a), price_text(book, item_b));
        mark.text += ", of different books";
        marks.push_back(mark);
      }
  return marks;
}

struct BreakEvenSpot {
  std::size_t comparison = 0, series = 0;
};

struct Content {
  std::vector<BreakEvenSpot> spots;
  std::vector<std::string> targets;  // by series
  std::vector<PriceMark> marks;
  std::vector<std::size_t> mark_series;
};

Scale axis_of(const ReportInput& input, const Content& content, double from, double to) {
  std::vector<double> values = {1.0};
  for (const BreakEvenSpot& spot : content.spots) {
    const Bounded& ratio = input.comparisons[spot.comparison].throughput_ratio;
    values.push_back(ratio.value);
    if (ratio.interval) values.push_back(ratio.interval->low), values.push_back(ratio.interval->high);
  }
  for (const PriceMark& mark : content.marks) values.push_back(mark.ratio);
  return scale_around(values, Spacing::linear, from, to);
}

double clamped(const Scale& scale, double value) { return scale.at(std::clamp(value, scale.low, scale.high)); }

void draw_marks(Canvas& canvas, const Content& content, const Scale& x, const Scale& y) {
  for (std::size_t i = 0; i < content.marks.size(); ++i) {
    const PriceMark& mark = content.marks[i];
    const std::string colour = series_class(content.mark_series[i]);
    if (mark.range) {
      const double at = x.from + 7.0 * static_cast<double>(i + 1);
      canvas.line({at, clamped(y, mark.range->low)}, {at, clamped(y, mark.range->high)}, "range " + colour);
    }
    canvas.line({x.from, y.at(mark.ratio)}, {x.to, y.at(mark.ratio)}, "price " + colour);
    canvas.words({x.to - 3, y.at(mark.ratio) - 4}, fmt::format("price ratio {:.3g}", mark.ratio), "small",
                 Anchor::end);
  }
}

// Dollars on the right: the price of the other target at today's price of this one.
void draw_dollars(Canvas& canvas, const PriceQuote& price, const Scale& x, const Scale& y) {
  for (const double tick : ticks_of(y, 7))
    canvas.words({x.to + 4, y.at(tick) + 4}, fmt::format("${:.2f}", tick * price.item.usd_per_gpu_h), "tick");
}

void add_spots(Canvas& canvas, const PictureInput& input, const Content& content,
               const std::vector<std::string>& names, const Scale& x, const Scale& y, DataTable& table) {
  for (const BreakEvenSpot& spot : content.spots) {
    const Comparison& pair = input.report.comparisons[spot.comparison];
    const Bounded& ratio = pair.throughput_ratio;
    const std::string &target = input.report.set.records[pair.b].target, &name = names[pair.b];
    const std::string price = pair.break_even_b_usd_per_h ? usd_per_h_text(*pair.break_even_b_usd_per_h) : "";
    if (ratio.interval)
      canvas.line({x.at(ratio.interval->low), y.at(ratio.interval->low)},
                  {x.at(ratio.interval->high), y.at(ratio.interval->high)}, "range " + series_class(spot.series));
    canvas.point(
        {x.at(ratio.value), y.at(ratio.value)}, spot.series,
        fmt::format("{} as {}: breaks even at a price ratio of {}{} ({}; {})", name, target, ratio_text(ratio),
                    price.empty() ? "" : ", " + price, to_string(pair.basis), source_of(input.report, pair.b)),
        "", 3.6);
    table.rows.push_back({{name},
                          {target},
                          {ratio_text(ratio), ratio.value},
                          {price},
                          {pair.cost_ratio ? ratio_text(*pair.cost_ratio) : "no price"},
                          {std::string(to_string(pair.basis))},
                          {source_of(input.report, pair.b)}});
  }
}

// The case that needs the lowest price, by name.
void name_the_worst(Canvas& canvas, const PictureInput& input, const Content& content,
                    const std::vector<std::string>& names, const Scale& x, const Scale& y) {
  const auto ratio = [&](const BreakEvenSpot& spot) {
    return input.report.comparisons[spot.comparison].throughput_ratio.value;
  };
  const auto worst =
      std::min_element(content.spots.begin(), content.spots.end(),
                       [&](const BreakEvenSpot& a, const BreakEvenSpot& b) { return ratio(a) < ratio(b); });
  const Dot at{x.at(ratio(*worst)) + 9, y.at(ratio(*worst)) + 11};
  canvas.words(at, fitted(names[input.report.comparisons[worst->comparison].b], x.to - at.x), "small");
}

std::vector<std::string> break_even_captions_of(const PictureInput& input, const std::string& a,
                                                const Content& content) {
  std::vector<std::string> captions;
  const std::optional<PriceQuote> price = input.report.prices.of(a);
  captions.push_back(price ? fmt::format("Dollars on the right: at {} for the {}.", price->text(), a)
                           : fmt::format("No dollars: {} has no price, {}.", a, input.report.prices.absence_of(a)));
  for (const std::string& absence : price_absences(input.report, content.targets)) captions.push_back(absence + ".");
  for (const PriceMark& mark : content.marks)
    captions.push_back(fmt::format("Price line {:.3g}: {}.", mark.ratio, mark.text));
  if (std::any_of(content.marks.begin(), content.marks.end(),
                  [](const PriceMark& mark) { return mark.range.has_value(); }))
    captions.emplace_back(
        "The bar at the left is the price ratio from the lowest over the highest price to the highest over the "
        "lowest, cut at the frame.");
  std::vector<std::size_t> records;
  for (const BreakEvenSpot& spot : content.spots)
    records.push_back(input.report.comparisons[spot.comparison].b);
  captions.push_back(credentials_of(
      input.report, records, "of each throughput ratio, drawn along the diagonal; it says nothing about prices"));
  return captions;
}

Panel break_even_panel_of(const PictureInput& input, const std::string& a, const Content& content,
                          const std::vector<std::string>& names, std::size_t place) {
  constexpr double height = 300;
  const double rows = static_cast<double>(content.targets.size() + content.marks.size());
  Canvas canvas(height + 46 + kLegendRow * rows);
  const Scale x = axis_of(input.report, content, 44, 392), y = axis_of(input.report, content, height, 26);
  draw_axes(canvas, x, y, "throughput ratio over " + a, "price ratio over " + a);
  canvas.area({{x.from, y.from}, {x.to, y.from}, {x.to, y.to}}, "cheaper");
  canvas.line({x.from, y.from}, {x.to, y.to}, "one");
  if (const std::optional<PriceQuote> price = input.report.prices.of(a)) draw_dollars(canvas, *price, x, y);
  draw_marks(canvas, content, x, y);
  Panel panel{.title = "against " + a,
              .svg = "",
              .captions = break_even_captions_of(input, a, content),
              .table = {{{"case"},
                         {"target"},
                         {"break-even price ratio", true},
                         {"break-even price"},
                         {"cost ratio at today's prices"},
                         {"basis"},
                         {"source"}},
                        {}}};
  add_spots(canvas, input, content, names, x, y, panel.table);
  canvas.words({x.to - 8, y.from - 0.2 * (y.from - y.to)}, "worth it: cheaper per unit of work", "small",
               Anchor::end);
  canvas.words({x.from + 60, y.to + 16}, "not worth it: dearer", "small");
  name_the_worst(canvas, input, content, names, x, y);
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < content.targets.size(); ++i)
    legend.push_back({i, content.targets[i] + ": cases, at their break-even"});
  for (std::size_t i = 0; i < content.marks.size(); ++i)
    legend.push_back({content.mark_series[i], content.marks[i].text, true, "price"});
  draw_legend(canvas, legend, {10, height + 52});
  panel.svg = canvas.svg(fmt::format("break_even-{}", place), "Break-even prices " + panel.title,
                         "Price ratio against throughput ratio; the table below has every case.");
  return panel;
}

DrawnPicture draw_break_even(const PictureInput& input) {
  const std::vector<Record>& records = input.report.set.records;
  std::vector<std::string> order;
  std::map<std::string, Content> panels;
  std::size_t left_out = 0;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.comparisons) {
        const std::string &a = records[input.report.comparisons[i].a].target,
                          &b = records[input.report.comparisons[i].b].target;
        if (!panels.contains(a)) order.push_back(a);
        Content& content = panels[a];
        const auto found = std::find(content.targets.begin(), content.targets.end(), b);
        const auto series = static_cast<std::size_t>(found - content.targets.begin());
        if (found == content.targets.end()) {
          if (series == kMostSeries) {
            ++left_out;
            continue;
          }
          content.targets.push_back(b);
          for (PriceMark& mark : marks_of(input.report.prices, a, b))
            content.marks.push_back(mark), content.mark_series.push_back(series);
        }
        content.spots.push_back({i, series});
      }
  DrawnPicture drawn;
  const std::vector<std::string> names = case_names(input.report, input.groups);
  for (const std::string& a : order)
    if (drawn.panels.size() < kMostPanels)
      drawn.panels.push_back(break_even_panel_of(input, a, panels[a], names, drawn.panels.size()));
  if (order.size() > kMostPanels)
    drawn.left_out = fmt::format("{} more targets to compare with", order.size() - kMostPanels);
  if (left_out > 0)
    drawn.left_out += fmt::format("{}{} comparisons with targets beyond the first {}",
                                  drawn.left_out.empty() ? "" : "; ", left_out, kMostSeries);
  if (drawn.panels.empty()) drawn.left_out = "no case ran on two targets";
  return drawn;
}

const Register<Picture> break_even_picture{
    {.name = "break_even",
     .place = 2,
     .title = "Break-even price",
     .how_to_read = "Each case stands where its price ratio equals its throughput ratio: "
                    "at a lower price ratio than its mark the target is the "
                    "cheaper way to do this work, at a higher one the dearer. Horizontal "
                    "lines are price ratios somebody published.",
     .draw = draw_break_even}};

}  // namespace
}  // namespace chokepoint
