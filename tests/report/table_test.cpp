// Tables: what gives way when the width does not suffice.
#include "harness/report/table.hpp"

#include <gtest/gtest.h>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/report/text.hpp"

namespace chokepoint {
namespace {

Style width(int columns) { return {.width = columns, .color = false, .unicode = true}; }

Table sample() {
  Table table({{.title = "name", .tail = 100},
               {.title = "x", .align = Align::right},
               {.title = "minor", .rank = 1},
               {.title = "least", .rank = 2},
               {.title = "empty", .rank = 3}});
  table.section("section");
  table.row({std::vector<std::string>{"a long name (ok)", "name (ok)"}, Cell("1.5"), Cell("m"), Cell("l"), {}});
  table.row({Cell("b (ok)"), Cell("22"), {}, Cell("ll"), {}});
  return table;
}

TEST(table, columns_are_aligned_and_empty_ones_left_out) {
  EXPECT_EQ(sample().render(width(80)),
            "  name                x  minor  least\n"
            "section\n"
            "  a long name (ok)  1.5  m      l\n"
            "  b (ok)             22         ll\n");
  EXPECT_TRUE(sample().dropped(width(80)).empty());
}

TEST(table, shorter_forms_come_before_dropped_columns) {
  // 2 + 16 + 2 + 3 + 2 + 5 + 2 + 5 = 37 in full; the short name makes it 30
  EXPECT_EQ(sample().render(width(36)),
            "  name         x  minor  least\n"
            "section\n"
            "  name (ok)  1.5  m      l\n"
            "  b (ok)      22         ll\n");
  EXPECT_TRUE(sample().dropped(width(30)).empty());
  EXPECT_EQ(sample().dropped(width(29)), std::vector<std::string>{"least"});
  EXPECT_EQ(sample().dropped(width(20)), (std::vector<std::string>{"minor", "least"}));
}

TEST(table, what_must_stay_is_cut_from_the_front_at_last) {
  EXPECT_EQ(sample().render(width(14)),
            "  name       x\n"
            "section\n"
            "  …e (ok)  1.5\n"
            "  b (ok)    22\n");
}

TEST(table, no_line_is_wider_than_asked_for) {
  for (int columns = 9; columns < 60; ++columns)
    for (const std::string& line : split(sample().render(width(columns)), '\n'))
      EXPECT_LE(display_width(line), columns) << line;
}

TEST(table, wide_characters_keep_the_columns_straight) {
  Table table({{.title = "device"}, {.title = "x"}});
  table.row({Cell("漢字"), Cell("1")});
  table.row({Cell("abcd"), Cell("2")});
  EXPECT_EQ(table.render(width(40)), "  device  x\n  漢字    1\n  abcd    2\n");
}

TEST(table, colour_goes_around_the_text_and_not_around_the_blanks) {
  Table table({{.title = "a", .align = Align::right}, {.title = "b"}});
  table.row({Cell("held", Paint::good), Cell("\x1b[31mx", Paint::plain)});
  Style style = width(40);
  style.color = true;
  EXPECT_EQ(table.render(style), "     \x1b[1ma\x1b[0m  \x1b[1mb\x1b[0m\n  \x1b[32mheld\x1b[0m  ?[31mx\n");
}

TEST(table, a_row_of_another_length_is_an_error) {
  Table table({{.title = "a"}});
  EXPECT_THROW(table.row({Cell("1"), Cell("2")}), Error);
  EXPECT_EQ(Table({}).render(width(40)), "\n");
}

}  // namespace
}  // namespace chokepoint
