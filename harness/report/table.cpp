#include "harness/report/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "harness/base/error.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

constexpr int kGap = 2;     // between columns
constexpr int kIndent = 2;  // of rows under their section

const std::string& longest(const Cell& cell) {
  static const std::string nothing;
  return cell.forms.empty() ? nothing : cell.forms.front();
}

// The longest form that fits, else the last one cut to size.
std::string fitted(const Cell& cell, int width, int tail, const Style& style) {
  std::string text;
  for (const std::string& form : cell.forms) {
    text = printable(form, style.unicode);
    if (display_width(text) <= width) return text;
  }
  return shortened(text, width, style.unicode, tail);
}

}  // namespace

std::string painted(std::string_view text, Paint paint, const Style& style) {
  if (!style.color || paint == Paint::plain || text.empty()) return std::string(text);
  constexpr std::string_view codes[] = {"", "1", "2", "32", "31"};
  return fmt::format("\x1b[{}m{}\x1b[0m", codes[static_cast<int>(paint)], text);
}

void Table::row(std::vector<Cell> cells) {
  if (cells.size() != columns_.size())
    throw Error(Fault::config, fmt::format("a row has {} cells, the table {} columns", cells.size(), columns_.size()),
                "give every column its cell");
  lines_.emplace_back(std::move(cells));
}

Table::Layout Table::fit(const Style& style) const {
  const std::size_t count = columns_.size();
  Layout layout{std::vector<bool>(count, false), std::vector<int>(count, 0)};
  std::vector<int> least(count, 0);
  for (const auto& line : lines_) {
    const auto* cells = std::get_if<std::vector<Cell>>(&line);
    for (std::size_t i = 0; cells && i < count; ++i) {
      const Cell& cell = (*cells)[i];
      if (longest(cell).empty()) continue;
      layout.shown[i] = true;
      layout.width[i] = std::max(layout.width[i], display_width(printable(longest(cell), style.unicode)));
      least[i] = std::max(least[i], display_width(printable(cell.forms.back(), style.unicode)));
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const int title = display_width(printable(columns_[i].title, style.unicode));
    layout.width[i] = std::max(layout.width[i], title);
    least[i] = std::max(least[i], title);
  }
  const auto total = [&](const std::vector<int>& widths) {
    int sum = kIndent - kGap;
    for (std::size_t i = 0; i < count; ++i)
      if (layout.shown[i]) sum += widths[i] + kGap;
    return sum;
  };
  // Takes out the highest ranked column that may go; false when there is none.
  const auto drop_one = [&](bool only_extra) {
    std::optional<std::size_t> worst;
    for (std::size_t i = 0; i < count; ++i)
      if (layout.shown[i] && columns_[i].rank > (worst ? columns_[*worst].rank : 0) &&
          (columns_[i].is_extra || !only_extra))
        worst = i;
    if (worst) layout.shown[*worst] = false;
    return worst.has_value();
  };
  while (total(layout.width) > style.width && drop_one(true)) continue;
  while (total(least) > style.width && drop_one(false)) continue;
  // Shorter forms where they are needed: the least important columns give way first, and by no more than it takes.
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return columns_[a].rank > columns_[b].rank; });
  for (const std::size_t i : order) {
    const int excess = total(layout.width) - style.width;
    if (layout.shown[i] && excess > 0) layout.width[i] = std::max(least[i], layout.width[i] - excess);
  }
  // Only columns that stay are left and they do not fit: the widest is cut.
  for (int excess = total(layout.width) - style.width; excess > 0; --excess) {
    int* widest = nullptr;
    for (std::size_t i = 0; i < count; ++i)
      if (layout.shown[i] && (!widest || layout.width[i] > *widest)) widest = &layout.width[i];
    if (!widest || *widest <= 1) break;
    --*widest;
  }
  // A column whose cells took shorter forms than they had room for gives that room back.
  for (std::size_t i = 0; i < count; ++i) {
    int used = std::min(layout.width[i], display_width(printable(columns_[i].title, style.unicode)));
    for (const auto& line : lines_)
      if (const auto* cells = std::get_if<std::vector<Cell>>(&line))
        used = std::max(used, display_width(fitted((*cells)[i], layout.width[i], columns_[i].tail, style)));
    layout.width[i] = used;
  }
  return layout;
}

std::vector<std::string> Table::dropped(const Style& style) const {
  Style endless = style;
  endless.width = 1 << 20;
  const Layout all = fit(endless), now = fit(style);
  std::vector<std::string> titles;
  for (std::size_t i = 0; i < columns_.size(); ++i)
    if (all.shown[i] && !now.shown[i]) titles.push_back(columns_[i].title);
  return titles;
}

std::string Table::render(const Style& style) const {
  const Layout layout = fit(style);
  std::string out;
  const auto blanks = [](int count) { return std::string(static_cast<std::size_t>(std::max(0, count)), ' '); };
  const auto emit = [&](const std::vector<Cell>& cells, bool is_header) {
    std::string line, pending = blanks(kIndent);  // blanks are written only when something follows
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (!layout.shown[i]) continue;
      const std::string text = fitted(cells[i], layout.width[i], columns_[i].tail, style);
      const int blank = layout.width[i] - display_width(text);
      const bool to_the_right = columns_[i].align == Align::right;
      if (text.empty()) {
        pending += blanks(blank + kGap);
        continue;
      }
      line += pending + blanks(to_the_right ? blank : 0);
      line += painted(text, is_header ? Paint::strong : cells[i].paint, style);
      pending = blanks((to_the_right ? 0 : blank) + kGap);
    }
    out += line + '\n';
  };
  std::vector<Cell> titles;
  for (const Column& column : columns_) titles.emplace_back(column.title);
  emit(titles, true);
  for (const auto& line : lines_) {
    if (const auto* cells = std::get_if<std::vector<Cell>>(&line)) {
      emit(*cells, false);
      continue;
    }
    for (const std::string& part : wrapped(printable(std::get<std::string>(line), style.unicode), style.width))
      out += painted(part, Paint::strong, style) + '\n';
  }
  return out;
}

}  // namespace chokepoint
