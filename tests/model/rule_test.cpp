// Export rules: strict decoding, the machines that fall under them, and what stays unsaid.
#include <gtest/gtest.h>

#include "harness/base/files.hpp"
#include "harness/model/rule_check.hpp"
#include "tests/model/config_help.hpp"

namespace chokepoint {
namespace {

const std::vector<Profile>& profiles() {
  static const std::vector<Profile> all = load_profiles(shipped_configs());
  return all;
}

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = load_rules(shipped_configs());
  return all;
}

CategoryVerdict verdict(const Profile& profile, const std::string& date, const std::string& category = "") {
  const RuleVerdict checked = check_rule(find_rule(rules(), date), rule_measures(profile));
  if (category.empty()) return *checked.headline();
  for (const CategoryVerdict& entry : checked.categories)
    if (entry.category == category) return entry;
  ADD_FAILURE() << date << " has no " << category;
  return {};
}

CategoryVerdict verdict(const std::string& id, const std::string& date, const std::string& category = "") {
  return verdict(find_profile(profiles(), id), date, category);
}

std::string text_of(const Profile& profile, RuleQuantity quantity) {
  return extent_text(quantity, rule_measures(profile).of(quantity));
}

std::string error_with(const std::string& from, const std::string& to,
                       const std::string& stem = "2023-10-17_3a090") {
  const std::string path = shipped_configs() + "/rules/" + stem + ".json";
  return error_of([&] { decode_rule(parse_json(with(read_file(path), from, to), path)); });
}

// TPP: 1979 x 8; 312 x 16 (as 624 int8 x 8); 296 x 8; 4500 x 8. PD: over 814 or 826 mm2. I/O: twice the
// link's rate per direction; the host's port (PCIe) comes on top and is checked below.
TEST(rule, the_published_machines_measure_as_worked_out_by_hand) {
  const struct {
    const char *id, *tpp, *density;
    double link_io;
  } rows[] = {{"h100-sxm", "15,832", "19.4", 900},    {"h800-sxm", "15,832", "19.4", 400},
              {"a100-sxm-80gb", "4,992", "6.0", 600}, {"a800-sxm", "4,992", "6.0", 400},
              {"h20", "2,368", "2.9", 900},           {"h200-sxm", "15,832", "19.4", 900},
              {"b200-sxm", "36,000", "", 1800}};
  for (const auto& row : rows) {
    const Profile& profile = find_profile(profiles(), row.id);
    EXPECT_EQ(text_of(profile, RuleQuantity::tpp), row.tpp) << row.id;
    EXPECT_EQ(text_of(profile, RuleQuantity::performance_density), row.density) << row.id;
    EXPECT_DOUBLE_EQ(2 * profile.link.datasheet->value, row.link_io * 1e9) << row.id;
  }
}

TEST(rule, the_published_machines_fall_where_the_worked_table_has_them) {
  const struct {
    const char *id, *rule_2022, *rule_2023_a;
  } rows[] = {{"h100-sxm", "controlled", "controlled"},      {"h800-sxm", "not controlled", "controlled"},
              {"a100-sxm-80gb", "controlled", "controlled"}, {"a800-sxm", "not controlled", "controlled"},
              {"h20", "not controlled", "not controlled"},   {"h200-sxm", "controlled", "controlled"},
              {"b200-sxm", "controlled", "controlled"}};
  for (const auto& row : rows) {
    EXPECT_EQ(verdict(row.id, "2022-10-07").word, row.rule_2022) << row.id;
    EXPECT_EQ(verdict(row.id, "2023-10-17", "3A090.a").word, row.rule_2023_a) << row.id;
  }
}

// H800: 400 + 128 GB/s of PCIe 5.0. A800: 400 + 64 of PCIe 4.0. H20: 2368 < 4800, and 2368 / 814 = 2.91
// < 5.92.
TEST(rule, the_reason_names_the_quantity_that_decides) {
  EXPECT_EQ(verdict("h800-sxm", "2022-10-07").decided_by, std::vector{RuleQuantity::io_gb_per_s});
  EXPECT_EQ(verdict("h800-sxm", "2022-10-07").reason, "I/O 528 < 600 GB/s");
  EXPECT_EQ(verdict("a800-sxm", "2022-10-07").reason, "I/O 464 < 600 GB/s");
  EXPECT_EQ(verdict("h20", "2022-10-07").decided_by, std::vector{RuleQuantity::tpp});
  EXPECT_EQ(verdict("h20", "2022-10-07").reason, "TPP 2,368 < 4,800");
  EXPECT_EQ(verdict("h20", "2023-10-17", "3A090.a").reason, "TPP 2,368 < 4,800; PD 2.91 < 5.92");
  EXPECT_EQ(verdict("h20", "2023-10-17", "3A090.b").word, "not controlled");
  EXPECT_EQ(verdict("h20", "2023-10-17", "3A090.b").reason, "TPP 2,368 < 2,400");
  EXPECT_EQ(verdict("h100-sxm", "2022-10-07").reason, "I/O 1,028 >= 600 GB/s; TPP 15,832 >= 4,800");
}

// H200: 4800 of 6500 GB/s, 15,832 of 21,000. B200: 8000 and 36,000, above both.
TEST(rule, the_review_of_2026_asks_for_both_limits) {
  EXPECT_EQ(verdict("h200-sxm", "2026-01-15").word, "case by case");
  EXPECT_EQ(verdict("b200-sxm", "2026-01-15").word, "presumption of denial");
  EXPECT_EQ(verdict("b200-sxm", "2026-01-15").reason, "TPP 36,000 >= 21,000; memory 8,000 >= 6,500 GB/s");
}

TEST(rule, a_rule_without_verified_thresholds_says_so_and_decides_nothing) {
  const RuleVerdict checked =
      check_rule(find_rule(rules(), "2025-04"), rule_measures(find_profile(profiles(), "h20")));
  EXPECT_EQ(checked.headline(), nullptr);
  EXPECT_EQ(checked.left_out, "its numeric thresholds are not verified");
}

// A chip of TPP 2368 on 600 mm2 has PD 3.95: the unverified clause of 3A090.b alone would catch it.
TEST(rule, an_unverified_clause_stays_out_and_is_named) {
  Profile dense = find_profile(profiles(), "h20");
  dense.die_area->value = 600;
  EXPECT_EQ(verdict(dense, "2023-10-17", "3A090.b").answer, RuleAnswer::no);
  EXPECT_TRUE(verdict(dense, "2023-10-17", "3A090.b").has_left_out_clause);
  EXPECT_FALSE(verdict(dense, "2023-10-17", "3A090.a").has_left_out_clause);
}

TEST(rule, a_figure_that_is_missing_or_unverified_leaves_the_answer_open_only_where_it_decides) {
  Profile profile = find_profile(profiles(), "h20");
  profile.die_area->verified = false;
  EXPECT_EQ(verdict(profile, "2023-10-17", "3A090.a").word, "cannot be said");
  EXPECT_EQ(verdict(profile, "2023-10-17", "3A090.a").reason, "PD >= 5.92: die area is unverified");
  EXPECT_EQ(verdict(profile, "2023-10-17", "3A090.b").answer, RuleAnswer::no);  // by its TPP
  profile.die_area.reset();
  EXPECT_EQ(verdict(profile, "2023-10-17", "3A090.a").reason, "PD >= 5.92: die area is missing");
  EXPECT_EQ(verdict("b200-sxm", "2023-10-17", "3A090.a").answer, RuleAnswer::yes);  // without a die area
}

// 400 GB/s of link alone are certain; PCIe comes on top, so that without its rate nothing says I/O stays
// below 600.
TEST(rule, a_lower_bound_of_io_can_show_that_a_limit_is_reached_but_not_that_it_is_kept) {
  Profile profile = find_profile(profiles(), "h800-sxm");
  profile.host_link.reset();
  EXPECT_EQ(text_of(profile, RuleQuantity::io_gb_per_s), "400 or more");
  EXPECT_EQ(verdict(profile, "2022-10-07").reason, "I/O >= 600 GB/s: the rate of the host link is missing");
  profile.link.datasheet->value = 300e9;  // 600 both ways
  EXPECT_EQ(verdict(profile, "2022-10-07").answer, RuleAnswer::yes);
  profile = find_profile(profiles(), "h800-sxm");
  profile.link.datasheet->verified = false;  // 128 for certain, 528 at most: still below
  EXPECT_EQ(text_of(profile, RuleQuantity::io_gb_per_s), "128 to 528");
  EXPECT_EQ(verdict(profile, "2022-10-07").answer, RuleAnswer::no);
}

TEST(rule, thresholds_are_reached_at_their_very_value) {
  Profile profile = find_profile(profiles(), "a100-sxm-80gb");
  profile.compute.at(Dtype::bf16).datasheet->value = 300e12;  // x 16 = 4800
  profile.host_link->value = 0.5e-9;                          // 600 both ways and nothing more
  EXPECT_EQ(verdict(profile, "2022-10-07").answer, RuleAnswer::yes);
  profile.compute.at(Dtype::bf16).datasheet->value = 299.9e12;
  EXPECT_EQ(verdict(profile, "2022-10-07").answer, RuleAnswer::no);
}

TEST(rule, an_unverified_rate_of_arithmetic_widens_tpp_upwards_only) {
  Profile profile = find_profile(profiles(), "h20");
  profile.compute.at(Dtype::f64).datasheet->value = 100e12;  // x 64 = 6400
  profile.compute.at(Dtype::f64).datasheet->verified = false;
  EXPECT_EQ(text_of(profile, RuleQuantity::tpp), "2,368 to 6,400");
  EXPECT_EQ(verdict(profile, "2022-10-07").reason, "TPP >= 4,800: the f64 rate is unverified");
}

// Whatever a machine was cut for, it lies below that rule, and the full machine does not.
TEST(rule, cut_machines_stay_below_the_rule_they_were_cut_for) {
  int cuts = 0;
  for (const Rule& rule : rules())
    for (const RuleCut& cut : rule.cuts) {
      ++cuts;
      EXPECT_EQ(verdict(cut.profile, rule.date).answer, RuleAnswer::no) << cut.profile;
      EXPECT_EQ(verdict(cut.of, rule.date).answer, RuleAnswer::yes) << cut.of;
    }
  EXPECT_EQ(cuts, 3);
}

TEST(rule, rules_are_found_by_id_and_by_date) {
  EXPECT_EQ(find_rule(rules(), "2022-10-07").id, "2022-10-07_3a090");
  EXPECT_EQ(find_rule(rules(), "2026-01-15_licence-review").date, "2026-01-15");
  EXPECT_TRUE(
      contains(error_of([] { find_rule(rules(), "2022-10-08"); }), "rule \"2022-10-08\" is not known"));
  std::vector<Rule> twins = {rules()[0], rules()[0]};
  twins[1].id = "2022-10-07_other";
  EXPECT_TRUE(
      contains(error_of([&] { find_rule(twins, "2022-10-07"); }), "2 rules have the date 2022-10-07"));
}

TEST(rule, mistakes_in_a_file_name_line_and_key) {
  EXPECT_EQ(error_with("x", "x"), "no error");
  EXPECT_TRUE(contains(error_with("\"at_least\": 4800", "\"at_leats\": 4800"), "at_leats is an unknown key"));
  EXPECT_TRUE(contains(error_with("{\"quantity\": \"tpp\", \"at_least\": 4800}", "{\"quantity\": \"tpp\"}"),
                       "categories[0].any_of[0].all_of[0] has no threshold"));
  EXPECT_TRUE(
      contains(error_with("\"quantity\": \"tpp\"", "\"quantity\": \"ttp\""), "did you mean \"tpp\"?"));
  EXPECT_TRUE(
      contains(error_with("\"at_least\": 2400, \"below\": 4800", "\"at_least\": 4800, \"below\": 4800"),
               "nothing could meet this"));
  EXPECT_TRUE(contains(error_with("4800", "-4800"), "at_least is -4800, but has to be above 0"));
  EXPECT_TRUE(contains(error_with("\"3A090.b\"", "\"3A090.a\""), "is \"3A090.a\" for the second time"));
  EXPECT_TRUE(contains(error_with("\"evidence\": \"secondary\"", "\"evidence\": \"hearsay\""),
                       "evidence is \"hearsay\""));
  EXPECT_TRUE(
      contains(error_with("\"of\": \"h100-sxm\"", "\"of\": \"h20\""), "of is h20, the cut machine itself"));
  EXPECT_TRUE(contains(error_with("2023-10-17", "2023-10-18"), "but the file is called 2023-10-17_3a090"));
  EXPECT_TRUE(contains(error_with("2023-10-17", "17.10.2023"), "is \"17.10.2023\", not a date"));
  EXPECT_TRUE(contains(error_with("\"left_out\"", "\"left_uot\"", "2025-04_h20"), "categories is empty"));
  EXPECT_TRUE(contains(error_with("\"evidence\"", "\"left_out\": \"x\", \"evidence\""),
                       "left_out stands beside categories"));
}

TEST(rule, damaged_files_give_an_error_or_a_rule_never_a_crash) {
  for (const Rule& rule : rules()) {
    const int rejected = rejected_mutations(read_json(rule.path), 300, [](const JsonFile& file) {
      check_rule(decode_rule(file), rule_measures(find_profile(profiles(), "h20"))).headline();
    });
    EXPECT_GT(rejected, 100) << rule.id;
    EXPECT_LT(rejected, 300) << rule.id;
  }
}

}  // namespace
}  // namespace chokepoint
