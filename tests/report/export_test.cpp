// Reports for other tools: what each holds (golden files, which consumers_test.py feeds to the tools' own readers),
// that names stay the same, and that nothing is lost.
#include "harness/report/export.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "tests/report/golden.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::books;
using test::everything;

std::string rendered(const std::string& format, RecordSet set) {
  return render_report(format, std::move(set), {books(), std::nullopt}, {});
}

TEST(exporters, look_as_in_the_golden_files) {
  test::expect_golden("report_gbench.json", rendered("gbench", everything()));
  test::expect_golden("report_custom_smaller.json", rendered("custom_smaller", everything()));
  test::expect_golden("report_custom_bigger.json", rendered("custom_bigger", everything()));
  test::expect_golden("report_bencher.json", rendered("bencher", everything()));
  test::expect_golden("report_openmetrics.txt", rendered("openmetrics", everything()));
  test::expect_golden("report_junit.xml", rendered("junit", everything()));
}

TEST(exporters, names_are_unique_stable_and_carry_the_basis) {
  RecordSet set = everything();
  set.records.push_back(set.records[0]);  // the same case on another device, and once more on the same
  set.records.back().device["name"] = "Another machine";
  set.records.push_back(set.records[0]);
  for (int i = 0; i < 2; ++i) set.places.push_back(set.places[0]);
  const std::vector<std::string> names = export_names(make_report(set, {}));
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(names[2], "moe_layer/cpu_native/bf16/64@h100-sxm256 (scaled)");
  EXPECT_EQ(names[0], "moe_layer/cpu_native/bf16/64@h100-sxm on cpu Two-core test machine (scaled)");
  EXPECT_EQ(names.back(), names[0] + " #2");
}

TEST(exporters, every_metric_of_every_record_is_in_the_list_of_its_direction) {
  const ReportInput input = make_report(everything(), {books(), std::nullopt});
  std::size_t values = 0;
  for (const ReportRow& row : input.rows) values += row.metrics.size();
  const std::size_t smaller = parse_json(rendered("custom_smaller", everything()), "x").value.size();
  const std::size_t bigger = parse_json(rendered("custom_bigger", everything()), "x").value.size();
  EXPECT_EQ(smaller + bigger, values);
  EXPECT_GT(smaller, 0U);
  const Json bencher = parse_json(rendered("bencher", everything()), "x").value;
  std::size_t measures = 0;
  for (const Json& benchmark : bencher) measures += benchmark.size();
  EXPECT_EQ(measures, values);
}

TEST(exporters, a_figure_that_is_no_number_is_left_out_and_never_written) {
  RecordSet set = test::set_of(test::scaled_pair());
  set.records[0].work.flop = std::numeric_limits<double>::infinity();
  set.records[1].time.median = 1e-320;
  set.records[1].time.ci_low = set.records[1].time.ci_high = std::nullopt;
  for (const char* format :
       {"gbench", "custom_smaller", "custom_bigger", "bencher", "openmetrics", "junit", "html"}) {
    const std::string text = rendered(format, set);
    for (const char* word : {"nan", "NaN", " inf", "Infinity", ":inf", "null"}) {
      const bool is_script = std::string(format) == "html" && std::string(word) != "nan";
      EXPECT_TRUE(is_script || text.find(word) == std::string::npos) << format << " " << word;
    }
  }
}

TEST(exporters, records_without_figures_are_named_where_the_format_has_a_place_for_them) {
  const Json context = parse_json(rendered("gbench", everything()), "x").value["context"];
  EXPECT_EQ(context["left_out"].size(), 4U);
  const std::string junit = rendered("junit", everything());
  for (const char* element : {"<failure type=\"invalid\"", "<error type=\"failed\"", "<skipped type=\"skipped\"",
                              "<skipped type=\"unsupported\""})
    EXPECT_NE(junit.find(element), std::string::npos) << element;
  EXPECT_NE(rendered("openmetrics", everything()).find("status=\"invalid\"} 0"), std::string::npos);
}

TEST(markdown, is_cut_below_the_limit_of_a_step_summary_and_says_so) {
  std::vector<Record> records;
  for (int i = 0; i < 6000; ++i)
    for (const Record& record : test::scaled_pair()) {
      records.push_back(test::with_tokens(record, 1000000 + i));
      records.back().time.samples.clear();
      if (i % 2 == 0) records.back() = test::without_result(records.back(), Status::failed, std::string(200, 'x'));
    }
  const std::string text = rendered("markdown", test::set_of(std::move(records)));
  EXPECT_LE(text.size(), 1024U * 1024U);
  EXPECT_GT(text.size(), 900U * 1024U);
  EXPECT_NE(text.find("**Cut here: "), std::string::npos);
  EXPECT_NE(text.find("### Notes"), std::string::npos);
  EXPECT_EQ(rendered("markdown", everything()).find("Cut here"), std::string::npos);
}

}  // namespace
}  // namespace chokepoint
