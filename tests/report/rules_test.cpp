// The table of machines by export rules: what it shows, how it fits, and what it says of gaps.
#include "harness/report/rules.hpp"

#include <gtest/gtest.h>

#include "harness/report/text.hpp"
#include "tests/model/config_help.hpp"
#include "tests/report/golden.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::plain;

std::vector<Profile> profiles() { return load_profiles(shipped_configs()); }
std::vector<Rule> rules() { return load_rules(shipped_configs()); }

TEST(rules_report, shipped_machines_as_the_reader_sees_them) {
  test::expect_golden("rules_150.txt", render_rules(profiles(), rules(), plain(150)));
}

TEST(rules_report, no_line_is_wider_than_the_terminal_and_the_verdicts_stay) {
  for (const int width : {60, 80, 100}) {
    const std::string text = render_rules(profiles(), rules(), plain(width));
    std::size_t start = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         start = end + 1, end = text.find('\n', start))
      EXPECT_LE(display_width(text.substr(start, end - start)), width) << text.substr(start, end - start);
    EXPECT_TRUE(contains(text, "2023-10-17"));
  }
  EXPECT_TRUE(contains(render_rules(profiles(), rules(), plain(80)), "not shown at 80 columns"));
}

TEST(rules_report, what_is_left_out_and_what_is_missing_is_said) {
  const std::string text = render_rules(profiles(), rules(), plain(400));
  EXPECT_TRUE(contains(text, "(not verified: left out)"));
  EXPECT_TRUE(contains(text, "left out, its numeric thresholds are not verified"));
  EXPECT_TRUE(contains(text, "b200-sxm: die area is missing; the rate of the host link is missing"));
  std::vector<Profile> open = profiles();
  for (Profile& profile : open) profile.die_area.reset();
  EXPECT_TRUE(contains(render_rules(open, rules(), plain(400)),
                       "h20, 2023-10-17 3A090.a: cannot be said; PD >= 5.92: die area is missing"));
}

TEST(rules_report, json_has_every_category_with_its_reason_and_null_for_what_cannot_be_said) {
  std::vector<Profile> machines = profiles();
  for (Profile& profile : machines) profile.die_area.reset();
  const Json json = rules_json(machines, rules());
  const Json& h20 = json["profiles"][5];
  EXPECT_EQ(h20["profile"], "h20");
  EXPECT_EQ(h20["tpp"]["low"], 2368);
  EXPECT_TRUE(h20["performance_density"]["low"].is_null());
  EXPECT_EQ(h20["rules"][0]["verdict"], "not controlled");
  EXPECT_TRUE(h20["rules"][1]["categories"][0]["met"].is_null());
  EXPECT_EQ(h20["rules"][1]["categories"][1]["met"], false);
  EXPECT_EQ(h20["rules"][1]["categories"][1]["unverified_clauses_left_out"], true);
  EXPECT_EQ(h20["rules"][2]["left_out"], "its numeric thresholds are not verified");
  EXPECT_TRUE(h20["rules"][2]["verdict"].is_null());
}

}  // namespace
}  // namespace chokepoint
