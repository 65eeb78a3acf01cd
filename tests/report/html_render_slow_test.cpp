// The HTML report in a browser, and its script against the C++ formulas. Skipped where neither Chromium nor node is
// installed: nothing else needs them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "harness/base/files.hpp"
#include "harness/report/html/assets.hpp"
#include "harness/report/html/what_if.hpp"
#include "tests/report/samples.hpp"

namespace chokepoint {
namespace {

struct Output {
  std::string text;
  int status = 0;
};

Output output_of(const std::string& command) {
  Output output;
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return {.text = "", .status = -1};
  std::array<char, 1 << 16> buffer{};
  for (std::size_t n = 0; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    output.text.append(buffer.data(), n);
  output.status = pclose(pipe);
  return output;
}

std::string program_of(const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (output_of("command -v " + name).status == 0) return name;
  return "";
}

class Rendered : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("chokepoint_html_{}", getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ / name; }

  std::string write_page() const {
    replace_file(path("report.html"),
                 render_report("html", test::set_of(test::scaled_pair()), {test::books(), std::nullopt}, {}));
    return path("report.html");
  }

  // Headless, with a profile of its own that goes with the folder.
  Output chromium(const std::string& flags) const {
    return output_of(fmt::format(
        "timeout 60 {} --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir={} {} file://{}",
        browser_, path("profile"), flags, path("report.html")));
  }

  std::filesystem::path folder_;
  std::string browser_ = program_of({"chromium", "chromium-browser", "google-chrome"});
};

// Prices, electricity, PUE, power, utilisation, time and work far apart, among them everything that can be missing.
TEST_F(Rendered, the_scripts_formula_gives_the_numbers_of_the_cpp_formula) {
  const std::string node = program_of({"node", "nodejs"});
  if (node.empty()) GTEST_SKIP() << "node is not installed";
  std::string cases, expected;
  for (const double price : {0.52, 2.95, 14.9})
    for (const double electricity : {0.0, 0.087})
      for (const double pue : {1.0, 1.37})
        for (const double use : {1.0, 0.43})
          for (const std::optional<double>& power : {std::optional(700.0), std::optional<double>()})
            for (const double ratio : {0.2, 0.685, 1.1}) {
              const HourCost a{.usd_per_h = price,
                               .electricity_usd_per_kwh = electricity,
                               .pue = pue,
                               .power_w = power,
                               .utilisation = use};
              const HourCost b{.usd_per_h = price,
                               .electricity_usd_per_kwh = electricity,
                               .pue = pue,
                               .power_w = 350.0,
                               .utilisation = 0.9};
              const auto js = [](const HourCost& cost) {
                return fmt::format("{{usdPerHour:{},electricity:{},pue:{},powerW:{},utilisation:{}}}", cost.usd_per_h,
                                   cost.electricity_usd_per_kwh, cost.pue,
                                   cost.power_w ? fmt::format("{}", *cost.power_w) : "null", cost.utilisation);
              };
              cases += fmt::format("[{},{},{}],\n", js(a), js(b), ratio);
              const auto line = [](const std::optional<double>& value) {
                return value ? fmt::format("{:.12e}\n", *value) : std::string("null\n");
              };
              expected += line(usd_of_work(a, 1.46e-6, 64.0, 1e6)) + line(break_even_usd_per_h(a, b, ratio));
            }
  replace_file(path("formula.js"),
               std::string(kPageScript) +
                   "const say = x => console.log(x === null ? 'null' : x.toExponential(12).replace(/e([+-])(\\d)$/, "
                   "'e$10$2'));\nfor (const [a, b, s] of [" +
                   cases + "]) { say(cost.usdOfWork(a, 1.46e-6, 64, 1e6)); say(cost.breakEven(a, b, s)); }\n");
  const Output output = output_of(node + " " + path("formula.js"));
  EXPECT_EQ(output.status, 0);
  EXPECT_EQ(output.text, expected);
}

TEST_F(Rendered, the_page_runs_in_chromium_and_shows_the_figures_of_the_report) {
  if (browser_.empty()) GTEST_SKIP() << "chromium is not installed";
  // At $4 instead of $2 for the h100-sxm: 0.685 * $4 = $2.74, which only the page's script can have written.
  std::string html = read_file(write_page());
  const std::size_t control = html.find("id=\"price-0\"");
  const std::size_t value = html.find("value=\"2\"", control);
  ASSERT_NE(value, std::string::npos);
  html.replace(value, 9, "value=\"4\"");
  replace_file(path("report.html"), html);
  const std::string page = chromium("--dump-dom").text;
  ASSERT_NE(page.find("class=\"scripted\""), std::string::npos) << "the page's script did not run";
  EXPECT_NE(page.find("data-hook=\"even-0\">$2.74/h</td>"), std::string::npos) << page.substr(page.find("even-0"), 100);
  EXPECT_NE(page.find("Break-even prices from $2.74 to $2.74 per hour."), std::string::npos);
  EXPECT_NE(page.find("<button type=\"button\">"), std::string::npos) << "tables cannot be sorted";
  EXPECT_NE(page.find("aria-label=\"moe_layer"), std::string::npos) << "points have lost their names";
}

TEST_F(Rendered, screenshots_and_print_come_out_in_all_widths_and_colours) {
  if (browser_.empty()) GTEST_SKIP() << "chromium is not installed";
  write_page();
  std::set<std::string> pictures;
  for (const int width : {500, 1200})  // Chromium's windows are 500 wide at least
    for (const char* scheme : {"", "--blink-settings=preferredColorScheme=0"}) {
      const std::string file = path(fmt::format("{}{}.png", width, scheme[0] == 0 ? "" : "dark"));
      chromium(fmt::format("{} --window-size={},1400 --screenshot={}", scheme, width, file));
      ASSERT_TRUE(std::filesystem::exists(file)) << file;
      const std::string png = read_file(file);
      EXPECT_GT(png.size(), 20000U) << "an empty page";
      pictures.insert(png);
    }
  EXPECT_EQ(pictures.size(), 4U) << "dark looks like light, or narrow like wide";
  chromium(fmt::format("--no-pdf-header-footer --print-to-pdf={}", path("report.pdf")));
  ASSERT_TRUE(std::filesystem::exists(path("report.pdf")));
  EXPECT_EQ(read_file(path("report.pdf")).substr(0, 5), "%PDF-");
}

}  // namespace
}  // namespace chokepoint
