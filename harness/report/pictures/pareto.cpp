// Which choices are cheapest in money and in energy at once? Dollars against joules per unit of work, one panel per
// operation; hollow marks have a better choice for the same case in both.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

struct Value {
  double middle = 0.0;
  std::optional<double> low, high;
};

struct ParetoSpot {
  std::size_t record = 0;
  Value usd, joule;
  PriceQuote price;
  bool is_supposed = false;  // at a price that is not the report's: takes no part in the choice
  bool is_dominated = false;
};

struct Unit {
  std::string name;  // "million tokens"
  std::string rate;  // stem of the metrics
  double amount = 1.0;
};

const Unit kTokens{"million tokens", "tokens", 1e6}, kFlop{"10^18 FLOP", "flop", 1e18};

// Of a metric that says how much work one dollar, joule or second buys: what `amount` of work takes.
std::optional<Value> price_of_work(const ReportRow& row, const std::string& metric, double amount) {
  const auto found = row.metrics.find(metric);
  if (found == row.metrics.end() || found->second.value <= 0.0) return std::nullopt;
  const MetricValue& per = found->second;
  const auto inverse = [&](const std::optional<double>& value) {
    return value && *value > 0.0 ? std::optional(amount / *value) : std::nullopt;
  };
  return Value{amount / per.value, inverse(per.ci_high), inverse(per.ci_low)};
}

// The price of the report, else the newest of any book: a supposition that is labelled as one.
std::optional<PriceQuote> price_of(const Prices& prices, const std::string& target, bool& is_supposed) {
  if (std::optional<PriceQuote> price = prices.of(target)) return price;
  is_supposed = true;
  std::optional<PriceQuote> newest;
  for (const PriceBook& book : prices.books)
    for (const PriceItem& item : book.items)
      if (item.profile == target)
        newest = PriceQuote{item, book.id, book.date, book.seller, book.source_kind, book.hash};
  return newest;
}

std::optional<ParetoSpot> pareto_spot_of(const ReportInput& input, std::size_t record, const Unit& unit) {
  ParetoSpot spot{.record = record, .usd = {}, .joule = {}, .price = {}};
  const std::optional<PriceQuote> price = price_of(input.prices, input.set.records[record].target, spot.is_supposed);
  const std::optional<Value> seconds = price_of_work(input.rows[record], unit.rate + "_per_s", unit.amount);
  const std::optional<Value> joule = price_of_work(input.rows[record], unit.rate + "_per_j", unit.amount);
  if (!price || !seconds || !joule) return std::nullopt;
  const auto usd = [&](const std::optional<double>& s) {
    return s ? std::optional(*s / kSecondsPerHour * price->item.usd_per_gpu_h) : std::nullopt;
  };
  spot.usd = {*usd(seconds->middle), usd(seconds->low), usd(seconds->high)};
  spot.joule = *joule;
  spot.price = *price;
  return spot;
}

// Returns whether some case has a choice at all.
bool mark_dominated(const ReportInput& input, const std::vector<std::string>& cases, std::vector<ParetoSpot>& spots) {
  bool has_rivals = false;
  for (ParetoSpot& spot : spots)
    for (const ParetoSpot& other : spots) {
      const bool is_rival =
          &other != &spot && cases[other.record] == cases[spot.record] &&
          device_name(input.set.records[other.record]) == device_name(input.set.records[spot.record]);
      has_rivals = has_rivals || is_rival;
      if (!is_rival || spot.is_supposed || other.is_supposed) continue;
      const bool is_no_worse = other.usd.middle <= spot.usd.middle && other.joule.middle <= spot.joule.middle;
      spot.is_dominated =
          spot.is_dominated ||
          (is_no_worse && (other.usd.middle < spot.usd.middle || other.joule.middle < spot.joule.middle));
    }
  return has_rivals;
}

std::string dollars(const Value& value) {
  const std::string interval =
      value.low && value.high ? fmt::format("{:.4g}, {:.4g}", *value.low, *value.high) : "no interval";
  return fmt::format("${:.3g} [{}]", value.middle, interval);
}
std::string joules(const Value& value) { return figure_text(value.middle, value.low, value.high, "J"); }

std::string choice_text(const ParetoSpot& spot) {
  return spot.is_supposed    ? "supposed price, no verdict"
         : spot.is_dominated ? "another one is better in both"
                             : "none is better in both";
}

// What one panel shows.
struct ParetoChart {
  const PictureInput& input;
  const std::vector<std::string>& names;
  std::string operation;
  Unit unit;
  std::vector<ParetoSpot> spots;
  std::vector<std::string> targets = {};  // by series

  const Record& record_of(const ParetoSpot& spot) const { return input.report.set.records[spot.record]; }
  std::size_t shown() const { return std::min(targets.size(), kMostSeries); }
};

std::vector<std::string> pareto_targets_of(const ParetoChart& chart) {
  std::vector<std::string> targets;
  for (const ParetoSpot& spot : chart.spots)
    if (const std::string& target = chart.record_of(spot).target;
        std::find(targets.begin(), targets.end(), target) == targets.end())
      targets.push_back(target);
  return targets;
}

void draw_pareto_spots(Canvas& canvas, const ParetoChart& chart, const Scale& x, const Scale& y) {
  for (const ParetoSpot& spot : chart.spots) {
    const std::string& target = chart.record_of(spot).target;
    const auto series = static_cast<std::size_t>(std::find(chart.targets.begin(), chart.targets.end(), target) -
                                                 chart.targets.begin());
    if (series >= chart.shown()) continue;
    canvas.point({x.at(spot.usd.middle), y.at(spot.joule.middle)}, series,
                 fmt::format("{} as {}: {} and {} per {}; {} ({})", chart.names[spot.record], target,
                             dollars(spot.usd), joules(spot.joule), chart.unit.name, choice_text(spot),
                             source_of(chart.input.report, spot.record)),
                 spot.is_dominated  ? "open"
                 : spot.is_supposed ? "thin"
                                    : "",
                 3.6);
  }
}

DataTable pareto_table_of(const ParetoChart& chart) {
  DataTable table{{{"case"},
                   {"target"},
                   {"$ per " + chart.unit.name, true},
                   {"J per " + chart.unit.name, true},
                   {"choice"},
                   {"basis, samples, source"}},
                  {}};
  for (const ParetoSpot& spot : chart.spots)
    table.rows.push_back({{chart.names[spot.record]},
                          {chart.record_of(spot).target},
                          {dollars(spot.usd), spot.usd.middle},
                          {joules(spot.joule), spot.joule.middle},
                          {choice_text(spot)},
                          {source_of(chart.input.report, spot.record)}});
  return table;
}

std::vector<std::string> pareto_captions_of(const ParetoChart& chart) {
  std::vector<std::string> prices, powers;
  std::vector<std::size_t> records;
  const auto add = [](std::vector<std::string>& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
  };
  for (const ParetoSpot& spot : chart.spots) {
    const Record& record = chart.record_of(spot);
    const bool is_profile = record.energy.basis == "provisioned";  // a metered power differs from case to case
    add(prices, fmt::format("{} {}{}", record.target, spot.is_supposed ? "supposed to be offered at " : "at ",
                            spot.price.text()));
    add(powers, fmt::format("{} power of {} ({}{})", record.energy.basis, record.target, record.energy.scope,
                            is_profile ? fmt::format(", {:.4g} W", *record.energy.power_w) : ""));
    records.push_back(spot.record);
  }
  return {fmt::format("Prices: {}. Energy: {}.", listed(prices), listed(powers)),
          credentials_of(chart.input.report, records,
                         "of the median time, 95 % unless the suite says otherwise; none of prices and powers")};
}

Panel pareto_panel_of(ParetoChart chart, std::size_t place) {
  chart.targets = pareto_targets_of(chart);
  constexpr double height = 240;
  Canvas canvas(height + 46 + kLegendRow * static_cast<double>(chart.shown()));
  std::vector<double> usd, joule;
  for (const ParetoSpot& spot : chart.spots) usd.push_back(spot.usd.middle), joule.push_back(spot.joule.middle);
  const Scale x = scale_around(usd, Spacing::logarithmic, 52, 428),
              y = scale_around(joule, Spacing::logarithmic, height, 26);
  draw_axes(canvas, x, y, fmt::format("$ per {} (logarithmic)", chart.unit.name),
            fmt::format("J per {} (logarithmic)", chart.unit.name));
  draw_pareto_spots(canvas, chart, x, y);
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < chart.shown(); ++i)
    legend.push_back(
        {i,
         chart.targets[i] + (chart.input.report.prices.of(chart.targets[i]) ? "" : ", at a supposed price (below)")});
  draw_legend(canvas, legend, {10, height + 52});
  return {
      .title = chart.operation,
      .svg = canvas.svg(fmt::format("pareto-{}", place), "Dollars and joules per unit of work, " + chart.operation,
                        "Lower left is better; the table below has every point."),
      .captions = pareto_captions_of(chart),
      .table = pareto_table_of(chart)};
}

// Why records have no place in this picture.
std::string absences(const PictureInput& input) {
  std::vector<std::string> targets, without_power;
  for (const Record& record : input.report.set.records) {
    bool is_supposed = false;
    std::vector<std::string>& list =
        price_of(input.report.prices, record.target, is_supposed) ? without_power : targets;
    const bool is_missing = record.status == Status::ok && (&list == &targets || !record.energy.power_w);
    if (is_missing && std::find(list.begin(), list.end(), record.target) == list.end()) list.push_back(record.target);
  }
  std::vector<std::string> reasons = price_absences(input.report, targets);
  if (!without_power.empty()) reasons.push_back(listed(without_power) + ": no power recorded");
  return joined(reasons, "; ");
}

DrawnPicture draw_pareto(const PictureInput& input) {
  const std::vector<std::string> names = case_names(input.report, input.groups);
  std::vector<std::string> cases(input.report.set.records.size());  // without the kernel: kernels are rivals
  std::vector<std::string> lone;
  DrawnPicture drawn;
  for (const ReportGroup& group : input.groups) {
    const Unit& unit = group.work_unit == "token" ? kTokens : kFlop;
    std::vector<ParetoSpot> spots;
    for (std::size_t c = 0; c < group.cases.size(); ++c)
      for (const std::size_t i : group.cases[c].records) {
        cases[i] = fmt::format("{}", c);
        if (const std::optional<ParetoSpot> spot = pareto_spot_of(input.report, i, unit)) spots.push_back(*spot);
      }
    if (spots.empty()) continue;
    if (!mark_dominated(input.report, cases, spots))
      lone.push_back(group.operation);
    else if (drawn.panels.size() < kMostPanels)
      drawn.panels.push_back(pareto_panel_of({input, names, group.operation, unit, spots}, drawn.panels.size()));
  }
  drawn.left_out = absences(input);
  if (!lone.empty())
    drawn.left_out += fmt::format("{}no case of {} has two choices with a price and a power",
                                  drawn.left_out.empty() ? "" : "; ", joined(lone, ", "));
  if (drawn.panels.empty() && drawn.left_out.empty()) drawn.left_out = "no record has work, a price and a power";
  return drawn;
}

const Register<Picture> pareto_picture{
    {.name = "pareto",
     .place = 4,
     .title = "Dollars and joules per unit of work",
     .how_to_read =
         "Lower left is better. Kernels and targets of the same case are rivals; a hollow mark has one that is "
         "better in both. "
         "Different cases are different work and do not compete. Pale marks are at a price that nobody quoted.",
     .draw = draw_pareto}};

}  // namespace
}  // namespace chokepoint
