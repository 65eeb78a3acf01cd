// Style: what the environment says about width, colour and characters.
#include "harness/report/style.hpp"

#include <gtest/gtest.h>

#include <map>

namespace chokepoint {
namespace {

Style decided(bool is_terminal, std::optional<int> columns, const std::map<std::string, std::string>& variables) {
  return decide_style(is_terminal, columns, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(style, width_comes_from_columns_then_the_terminal_then_a_default) {
  EXPECT_EQ(decided(true, 132, {{"COLUMNS", "90"}}).width, 90);
  EXPECT_EQ(decided(false, {}, {{"COLUMNS", "90"}}).width, 90);
  EXPECT_EQ(decided(true, 132, {}).width, 132);
  EXPECT_EQ(decided(true, {}, {}).width, 80);
  EXPECT_EQ(decided(false, {}, {}).width, 120);
  for (const char* nonsense : {"", "wide", "-5", "0", "80x", "99999999999999"})
    EXPECT_EQ(decided(true, 132, {{"COLUMNS", nonsense}}).width, 132) << nonsense;
  EXPECT_EQ(decided(true, 3, {}).width, kLeastWidth);
  EXPECT_EQ(decided(true, 3, {{"COLUMNS", "100000"}}).width, kMostWidth);
}

TEST(style, colour_needs_a_terminal_or_force_and_no_color_wins) {
  EXPECT_TRUE(decided(true, {}, {}).color);
  EXPECT_FALSE(decided(false, {}, {}).color);
  EXPECT_FALSE(decided(true, {}, {{"NO_COLOR", "1"}}).color);
  EXPECT_TRUE(decided(true, {}, {{"NO_COLOR", ""}}).color);  // empty is not set, no-color.org
  EXPECT_FALSE(decided(true, {}, {{"TERM", "dumb"}}).color);
  EXPECT_FALSE(decided(true, {}, {{"CI", "true"}}).color);
  EXPECT_TRUE(decided(true, {}, {{"CI", "false"}}).color);
  EXPECT_TRUE(decided(false, {}, {{"CLICOLOR_FORCE", "1"}, {"CI", "true"}, {"TERM", "dumb"}}).color);
  EXPECT_FALSE(decided(false, {}, {{"CLICOLOR_FORCE", "0"}}).color);
  EXPECT_FALSE(decided(false, {}, {{"CLICOLOR_FORCE", "1"}, {"NO_COLOR", "1"}}).color);
}

TEST(style, characters_beyond_ascii_need_a_utf8_locale) {
  EXPECT_FALSE(decided(true, {}, {}).unicode);
  EXPECT_TRUE(decided(true, {}, {{"LANG", "en_US.UTF-8"}}).unicode);
  EXPECT_TRUE(decided(true, {}, {{"LANG", "C"}, {"LC_CTYPE", "C.utf8"}}).unicode);
  EXPECT_FALSE(decided(true, {}, {{"LANG", "en_US.UTF-8"}, {"LC_ALL", "C"}}).unicode);
  EXPECT_TRUE(decided(true, {}, {{"LANG", "en_US.UTF-8"}, {"LC_ALL", ""}}).unicode);
}

}  // namespace
}  // namespace chokepoint
