// How does a table fit the width it is given? Columns that are merely nice go first, then cells fall back to shorter
// forms, then the least important columns go, and what is left is cut inside the cell; nothing is wrapped.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "harness/report/style.hpp"

namespace chokepoint {

enum class Paint { plain, strong, faint, good, bad };

// ANSI colours around `text` where the style wants them.
std::string painted(std::string_view text, Paint paint, const Style& style);

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
  int rank = 0;   // 0 stays whatever happens; of the others, the highest goes first
  bool is_extra = false;  // goes before any other column takes shorter forms
  int tail = 0;   // columns at the end of a cell that survive being cut: the part that must not get lost
};

// One content in several lengths that are all true, the longest first.
struct Cell {
  std::vector<std::string> forms;
  Paint paint = Paint::plain;

  Cell() = default;
  Cell(std::string text, Paint how = Paint::plain) : forms{std::move(text)}, paint(how) {}  // NOLINT: reads well
  Cell(std::vector<std::string> texts, Paint how = Paint::plain) : forms(std::move(texts)), paint(how) {}  // NOLINT
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  void section(std::string text) { lines_.emplace_back(std::move(text)); }  // a line across all columns
  void row(std::vector<Cell> cells);                                        // one cell per column

  // Text of any origin; control characters are taken out here. Every line ends with a newline and none is wider than
  // the style. Columns without content are left out.
  std::string render(const Style& style) const;

  // Titles of the columns that have content and do not fit.
  std::vector<std::string> dropped(const Style& style) const;

 private:
  struct Layout {
    std::vector<bool> shown;
    std::vector<int> width;
  };
  Layout fit(const Style& style) const;

  std::vector<Column> columns_;
  std::vector<std::variant<std::string, std::vector<Cell>>> lines_;
};

}  // namespace chokepoint
