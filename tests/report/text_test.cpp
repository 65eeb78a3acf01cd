// Text on a terminal: widths, harmless characters, cutting and wrapping.
#include "harness/report/text.hpp"

#include <gtest/gtest.h>

#include "harness/base/random.hpp"

namespace chokepoint {
namespace {

TEST(text, width_counts_columns_and_not_bytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("±1 µs"), 5);
  EXPECT_EQ(display_width("漢字"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);  // e and a combining acute
  EXPECT_EQ(display_width("😀"), 2);
  EXPECT_EQ(display_width("\xff\xfe"), 2);
  EXPECT_EQ(display_width(""), 0);
}

TEST(text, control_characters_do_not_reach_the_terminal) {
  EXPECT_EQ(printable("a\x1b[31mred\x07\n\tb\x7f"), "a?[31mred?  b?");
  EXPECT_EQ(printable("\u009b31m"), "?31m");            // CSI as one character
  EXPECT_EQ(printable("safe\u202egnp.exe"), "safe?gnp.exe");  // right-to-left override
  EXPECT_EQ(printable("\xc0\xaf\xff"), "???");          // overlong and invalid bytes
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");          // a surrogate
  EXPECT_EQ(printable("±µ漢"), "±µ漢");
  EXPECT_EQ(printable("±µ…漢 ×", false), "+-u...? x");
}

TEST(text, cutting_keeps_the_end_that_is_asked_for) {
  EXPECT_EQ(shortened("abcdefghij", 10, true), "abcdefghij");
  EXPECT_EQ(shortened("abcdefghij", 7, true), "abcdef…");
  EXPECT_EQ(shortened("abcdefghij", 7, true, 3), "abc…hij");
  EXPECT_EQ(shortened("abcdefghij", 7, true, 99), "…efghij");
  EXPECT_EQ(shortened("abcdefghij", 7, false, 2), "ab...ij");
  EXPECT_EQ(shortened("abcdefghij", 2, false), "ab");
  EXPECT_EQ(shortened("漢字漢字", 5, true), "漢字…");
  EXPECT_EQ(shortened("abc", 0, true), "");
}

TEST(text, lines_break_at_spaces_and_hang_under_their_start) {
  EXPECT_EQ(wrapped("one two three", 9, "- "), (std::vector<std::string>{"- one two", "  three"}));
  EXPECT_EQ(wrapped("abcdefghijklm no", 10), (std::vector<std::string>{"abcdefghij", "klm no"}));
  EXPECT_EQ(wrapped("at [1.35, 1.39] or 0.40 % of 7", 16), (std::vector<std::string>{"at [1.35, 1.39]", "or 0.40 % of 7"}));
  EXPECT_EQ(wrapped("is 3.5 ms now", 7), (std::vector<std::string>{"is", "3.5 ms", "now"}));
  EXPECT_EQ(wrapped("[ opened and never closed", 10), (std::vector<std::string>{"[ opened", "and never", "closed"}));
  EXPECT_EQ(wrapped("", 10, "- "), std::vector<std::string>{"- "});
  EXPECT_EQ(padded_left("±", 3), "  ±");
  EXPECT_EQ(padded_right("漢", 3), "漢 ");
}

TEST(text, any_bytes_become_text_that_fits) {  // seeded
  for (std::uint64_t round = 0; round < 5000; ++round) {
    std::string text;
    for (std::uint64_t i = 0; i < round % 40; ++i) text += static_cast<char>(random_below(3, round, i, 256));
    const std::string clean = printable(text);
    EXPECT_EQ(printable(clean), clean);
    for (const char c : clean) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    EXPECT_LE(display_width(shortened(clean, 9, true, 4)), 9);
    for (const std::string& line : wrapped(clean, 12, "  ")) EXPECT_LE(display_width(line), 12);
    for (const char c : printable(text, false)) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
  }
}

}  // namespace
}  // namespace chokepoint
