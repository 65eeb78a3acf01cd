// How is a picture drawn as SVG? Lines, areas, words and points that can be focused and say what they are.
// Colours come from the page's style sheet by class, so that one drawing serves light, dark and print.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/report/html/scale.hpp"

namespace chokepoint {

struct Dot {
  double x = 0.0, y = 0.0;
};

enum class Anchor { start, middle, end };

// Width of every picture in its own units: letters stay legible at 400 px and do not grow too large at 560.
inline constexpr double kPictureWidth = 440.0;

// Series differ in colour and in shape: nobody needs to see colours. `index` counts from 0.
std::string series_class(std::size_t index);

class Canvas {
 public:
  explicit Canvas(double height, double width = kPictureWidth) : width_(width), height_(height) {}

  // `classes` are names of the style sheet, never text of a record.
  void line(Dot from, Dot to, std::string_view classes);
  void path(const std::vector<Dot>& dots, std::string_view classes);
  void area(const std::vector<Dot>& dots, std::string_view classes);
  void box(Dot corner, double width, double height, std::string_view classes);
  void words(Dot at, std::string_view text, std::string_view classes = "", Anchor anchor = Anchor::start);

  // A point that keyboards and screen readers reach; `says` is its name and its tooltip.
  void point(Dot at, std::size_t series, std::string_view says, std::string_view more_classes = "",
             double size = 4.0);
  void sample(Dot at, std::size_t series);  // the same mark without a name, for legends

  double width() const { return width_; }
  double height() const { return height_; }

  // `id` is ours and unique on the page; title and description are read aloud.
  std::string svg(std::string_view id, std::string_view title, std::string_view description) const;

 private:
  double width_, height_;
  std::string body_;
};

// Grid lines from `top` to `bottom`, or across the plot, with a label each; as many as fit in `most`.
void draw_x_ticks(Canvas& canvas, const Scale& x, int most, double top, double bottom);
void draw_y_ticks(Canvas& canvas, const Scale& x, const Scale& y, int most);

// The frame of a plot: grid, ticks, the titles of both axes. `y_title` stands above the axis, where it can be read.
void draw_axes(Canvas& canvas, const Scale& x, const Scale& y, std::string_view x_title, std::string_view y_title);

// A text of any origin, cut in its middle to about `room` units of the small letters.
std::string fitted(std::string_view text, double room);

struct LegendEntry {
  std::size_t series = 0;
  std::string text;          // cut to the width of the picture
  bool is_line = false;      // a line instead of a mark
  std::string more_classes;  // of the line
};
inline constexpr double kLegendRow = 17.0;  // height of an entry
void draw_legend(Canvas& canvas, const std::vector<LegendEntry>& entries, Dot at);

}  // namespace chokepoint
