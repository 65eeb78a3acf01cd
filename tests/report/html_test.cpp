// The HTML report: what it says first, what stands behind every picture, and that no text of a record becomes markup.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "harness/base/strings.hpp"
#include "harness/metrics/metric.hpp"
#include "harness/model/recorded_trace.hpp"
#include "harness/report/html/answer.hpp"
#include "harness/report/html/assets.hpp"
#include "harness/report/html/what_if.hpp"
#include "tests/report/golden.hpp"
#include "tests/report/markup_check.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

using test::books;
using test::everything;
using test::read_page;
using test::set_of;

// Six runs at 1.0 us and six at 1.2 us, the ninth a spike; two claims; the shipped cost book.
ReportBeside beside(const std::string& case_id, const std::string& text = "abc1234") {
  ReportBeside beside;
  beside.history_file = text;
  beside.history_cases = 3;
  HistoryLine line{.case_id = case_id, .machine = text, .levels = {{0, 6, 1e-6, 1e-6}, {6, 12, 1.2e-6, 1.2e-6}}};
  for (int i = 0; i < 12; ++i) {
    const double seconds = i == 8 ? 3e-6 : i < 6 ? 1e-6 : 1.2e-6;
    line.dots.push_back({text + std::to_string(i), "2026-11-0" + text, text, seconds,
                         Interval{0.99 * seconds, 1.01 * seconds}, i == 8});
  }
  line.steps = {{6, 1.2, {1.19, 1.21}, text}};
  beside.history = {line};
  beside.has_claims = true;
  beside.claims = {{.id = text, .statement = text, .number = text, .unit = "h", .published = 180.0, .derived = 177.0,
                    .interval = Interval{169.0, 186.0}, .verdict = "CONSISTENT_BUT_WIDE", .reason = text, .inputs = text,
                    .source = text, .side = ClaimSide::open},
                   {.id = text + "2", .statement = text, .number = "", .unit = text, .published = std::nullopt,
                    .derived = std::nullopt, .interval = std::nullopt, .verdict = "NOT_TESTABLE", .reason = text,
                    .inputs = text, .source = text, .side = ClaimSide::open}};
  beside.costs = find_cost_book(load_cost_books(CHOKEPOINT_SOURCE_DIR "/configs"), "2026-11_estimates");
  return beside;
}

Json trace_of_power(const std::string& source) {
  RecordedTrace trace{.source = source, .load = "energy", .points = {}, .windows_s = {{0.5, 1.5}, {1.5, 2.5}}};
  for (int i = 0; i < 30; ++i) trace.points.push_back({0.1 * i, 100.0 + 20 * std::min(i, 20), 1.9e9, 50.0});
  return to_json(trace);
}

std::string page_with_all(RecordSet set, const std::string& text = "abc1234") {
  for (Record& record : set.records) record.provenance["power_trace"] = trace_of_power(text);
  return render_report("html", std::move(set), {books(), std::nullopt}, {}, beside("x#1", text));
}

std::string page_of(RecordSet set, std::optional<std::string> choice = std::nullopt) {
  return render_report("html", std::move(set), {books(), std::move(choice)}, {});
}

// Without the style sheet and our script, which change for other reasons.
std::string without_assets(std::string page) {
  for (const std::string_view asset : {kPageStyle, kPageScript})
    if (const std::size_t at = page.find(asset); at != std::string::npos) page.replace(at, asset.size(), "...");
  return std::regex_replace(page, std::regex("sha256-[A-Za-z0-9+/=]+"), "sha256-...");
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

// Eleven caps on the link: half of the rate doubles what the link adds to 1 ms, in records sampled in turn.
RecordSet sweep() {
  std::vector<Record> records;
  for (const double gb_per_s : {400.0, 200.0, 100.0, 50.0}) {
    const double time_s = 1e-3 + 20e-6 * 400.0 / gb_per_s;  // 1.02, 1.04, 1.08, 1.16 ms
    Record record =
        test::scaled_record(fmt::format("h100-sxm@link={}GB/s", gb_per_s), test::constant_samples(time_s), time_s);
    record.caps[0].target_rate = gb_per_s * 1e9;
    record.interleave_group = "sweep";
    records.push_back(record);
  }
  return set_of(std::move(records));
}

TEST(html, page_looks_as_in_the_golden_file) {
  test::expect_golden("report.html", without_assets(page_of(set_of(test::scaled_pair()))));
}

TEST(html, every_page_is_well_formed_and_asks_for_nothing_from_outside) {
  RecordSet empty;
  for (const std::string& page : {page_of(everything()), page_of(set_of(test::scaled_pair())), page_of(sweep()),
                                  page_of(empty), page_of(everything(), "2026-03_tco:rental_3y")}) {
    EXPECT_EQ(read_page(page).fault, "");
    for (const char* outside :
         {"http:", "https:", "url(", "@import", " src=", "<link", "fetch(", "XMLHttpRequest", "eval("})
      EXPECT_EQ(page.find(outside), std::string::npos) << outside;
    EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
  }
}

TEST(html, every_picture_has_a_title_a_description_a_table_and_its_credentials) {
  for (const std::string& page : {page_of(everything()), page_of(sweep())}) {
    const std::size_t pictures = count(page, "<svg ");
    EXPECT_GT(pictures, 2U);
    EXPECT_EQ(pictures, count(page, "<figure>"));
    EXPECT_EQ(pictures, count(page, "<desc "));
    EXPECT_EQ(pictures, count(page, "The table behind this picture"));
    EXPECT_GE(count(page, "s)</summary>\n<div class=\"scroll\"") + count(page, "row)</summary>\n<div class=\"scroll\""), pictures);
    EXPECT_EQ(pictures, count(page, "<p>Basis: "));
    for (const char* word : {"Samples: n = ", "Interval: ", "Source: results/hand/records.jsonl"})
      EXPECT_GE(count(page, word), pictures) << word;
    EXPECT_EQ(count(page, "class=\"pt "), count(page, "role=\"img\""));
    EXPECT_GT(count(page, "class=\"pt "), 3U);
  }
}

TEST(html, history_claims_costs_and_power_over_time_are_shown_where_they_are_known) {
  const std::string page = page_with_all(set_of(test::scaled_pair()));
  EXPECT_EQ(read_page(page).fault, "");
  for (const char* section : {"history", "claims", "tornado", "power_trace"})
    EXPECT_EQ(count(page, fmt::format("<section id=\"{}\"", section)), 1U) << section;
  EXPECT_EQ(count(page, "+20.0 % at abc1234"), 1U) << "the step at its commit, by its first seven letters";
  EXPECT_NE(page.find("+20.0 % [+19.0 %, +21.0 %]; abc1234"), std::string::npos) << "with interval and doubt";
  EXPECT_EQ(count(page, ", a spike"), 1U);
  EXPECT_NE(page.find("<td class=\"n\" data-v=\"180\">180 h</td>"), std::string::npos);
  EXPECT_NE(page.find("177 [169, 186] h"), std::string::npos);
  EXPECT_NE(page.find(">NOT_TESTABLE</td>"), std::string::npos) << "a claim without a number stays in the table";
  // $2.00 [1.50, 5.00] for the h100-sxm, ratio 0.685: even at $1.37, from $1.03 to $3.43
  EXPECT_NE(page.find("$1.37/h with every middle"), std::string::npos);
  EXPECT_NE(page.find("$1.03/h to $3.43/h"), std::string::npos);
  EXPECT_NE(page.find("h800-sxm against h100-sxm, bought"), std::string::npos);
  EXPECT_NE(page.find("2.000 s: 500.0 W, 1900 MHz, 50"), std::string::npos);
  EXPECT_EQ(count(page, "class=\"window\""), 4U) << "two windows of two records";
}

TEST(html, what_is_not_known_is_not_drawn_and_said) {
  const std::string page = page_of(set_of(test::scaled_pair()));
  for (const char* section : {"history", "claims", "tornado", "power_trace"})
    EXPECT_EQ(count(page, fmt::format("<section id=\"{}\"", section)), 0U) << section;
  for (const char* why : {"no history was named", "no claims were asked for", "no cost book was given",
                          "no record keeps a trace of power"})
    EXPECT_NE(page.find(why), std::string::npos) << why;
  ReportBeside other;
  other.history_file = "h.sqlite";
  other.history_cases = 3;
  EXPECT_NE(render_report("html", set_of(test::scaled_pair()), {books(), std::nullopt}, {}, other)
                .find("none of the 3 cases in h.sqlite"),
            std::string::npos);
}

TEST(html, of_a_long_history_the_latest_runs_are_drawn) {
  ReportBeside long_one = beside("x#1");
  long_one.has_claims = false;
  HistoryLine& line = long_one.history[0];
  line.dots.resize(1200, line.dots[0]);
  line.levels = {{0, 1000, 1e-6, 1e-6}, {1000, 1200, 1.2e-6, 1.2e-6}};
  line.steps = {{1000, 1.2, {1.1, 1.3}, ""}};
  const std::string page = render_report("html", set_of(test::scaled_pair()), {books(), std::nullopt}, {}, long_one);
  EXPECT_NE(page.find("The latest 200 of 1200 runs."), std::string::npos);
  EXPECT_EQ(count(page, "<th scope=\"row\">abc1234</th>"), 200U);
}

TEST(html, ids_are_unique_and_links_lead_somewhere) {
  std::set<std::string> ids;
  const test::Page page = read_page(page_with_all(everything()));
  for (const std::string& attribute : page.attributes)
    EXPECT_TRUE(!attribute.starts_with("id=") || ids.insert(attribute.substr(3)).second) << attribute;
  for (const std::string& attribute : page.attributes)
    EXPECT_TRUE(!attribute.starts_with("href=#") || ids.contains(attribute.substr(6))) << attribute;
}

// Every text a record, a price or a path can hold.
void fill_with(const std::string& text, RecordSet& set, std::vector<PriceBook>& prices) {
  int i = 0;
  for (Record& record : set.records) {
    const std::string own = text + std::to_string(++i);
    record.run_id = record.case_id = record.kernel = record.reason = own;
    record.operation = text;
    record.target = text + (i % 2 == 0 ? "even" : "odd");
    record.interleave_group = record.interleave_group.empty() ? "" : text;
    record.time.stopped_by = record.time.regime = own;
    if (record.energy.basis != "absent") record.energy.basis = text;
    record.energy.scope = record.energy.source = text;
    record.energy.flags = {own, text};
    record.device = {{"kind", text}, {"name", text}, {"architecture", own}, {"workers", own}};
    record.provenance = {{"label", text},
                         {"suite", own},
                         {"git", own},
                         {"version", own},
                         {"build", own},
                         {"driver", own},
                         {"finished", own},
                         {"seed", text},
                         {"input_distribution", text},
                         {"clocks",
                          {{"throttle_reasons", {own}},
                           {"power_w", {{"min", 1.0}, {"median", 2.0}, {"max", 3.0}}},
                           {"sm_clock_hz", {{"median", 1e9}}},
                           {"samples", 3}}}};
    record.shape = Shape{{"tokens", text}, {"overlap", own}};
    for (CapRecord& cap : record.caps) cap.mechanism = cap.target_rate_kind = own;
  }
  for (Place& place : set.places) place.file = text;
  for (std::string& file : set.files) file = text;
  for (Place& place : set.cut_lines) place.file = text;
  for (PriceBook& book : prices) {
    book.id = book.date = book.seller = text;
    for (PriceItem& item : book.items) item.source = item.note = item.term = text, item.profile = text + "even";
    for (PriceAbsence& absence : book.absent) absence.reason = text, absence.profile = text + "odd";
  }
}

TEST(html, hostile_texts_stay_texts) {
  const std::string hostile =
      "</script></title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>\"' onfocus=alert(1) "
      "autofocus x=\"&lt;<!--]]>{{}}\x1b[31m\xe2\x80\xae\xff";
  std::string harmless = hostile;
  std::replace_if(
      harmless.begin(), harmless.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, 'a');
  std::vector<std::vector<std::string>> tags;
  for (const std::string& text : {hostile, harmless}) {
    RecordSet set = everything();
    std::vector<PriceBook> prices = books();
    fill_with(text, set, prices);
    for (Record& record : set.records) record.provenance["power_trace"] = trace_of_power(text);
    const std::string page = render_report("html", std::move(set), {prices, std::nullopt}, {}, beside(text, text));
    const test::Page read = read_page(page);
    EXPECT_EQ(read.fault, "");
    EXPECT_EQ(count(page, "<script"), 2U);
    EXPECT_EQ(page.find("<img"), std::string::npos);
    EXPECT_EQ(page.find('\x1b'), std::string::npos);
    tags.push_back(read.tags);
  }
  EXPECT_EQ(tags[0], tags[1]);
}

TEST(answer, says_what_is_lost_the_break_even_price_and_the_basis) {
  const ReportInput input = make_report(set_of(test::scaled_pair()), {books(), std::nullopt});
  const std::vector<ReportGroup> groups = groups_of(input);
  const PageAnswer answer = answer_of({input, groups});
  EXPECT_EQ(answer.headline, "What an h800-sxm costs you against an h100-sxm");
  // throughput 0.685 [0.675, 0.695]: 31.5 % [30.5, 32.5] lost; $2.00 * 0.685 = $1.37
  EXPECT_EQ(answer.sentences.at(0),
            "Against an h100-sxm, an h800-sxm loses 31.5 % [30.5, 32.5] of its work per hour.");
  EXPECT_EQ(answer.sentences.at(1), "In moe_layer deepseek-v3/moe.");
  EXPECT_EQ(answer.sentences.at(2),
            "It pays off below 68.5 % of the h100-sxm's price: $1.37/h [1.35, 1.39] against $2.00/h (2026-05 market, "
            "rental_on_demand, survey).");
  EXPECT_EQ(answer.basis.substr(0, 7), "scaled:");
}

TEST(answer, targets_that_differ_in_nothing_a_case_uses_are_said_to_tie) {
  std::vector<Record> records = test::scaled_pair();
  for (const Record& record : test::scaled_pair()) {
    records.push_back(test::with_tokens(record, 256));
    records.back().time.samples = test::constant_samples(1e-3);
    records.back().caps[0].requested = 1e6;
  }
  records[1].caps[0].requested = 5e6;
  const ReportInput input = make_report(set_of(std::move(records)), {books(), std::nullopt});
  const std::vector<ReportGroup> groups = groups_of(input);
  const PageAnswer answer = answer_of({input, groups});
  EXPECT_NE(joined(answer.sentences, " ").find("1 of 2 cases use nothing that differs"), std::string::npos)
      << joined(answer.sentences, "\n");
}

TEST(answer, a_pair_that_should_tie_and_does_not_is_a_loss) {
  const ReportInput input =
      make_report(set_of(test::scaled_pair()), {books(), std::nullopt});  // the same caps, 0.685
  const std::vector<ReportGroup> groups = groups_of(input);
  EXPECT_NE(answer_of({input, groups}).sentences.at(0).find("loses 31.5 %"), std::string::npos);
}

TEST(answer, without_two_targets_the_machine_itself_is_the_answer) {
  const ReportInput input = make_report(set_of({test::scaled_pair()[0]}), {books(), std::nullopt});
  const std::vector<ReportGroup> groups = groups_of(input);
  const PageAnswer answer = answer_of({input, groups});
  EXPECT_EQ(answer.headline, "What Two-core test machine does");
  EXPECT_NE(joined(answer.sentences, " ").find("No case ran on two targets"), std::string::npos);
}

TEST(answer, a_sweep_says_where_the_first_loss_is) {
  const ReportInput input = make_report(sweep(), {books(), std::nullopt});
  const std::vector<ReportGroup> groups = groups_of(input);
  const PageAnswer answer = answer_of({input, groups});
  EXPECT_EQ(answer.headline, "What a slower link costs an h100-sxm");
  EXPECT_NE(answer.sentences.at(0).find("makes it 1.14 times slower; the first 5 % are lost at"), std::string::npos)
      << answer.sentences[0];
}

TEST(what_if, at_the_prices_of_the_report_costs_are_those_of_the_metrics) {
  const ReportInput input = make_report(set_of(test::scaled_pair()), {books(), std::nullopt});
  const Record& record = input.set.records[0];
  const double metric = input.rows[0].metrics.at("usd_per_million_tokens").value;
  EXPECT_DOUBLE_EQ(*usd_of_work({.usd_per_h = 2.0}, *record.target_time_s(), record.work.tokens, 1e6), metric);
  // 1 us / 3600 s * $2 / 64 tokens * 1e6 = $8.68e-6
  EXPECT_NEAR(metric, 1e-6 / 3600 * 2 / 64 * 1e6, 1e-12);
}

TEST(what_if, electricity_pue_and_utilisation_enter_as_the_formula_says) {
  // ($2 + 0.1 $/kWh * 1.5 * 0.7 kW) / 0.5 = $4.21 per useful hour
  const HourCost a{
      .usd_per_h = 2.0, .electricity_usd_per_kwh = 0.1, .pue = 1.5, .power_w = 700.0, .utilisation = 0.5};
  EXPECT_NEAR(*usd_per_useful_hour(a), 4.21, 1e-12);
  EXPECT_NEAR(*usd_of_work(a, 3600.0, 2.0, 10.0), 21.05, 1e-12);
  // b at 0.8 of the throughput, 350 W, always in use: 0.8 * 4.21 * 1 - 0.15 * 0.35 = $3.3155
  const HourCost b{.usd_per_h = 0.0, .electricity_usd_per_kwh = 0.1, .pue = 1.5, .power_w = 350.0};
  EXPECT_NEAR(*break_even_usd_per_h(a, b, 0.8), 3.3155, 1e-12);
  EXPECT_FALSE(usd_per_useful_hour({.usd_per_h = 2.0, .electricity_usd_per_kwh = 0.1}));
}

TEST(format, is_chosen_by_the_ending_of_the_file) {
  EXPECT_EQ(format_of_file("x/report.html")->name, "html");
  EXPECT_EQ(format_of_file("report.md")->name, "markdown");
  EXPECT_EQ(format_of_file("r.csv")->name, "csv");
  EXPECT_EQ(format_of_file("junit.xml")->name, "junit");
  EXPECT_EQ(format_of_file("report.txt"), nullptr);
  EXPECT_EQ(format_of_file(""), nullptr);
}

}  // namespace
}  // namespace chokepoint
