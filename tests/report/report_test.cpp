// Reports: what every format must say, and how it looks (golden files).
#include "harness/report/report.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/base/strings.hpp"
#include "harness/report/rows.hpp"
#include "harness/report/summary.hpp"
#include "harness/report/text.hpp"
#include "tests/report/golden.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::books;
using test::error_of;
using test::everything;
using test::expect_golden;
using test::on_gpu;
using test::plain;
using test::set_of;
using test::with_tokens;
using test::without_result;

std::string rendered(const std::string& format, const Style& style, std::optional<std::string> choice = std::nullopt) {
  return render_report(format, everything(), {books(), std::move(choice)}, style);
}

TEST(report, formats_are_registered_under_their_names) {
  EXPECT_TRUE(registry_faults().empty());
  for (const char* name : {"table", "markdown", "csv", "json", "html", "gbench", "custom_smaller", "custom_bigger", "bencher", "openmetrics", "junit"})
    EXPECT_FALSE(find_format(name).summary.empty()) << name;
  EXPECT_NE(error_of([] { find_format("tabel"); }).find("did you mean \"table\""), std::string::npos);
}

TEST(report, tables_look_as_in_the_golden_files) {
  for (const int width : {60, 80, 120, 200})
    expect_golden("report_table_" + std::to_string(width) + ".txt", rendered("table", plain(width)));
  expect_golden("report_table_ascii.txt", rendered("table", {.width = 100, .color = false, .unicode = false}));
  expect_golden("report_table_color.txt", rendered("table", {.width = 100, .color = true, .unicode = true}));
  expect_golden("report_table_two_prices.txt", rendered("table", plain(100), "2026-03_tco:rental_3y"));
}

TEST(report, markdown_and_csv_look_as_in_the_golden_files) {
  expect_golden("report.md", rendered("markdown", plain(80)));
  expect_golden("report.csv", rendered("csv", plain(80)));
}

TEST(report, no_line_of_a_table_is_wider_than_the_terminal) {
  for (int width = kLeastWidth; width <= 240; ++width)
    for (const std::string& line : split(rendered("table", plain(width)), '\n'))
      ASSERT_LE(display_width(line), width) << line;
}

TEST(report, colour_adds_nothing_but_colour_and_no_color_means_none) {
  std::string coloured = rendered("table", {.width = 100, .color = true, .unicode = true});
  for (std::size_t at = coloured.find('\x1b'); at != std::string::npos; at = coloured.find('\x1b'))
    coloured.erase(at, coloured.find('m', at) + 1 - at);
  EXPECT_EQ(coloured, rendered("table", plain(100)));
  EXPECT_EQ(rendered("table", plain(100)).find('\x1b'), std::string::npos);
}

TEST(report, every_figure_of_a_row_follows_from_the_record) {
  const ReportInput input = make_report(everything(), {books(), std::nullopt});
  const ReportGroup group = groups_of(input).front();
  const std::vector<Cell> cells = cells_of(group, input, 0);
  std::vector<std::string> shown;
  for (const Cell& cell : cells) shown.push_back(cell.forms.empty() ? "" : cell.forms.front());
  // 5.8 ms / 5800 = 1 us; 64 tokens / 1 us = 64 M/s; $2/h buys 1800 s: 1.8e9 * 64 = 115 G; 64e6 / 700 W = 91.4 k
  EXPECT_EQ(shown, (std::vector<std::string>{"", "cpu as h100-sxm, 1:5800 (scaled)", "1.00 us", "1.0 %", "60 (ESS 48)",
                                             "64.0 M", "115 G", "91.4 k", "link held", "precision", "short"}));
}

TEST(report, the_table_says_what_a_sceptical_reader_asks_for) {
  const std::string text = rendered("table", plain(200));
  for (const char* word :
       {"1:5800 (scaled)", "(emulated)", "(measured)", "[0.675, 0.695]", "$1.37/h [1.35, 1.39]", "30 blocks in turn",
        "60 (ESS 48)", "provisioned", "2026-05 market", "no market quote found", "unverified", "budget", "short", "burst",
        "link missed", "invalid: moe_layer", "unsupported: attention", "failed: attention", "skipped: attention",
        "records.jsonl:12 ends too soon", "1 older attempt superseded", "run-1, suite quick, finished 2026-11-24", "0.1.0, abc1234",
        "datasheet rates stand in", "nothing was metered"})
    EXPECT_NE(text.find(word), std::string::npos) << word;
}

TEST(report, no_target_stands_alone_without_its_basis_in_a_row) {
  const ReportInput input = make_report(everything(), {books(), std::nullopt});
  for (std::size_t i = 0; i < input.set.records.size(); ++i)
    for (const std::string& form : label_forms(input.set.records[i])) {
      const Record& record = input.set.records[i];
      const std::string end = fmt::format("({})", record.basis ? to_string(*record.basis) : to_string(record.status));
      EXPECT_EQ(form.substr(form.size() - end.size()), end);
    }
}

TEST(report, per_dollar_figures_follow_the_books_and_not_the_record) {
  RecordSet set = set_of(test::scaled_pair());
  set.records[0].metrics["tokens_per_usd"] = {1.0, std::nullopt, std::nullopt, "token/USD"};
  const ReportInput input = make_report(set, {books(), std::nullopt});
  EXPECT_NEAR(input.rows[0].metrics.at("tokens_per_usd").value, 64e6 * 1800, 1e-3);
  EXPECT_FALSE(input.rows[1].metrics.contains("tokens_per_usd"));
  EXPECT_FALSE(make_report(set, {}).rows[0].metrics.contains("tokens_per_usd"));
}

TEST(prices, only_profiles_as_they_are_have_one) {
  const Prices prices{books(), std::nullopt};
  EXPECT_TRUE(prices.of("h100-sxm"));
  EXPECT_FALSE(prices.of("host") || prices.of("h100-sxm@link=50GB/s") || prices.of("h800-sxm"));
  EXPECT_EQ(prices.absence_of("h800-sxm"),
            "no market quote found (2026-05_market); elsewhere: 2025-02_deepseek:rental_assumed $2.00/h, assumption; "
            "2026-03_tco:rental_3y $1.30/h, model");
  EXPECT_NE(error_of([] { Prices{books(), "2025-02_deepseeek"}.of("host"); }).find("did you mean"), std::string::npos);
}

TEST(report, the_summary_names_the_extremes_and_the_weakest_basis) {
  std::vector<Record> records = test::scaled_pair();
  for (const Record& record : test::scaled_pair()) records.push_back(with_tokens(record, 256));
  for (double& sample : records[3].time.samples) sample /= 2;  // 256 tokens: twice 0.685
  records[2].basis = records[3].basis = Basis::emulated;
  const ReportInput input = make_report(set_of(records), {books(), std::nullopt});
  EXPECT_EQ(summary_of(input, groups_of(input)),
            std::vector<std::string>{
                "h800-sxm against h100-sxm in 2 cases: 0.685 [0.675, 0.695] (moe_layer tokens=64) to 1.370 [1.350, 1.390] "
                "(moe_layer tokens=256) times the throughput; at $2.00/h (2026-05 market, rental_on_demand, survey) for the "
                "h100-sxm, the h800-sxm breaks even at $1.37/h [1.35, 1.39] to $2.74/h [2.70, 2.78]; 0.685 [0.675, 0.695] "
                "to 1.370 [1.350, 1.390] times the work per joule (provisioned power); scaled"});
}

TEST(report, many_targets_are_compared_with_the_first_one_only) {
  std::vector<Record> records;
  for (const char* link : {"400", "200", "100", "50"})
    records.push_back(test::scaled_record(std::string("h100-sxm@link=") + link + "GB/s", test::constant_samples(5.8e-3), 5.8e-3));
  const ReportInput input = make_report(set_of(records), {});
  EXPECT_EQ(input.comparisons.size(), 6U);
  const ReportCase only = groups_of(input).at(0).cases.at(0);
  EXPECT_EQ(only.comparisons.size(), 3U);
  EXPECT_EQ(only.comparisons_left_out, 3U);
  EXPECT_NE(render_report("table", set_of(records), {}, plain(80)).find("3 more pairs of targets: --format json"),
            std::string::npos);
}

TEST(report, kernels_side_by_side_have_a_column) {
  std::vector<Record> records = test::scaled_pair();
  records.push_back(test::scaled_pair()[0]);
  records[2].kernel = "onednn";
  records[2].case_id = "other";
  const std::string text = render_report("table", set_of(records), {}, plain(120));
  EXPECT_NE(text.find("kernel"), std::string::npos);
  EXPECT_NE(text.find("onednn      cpu as h100-sxm"), std::string::npos);
  EXPECT_EQ(groups_of(make_report(set_of(records), {}))[0].cases.size(), 1U);
}

TEST(report, a_case_is_called_by_its_model_label_where_that_is_enough) {
  std::vector<Record> records = test::scaled_pair();
  for (const Record& record : test::scaled_pair()) records.push_back(with_tokens(record, 256));
  records[2].provenance["label"] = records[3].provenance["label"] = "mixtral/moe";
  std::vector<ReportCase> cases = groups_of(make_report(set_of(records), {}))[0].cases;
  EXPECT_EQ(cases[0].title, "deepseek-v3/moe tokens=64");
  EXPECT_EQ(cases[0].short_title, "deepseek-v3/moe");
  EXPECT_EQ(cases[1].short_title, "mixtral/moe");
  records[2].provenance["label"] = records[3].provenance["label"] = "deepseek-v3/moe";
  cases = groups_of(make_report(set_of(records), {}))[0].cases;
  EXPECT_EQ(cases[1].short_title, "tokens=256");
}

TEST(report, nothing_to_report_is_no_crash) {
  for (const Format& format : Registry<Format>::instance().all())
    EXPECT_FALSE(format.render(make_report({}, {}), plain(80)).empty()) << format.name;
}

TEST(csv, has_one_stable_header_and_as_many_fields_in_every_line) {
  const auto fields_of = [](const std::string& line) {
    std::vector<std::string> fields(1);
    bool in_quotes = false;
    for (const char c : line) {
      if (c == '"') in_quotes = !in_quotes;
      if (c == ',' && !in_quotes)
        fields.emplace_back();
      else
        fields.back() += c;
    }
    return fields;
  };
  const std::string text = rendered("csv", plain(80));
  std::vector<std::string> lines;
  for (std::size_t at = 0, end; (end = text.find("\r\n", at)) != std::string::npos; at = end + 2)
    lines.push_back(text.substr(at, end - at));
  ASSERT_EQ(lines.size(), 12U);  // header and 11 records; the line break in a reason is a bare \n inside quotes
  const std::vector<std::string> header = fields_of(lines[0]);
  EXPECT_EQ(render_report("csv", {}, {}, plain(80)), lines[0] + "\r\n");
  for (const std::string& line : lines) EXPECT_EQ(fields_of(line).size(), header.size()) << line;
  const auto field = [&](std::size_t record, const std::string& title) {
    return fields_of(lines[record + 1])[static_cast<std::size_t>(std::find(header.begin(), header.end(), title) - header.begin())];
  };
  EXPECT_EQ(field(0, "tokens_per_s"), "64000000");
  EXPECT_EQ(field(0, "price_book"), "2026-05_market");
  EXPECT_EQ(field(1, "tokens_per_usd"), "");
  EXPECT_EQ(field(1, "price_usd_per_h"), "");
  EXPECT_EQ(field(4, "cap_link_status"), "missed");
  EXPECT_EQ(field(7, "reason"), "\"=HYPERLINK(\"\"x\"\")\"");
  EXPECT_EQ(field(10, "host_time_ci_low_s"), "");
}

TEST(markdown, text_of_a_stranger_stays_text) {
  const std::string text = rendered("markdown", plain(80));
  EXPECT_NE(text.find("killed by ?\\[31mSIGSEGV?\\[0m \\| \\`rm -rf\\` &lt;b>now&lt;/b>"), std::string::npos);
  std::size_t width = 0;
  for (const std::string& line : split(text, '\n')) {
    if (line.empty() || line.front() != '|') {
      width = 0;
      continue;
    }
    std::size_t pipes = 0;
    for (std::size_t i = 0; i < line.size(); ++i) pipes += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1U : 0U;
    EXPECT_TRUE(width == 0 || pipes == width) << line;
    width = pipes;
  }
}

TEST(json, holds_every_record_as_it_was_and_every_comparison) {
  const Json report = Json::parse(rendered("json", plain(80)));
  EXPECT_EQ(report["schema"], "chokepoint/report/1");
  ASSERT_EQ(report["records"].size(), 11U);
  EXPECT_EQ(report["records"][0]["record"].dump(), to_json(everything().records[0]).dump());
  EXPECT_EQ(report["records"][0]["metrics"]["tokens_per_s"]["value"], 64e6);
  EXPECT_EQ(report["records"][0]["place"]["line"], 1);
  EXPECT_TRUE(report["records"][1]["price"].is_null());
  ASSERT_EQ(report["comparisons"].size(), 3U);
  EXPECT_NEAR(report["comparisons"][0]["break_even_b_usd_per_h"]["ci_low"].get<double>(), 1.35, 1e-12);
  EXPECT_EQ(report["comparisons"][2]["basis"], "emulated");
  EXPECT_EQ(report["comparisons"][0]["same_caps"], true);
  EXPECT_EQ(report["cut_lines"][0]["line"], 12);
}

TEST(report, how_many_multiprocessors_a_wire_had_is_told) {
  Record record = test::scaled_record("h100-sxm", test::constant_samples(0.1), 0.1);
  record.provenance["wire_multiprocessors"] = 20;
  record.provenance["product_multiprocessors"] = 112;
  Record other = test::scaled_record("h800-sxm", test::constant_samples(0.1), 0.1);
  const auto text = [&] { return render_report("markdown", set_of({record, other}), {books(), std::nullopt}, plain(120)); };
  EXPECT_NE(text().find("a wire beside products had 20 SMs of its own and products 112, in 1 record"), std::string::npos)
      << text();
  other.provenance = record.provenance;
  EXPECT_NE(text().find("products 112, in 2 records"), std::string::npos) << text();
}

TEST(report, wall_time_outside_the_load_of_the_kernels_is_told) {
  Record record = test::scaled_record("h100-sxm", test::constant_samples(0.1), 0.1);
  record.provenance["step_s"] = {{"prepare", 1.0}, {"warm_up", 0.5}, {"sample", 2.0}, {"verify", 0.49}, {"engage", 0.01}};
  Record other = test::scaled_record("h800-sxm", test::constant_samples(0.1), 0.1);
  other.provenance["step_s"] = {{"sample", 1.0}, {"prepare", 1.0}};
  const std::string text = render_report("markdown", set_of({record, other}), {books(), std::nullopt}, plain(120));
  EXPECT_NE(text.find("wall time: 6 s, of which 58 % under load of the kernels measured; prepare 33 %, verify 8 %"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace chokepoint
