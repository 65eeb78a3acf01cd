#include "harness/report/html/what_if.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "harness/base/units.hpp"
#include "harness/report/sentences.hpp"

namespace chokepoint {
namespace {

constexpr std::size_t kMostTargets = 6;    // with controls of their own
constexpr std::size_t kMostRowsOpen = 12;  // longer tables start folded
constexpr double kMostUsdPerHour = 20.0;   // of the sliders; a number typed beside them may be larger

std::vector<std::string> targets_of(const ReportInput& input) {
  std::vector<std::string> targets;
  for (const Record& record : input.set.records)
    if (record.status == Status::ok && std::find(targets.begin(), targets.end(), record.target) == targets.end())
      targets.push_back(record.target);
  const auto is_offered = [](const std::string& target) { return target.find('@') == std::string::npos; };
  if (std::any_of(targets.begin(), targets.end(), is_offered))  // nobody sells a profile with replaced rates
    targets.erase(std::remove_if(targets.begin(), targets.end(), std::not_fn(is_offered)), targets.end());
  if (targets.size() > kMostTargets) targets.resize(kMostTargets);
  return targets;
}

std::optional<std::size_t> place_of(const std::vector<std::string>& targets, const std::string& target) {
  const auto found = std::find(targets.begin(), targets.end(), target);
  return found == targets.end() ? std::nullopt : std::optional(static_cast<std::size_t>(found - targets.begin()));
}

bool is_tokens(const Record& record) { return record.work.tokens > 0.0; }
double work_of(const Record& record) { return is_tokens(record) ? record.work.tokens : record.work.flop; }
double amount_of(const Record& record) { return is_tokens(record) ? 1e6 : 1e18; }
const char* amount_text(const Record& record) { return is_tokens(record) ? "Mtoken" : "EFLOP"; }

std::string usd_text(std::optional<double> usd) { return usd ? fmt::format("${:.4g}", *usd) : "no price"; }

HourCost cost_of(const ReportInput& input, std::size_t record) {
  const std::optional<PriceQuote>& price = input.rows[record].price;
  return {.usd_per_h = price ? price->item.usd_per_gpu_h : 0.0, .power_w = input.set.records[record].energy.power_w};
}

std::vector<std::size_t> costed_records(const PictureInput& input, const std::vector<std::string>& targets) {
  std::vector<std::size_t> records;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.records) {
        const Record& record = input.report.set.records[i];
        if (record.status == Status::ok && work_of(record) > 0.0 && record.target_time_s() &&
            place_of(targets, record.target))
          records.push_back(i);
      }
  return records;
}

std::vector<std::size_t> priced_pairs(const PictureInput& input, const std::vector<std::string>& targets) {
  std::vector<std::size_t> pairs;
  for (const ReportGroup& group : input.groups)
    for (const ReportCase& one : group.cases)
      for (const std::size_t i : one.comparisons) {
        const Comparison& pair = input.report.comparisons[i];
        if (place_of(targets, input.report.set.records[pair.a].target) &&
            place_of(targets, input.report.set.records[pair.b].target))
          pairs.push_back(i);
      }
  return pairs;
}

std::string control(const std::string& id, const std::string& label, std::optional<double> value, double low,
                    double high, double step, const std::string& unit) {
  const auto input = [&](const char* type, const std::string& name) {
    const bool is_empty = !value && std::string_view(type) == "number";
    return fmt::format(
        "<input type=\"{}\" id=\"{}\" aria-label=\"{}\" min=\"{}\" max=\"{}\" step=\"{}\" value=\"{}\" "
        "placeholder=\"none\"/>",
        type, name, escaped_markup(label), low, high, step, is_empty ? "" : fmt::format("{}", value.value_or(0.0)));
  };
  return fmt::format("<div class=\"control\"><span>{}</span>{}{}<span>{}</span></div>\n", escaped_markup(label),
                     input("range", id + "-r"), input("number", id), unit);
}

std::string controls(const PictureInput& input, const std::vector<std::string>& targets) {
  std::string out = "<form class=\"controls script-only\" aria-label=\"Prices to try\">\n";
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::optional<PriceQuote> price = input.report.prices.of(targets[i]);
    out += control(fmt::format("price-{}", i), "Price of the " + targets[i],
                   price ? std::optional(price->item.usd_per_gpu_h) : std::nullopt, 0, kMostUsdPerHour, 0.01, "$/h");
  }
  for (std::size_t i = 0; i < targets.size(); ++i)
    out += control(fmt::format("use-{}", i), "Utilisation of the " + targets[i], 100.0, 1, 100, 1, "%");
  out += control("electricity", "Electricity on top of the price", 0.0, 0, 0.5, 0.005, "$/kWh");
  out += control("pue", "PUE: power of the building over that of the machines", 1.0, 1, 2, 0.01, "");
  return out + "<p><button type=\"reset\">Back to the prices of the report</button></p>\n</form>\n";
}

DataTable cost_table(const PictureInput& input, const std::vector<std::size_t>& records,
                     const std::vector<std::string>& names) {
  DataTable table{{{"case"}, {"target"}, {"cost of work", true}, {"per"}, {"basis"}, {"source"}}, {}};
  for (const std::size_t i : records) {
    const Record& record = input.report.set.records[i];
    const std::optional<double> usd =
        input.report.rows[i].price
            ? usd_of_work(cost_of(input.report, i), *record.target_time_s(), work_of(record), amount_of(record))
            : std::nullopt;
    table.rows.push_back({{.text = names[i]},
                          {.text = record.target},
                          {.text = usd_text(usd), .sort = usd, .hook = fmt::format("cost-{}", i)},
                          {.text = amount_text(record)},
                          {.text = basis_text(record)},
                          {.text = source_of(input.report, i)}});
  }
  return table;
}

DataTable pair_table(const PictureInput& input, const std::vector<std::size_t>& pairs,
                     const std::vector<std::string>& names) {
  DataTable table{{{"case"},
                   {"target"},
                   {"against"},
                   {"throughput ratio", true},
                   {"break-even price", true},
                   {"cost of the same work", true},
                   {"basis"}},
                  {}};
  for (const std::size_t i : pairs) {
    const Comparison& pair = input.report.comparisons[i];
    const Record &a = input.report.set.records[pair.a], &b = input.report.set.records[pair.b];
    const std::optional<double> even =
        pair.price_a ? break_even_usd_per_h(cost_of(input.report, pair.a), cost_of(input.report, pair.b),
                                            pair.throughput_ratio.value)
                     : std::nullopt;
    const Bounded& ratio = pair.throughput_ratio;
    table.rows.push_back({{.text = names[pair.b]},
                          {.text = b.target},
                          {.text = a.target},
                          {.text = ratio_text(ratio), .sort = ratio.value},
                          {.text = even ? fmt::format("${:.3g}/h", *even) : "no price",
                           .sort = even,
                           .hook = fmt::format("even-{}", i)},
                          {.text = pair.cost_ratio ? fmt::format("{:.3g} times", pair.cost_ratio->value) : "no price",
                           .sort = pair.cost_ratio ? std::optional(pair.cost_ratio->value) : std::nullopt,
                           .hook = fmt::format("ratio-{}", i)},
                          {.text = std::string(to_string(pair.basis))}});
  }
  return table;
}

}  // namespace

std::optional<double> usd_per_useful_hour(const HourCost& cost) {
  const double eps = cost.electricity_usd_per_kwh * cost.pue;
  if (eps > 0.0 && !cost.power_w) return std::nullopt;
  return (cost.usd_per_h + eps * cost.power_w.value_or(0.0) / 1000.0) / cost.utilisation;
}

std::optional<double> usd_of_work(const HourCost& cost, double time_s, double work, double amount) {
  const std::optional<double> usd_per_h = usd_per_useful_hour(cost);
  if (!usd_per_h) return std::nullopt;
  return time_s / kSecondsPerHour * *usd_per_h / work * amount;
}

std::optional<double> break_even_usd_per_h(const HourCost& a, const HourCost& b, double throughput_ratio) {
  const std::optional<double> usd_per_h = usd_per_useful_hour(a);
  const double eps = b.electricity_usd_per_kwh * b.pue;
  if (!usd_per_h || (eps > 0.0 && !b.power_w)) return std::nullopt;
  return throughput_ratio * *usd_per_h * b.utilisation - eps * b.power_w.value_or(0.0) / 1000.0;
}

std::string what_if_markup(const PictureInput& input) {
  const std::vector<std::string> targets = targets_of(input.report), names = case_names(input.report, input.groups);
  const std::vector<std::size_t> records = costed_records(input, targets), pairs = priced_pairs(input, targets);
  if (records.empty()) return "";
  std::string out =
      "<section id=\"what-if\" aria-labelledby=\"what-if-h\">\n<h2 id=\"what-if-h\">What if prices were "
      "others?</h2>\n";
  out +=
      "<p>Cost of work = (price + electricity &#215; PUE &#215; power) &#215; time / (work &#215; utilisation). The "
      "tables start at the prices of this report; "
      "rental prices include electricity.</p>\n<noscript><p>Moving prices needs this page's own script; the tables "
      "show the prices of the report.</p></noscript>\n";
  out += controls(input, targets);
  out += "<p id=\"what-if-says\" class=\"script-only\" aria-live=\"polite\"></p>\n";
  const auto fold = [&](const DataTable& table, const std::string& name) {
    if (!table.rows.empty())
      out += fmt::format("<details{}><summary>{} ({} row{})</summary>\n{}</details>\n",
                         table.rows.size() <= kMostRowsOpen ? " open=\"\"" : "", name, table.rows.size(),
                         table.rows.size() == 1 ? "" : "s", table_markup(table, name));
  };
  fold(pair_table(input, pairs, names), "Break-even prices and costs of the same work");
  fold(cost_table(input, records, names), "Cost of work of each record");
  return out + "</section>\n";
}

std::string what_if_data(const PictureInput& input) {
  const std::vector<std::string> targets = targets_of(input.report);
  Json records = Json::array(), pairs = Json::array(), names = Json::array();
  for (const std::string& target : targets) names.push_back(target);
  for (const std::size_t i : costed_records(input, targets)) {
    const Record& record = input.report.set.records[i];
    records.push_back({{"i", i},
                       {"target", *place_of(targets, record.target)},
                       {"time_s", *record.target_time_s()},
                       {"work", work_of(record)},
                       {"amount", amount_of(record)},
                       {"power_w", or_null(record.energy.power_w)}});
  }
  for (const std::size_t i : priced_pairs(input, targets)) {
    const Comparison& pair = input.report.comparisons[i];
    const Record &a = input.report.set.records[pair.a], &b = input.report.set.records[pair.b];
    pairs.push_back({{"i", i},
                     {"a", *place_of(targets, a.target)},
                     {"b", *place_of(targets, b.target)},
                     {"s", pair.throughput_ratio.value},
                     {"power_a_w", or_null(a.energy.power_w)},
                     {"power_b_w", or_null(b.energy.power_w)}});
  }
  const Json data = {{"targets", names}, {"records", records}, {"pairs", pairs}};
  return escaped_json(data.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace chokepoint
