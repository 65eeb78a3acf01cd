#include "harness/report/html/canvas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/report/html/markup.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kColours = 8;  // s0 to s7 of the style sheet

// A place without a number is no place: what belongs there is left out.
bool is_place(Dot dot) { return std::isfinite(dot.x) && std::isfinite(dot.y); }

std::string dots_text(const std::vector<Dot>& dots) {
  std::string text;
  for (const Dot& dot : dots) text += fmt::format("{}{:.1f},{:.1f}", text.empty() ? "" : " ", dot.x, dot.y);
  return text;
}

// Eight shapes around the origin: circle, square, triangle, diamond, cross, plus, triangle down, ring.
std::string shape(Dot at, std::size_t series, double r) {
  const auto polygon = [&](const std::vector<Dot>& dots) {
    return fmt::format("<polygon class=\"mark\" points=\"{}\"/>", dots_text(dots));
  };
  const auto [x, y] = at;
  switch ((series + series / kColours) % kColours) {
    case 0:
      return fmt::format("<circle class=\"mark\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", x, y, r);
    case 1:
      return polygon({{x - r, y - r}, {x + r, y - r}, {x + r, y + r}, {x - r, y + r}});
    case 2:
      return polygon({{x, y - 1.2 * r}, {x + 1.1 * r, y + r}, {x - 1.1 * r, y + r}});
    case 3:
      return polygon({{x, y - 1.3 * r}, {x + 1.3 * r, y}, {x, y + 1.3 * r}, {x - 1.3 * r, y}});
    case 4:
      return fmt::format("<path class=\"stroke\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>",
                         x - r, y - r, x + r, y + r, x - r, y + r, x + r, y - r);
    case 5:
      return fmt::format("<path class=\"stroke\" d=\"M{:.1f} {:.1f}H{:.1f}M{:.1f} {:.1f}V{:.1f}\"/>", x - 1.2 * r, y,
                         x + 1.2 * r, x, y - 1.2 * r, y + 1.2 * r);
    case 6:
      return polygon({{x, y + 1.2 * r}, {x + 1.1 * r, y - r}, {x - 1.1 * r, y - r}});
    default:
      return fmt::format("<circle class=\"stroke\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:.1f}\"/>", x, y, r);
  }
}

}  // namespace

std::string series_class(std::size_t index) { return fmt::format("s{}", index % kColours); }

void Canvas::line(Dot from, Dot to, std::string_view classes) {
  if (!is_place(from) || !is_place(to)) return;
  body_ += fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", classes,
                       from.x, from.y, to.x, to.y);
}

void Canvas::path(const std::vector<Dot>& dots, std::string_view classes) {
  if (!std::all_of(dots.begin(), dots.end(), is_place)) return;
  body_ += fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", classes, dots_text(dots));
}

void Canvas::area(const std::vector<Dot>& dots, std::string_view classes) {
  if (!std::all_of(dots.begin(), dots.end(), is_place)) return;
  body_ += fmt::format("<polygon class=\"{}\" points=\"{}\"/>\n", classes, dots_text(dots));
}

void Canvas::box(Dot corner, double width, double height, std::string_view classes) {
  if (!is_place(corner) || !std::isfinite(width) || !std::isfinite(height)) return;
  body_ += fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n", classes,
                       corner.x, corner.y, width, height);
}

void Canvas::words(Dot at, std::string_view text, std::string_view classes, Anchor anchor) {
  if (!is_place(at)) return;
  const char* side = anchor == Anchor::start    ? ""
                     : anchor == Anchor::middle ? " text-anchor=\"middle\""
                                                : " text-anchor=\"end\"";
  body_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\"{}{}>{}</text>\n", at.x, at.y, side,
                       classes.empty() ? "" : fmt::format(" class=\"{}\"", classes), escaped_markup(text));
}

void Canvas::point(Dot at, std::size_t series, std::string_view says, std::string_view more_classes, double size) {
  if (!is_place(at)) return;
  body_ += fmt::format("<g class=\"pt {}{}{}\" tabindex=\"0\" role=\"img\"><title>{}</title>{}</g>\n",
                       series_class(series), more_classes.empty() ? "" : " ", more_classes, escaped_markup(says),
                       shape(at, series, size));
}

void Canvas::sample(Dot at, std::size_t series) {
  body_ += fmt::format("<g class=\"{}\">{}</g>\n", series_class(series), shape(at, series, 4.0));
}

std::string Canvas::svg(std::string_view id, std::string_view title, std::string_view description) const {
  return fmt::format(
      "<svg viewBox=\"0 0 {:.0f} {:.0f}\" role=\"group\" aria-labelledby=\"{}-t {}-d\"><title id=\"{}-t\">{}</title>"
      "<desc id=\"{}-d\">{}</desc>\n{}</svg>\n",
      width_, height_, id, id, id, escaped_markup(title), id, escaped_markup(description), body_);
}

void draw_x_ticks(Canvas& canvas, const Scale& x, int most, double top, double bottom) {
  const std::vector<double> ticks = ticks_of(x, most);
  const std::vector<std::string> texts = tick_texts(ticks);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    canvas.line({x.at(ticks[i]), top}, {x.at(ticks[i]), bottom}, "grid");
    canvas.words({x.at(ticks[i]), bottom + 15}, texts[i], "tick", Anchor::middle);
  }
}

void draw_y_ticks(Canvas& canvas, const Scale& x, const Scale& y, int most) {
  const std::vector<double> ticks = ticks_of(y, most);
  const std::vector<std::string> texts = tick_texts(ticks);
  for (std::size_t i = 0; i < ticks.size(); ++i) {
    canvas.line({x.from, y.at(ticks[i])}, {x.to, y.at(ticks[i])}, "grid");
    canvas.words({x.from - 5, y.at(ticks[i]) + 4}, texts[i], "tick", Anchor::end);
  }
}

void draw_axes(Canvas& canvas, const Scale& x, const Scale& y, std::string_view x_title, std::string_view y_title) {
  constexpr int most_x = 6, most_y = 7;
  draw_x_ticks(canvas, x, most_x, y.to, y.from);
  draw_y_ticks(canvas, x, y, most_y);
  canvas.line({x.from, y.from}, {x.to, y.from}, "axis");
  canvas.line({x.from, y.from}, {x.from, y.to}, "axis");
  canvas.words({(x.from + x.to) / 2, y.from + 32}, x_title, "", Anchor::middle);
  canvas.words({2, y.to - 9}, y_title);
}

std::string fitted(std::string_view text, double room) {
  constexpr double letter = 6.5;  // of the widest common sans serif at 11 units, on average
  const int most = std::max(4, static_cast<int>(room / letter));
  return shortened(printable(text), most, true, most / 2);
}

void draw_legend(Canvas& canvas, const std::vector<LegendEntry>& entries, Dot at) {
  for (const LegendEntry& entry : entries) {
    const double y = at.y - 4;
    if (entry.is_line)
      canvas.line({at.x, y}, {at.x + 18, y}, series_class(entry.series) + " " + entry.more_classes);
    else
      canvas.sample({at.x + 9, y}, entry.series);
    canvas.words({at.x + 25, at.y}, fitted(entry.text, canvas.width() - at.x - 26), "small");
    at.y += kLegendRow;
  }
}

}  // namespace chokepoint
