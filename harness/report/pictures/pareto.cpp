// Which choices are cheapest in money and in energy at once? Dollars against joules per unit of work, one panel per
// operation; hollow marks have a better choice for the same case in both.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"
#include "harness/report/html/picture.hpp"

namespace chokepoint {
namespace {

struct Value {
  double middle = 0.0;
  std::optional<double> low, high;
};

struct Spot {
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

std::optional<Spot> spot_of(const ReportInput& input, std::size_t record, const Unit& unit) {
  Spot spot{.record = record, .usd = {}, .joule = {}, .price = {}};
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
bool mark_dominated(const ReportInput& input, const std::vector<std::string>& cases, std::vector<Spot>& spots) {
  bool has_rivals = false;
  for (Spot& spot : spots)
    for (const Spot& other : spots) {
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

std::string dollars(const Value& value) { return "$" + figure_text(value.middle, value.low, value.high, ""); }
std::string joules(const Value& value) { return figure_text(value.middle, value.low, value.high, "J"); }

Panel panel_of(const PictureInput& input, const std::string& operation, const Unit& unit,
               const std::vector<Spot>& spots, const std::vector<std::string>& names, std::size_t place) {
  std::vector<std::string> targets;
  std::vector<double> usd, joule;
  std::set<std::string> powers, prices;
  std::vector<std::size_t> records;
  for (const Spot& spot : spots) {
    const Record& record = input.report.set.records[spot.record];
    if (std::find(targets.begin(), targets.end(), record.target) == targets.end()) targets.push_back(record.target);
    usd.push_back(spot.usd.middle);
    joule.push_back(spot.joule.middle);
    records.push_back(spot.record);
    prices.insert(fmt::format("{} {}{}", record.target, spot.is_supposed ? "supposed to be offered at " : "at ",
                              spot.price.text()));
    powers.insert(fmt::format("{} power of {} ({}, {:.4g} W)", record.energy.basis, record.target,
                              record.energy.scope, record.energy.power_w.value_or(0.0)));
  }
  constexpr double height = 240;
  Canvas canvas(height + 46 + kLegendRow * static_cast<double>(std::min(targets.size(), kMostSeries)));
  const Scale x = scale_around(usd, Spacing::logarithmic, 52, 428),
              y = scale_around(joule, Spacing::logarithmic, height, 26);
  draw_axes(canvas, x, y, fmt::format("$ per {} (logarithmic)", unit.name),
            fmt::format("J per {} (logarithmic)", unit.name));
  DataTable table{{{"case"},
                   {"target"},
                   {"$ per " + unit.name, true},
                   {"J per " + unit.name, true},
                   {"choice"},
                   {"basis, samples, source"}},
                  {}};
  for (const Spot& spot : spots) {
    const Record& record = input.report.set.records[spot.record];
    const auto series =
        static_cast<std::size_t>(std::find(targets.begin(), targets.end(), record.target) - targets.begin());
    const std::string choice = spot.is_supposed    ? "supposed price, no verdict"
                               : spot.is_dominated ? "another one is better in both"
                                                   : "none is better in both";
    canvas.point(
        {x.at(spot.usd.middle), y.at(spot.joule.middle)}, series,
        fmt::format("{} as {}: {} and {} per {}; {} ({})", names[spot.record], record.target, dollars(spot.usd),
                    joules(spot.joule), unit.name, choice, source_of(input.report, spot.record)),
        spot.is_dominated  ? "open"
        : spot.is_supposed ? "thin"
                           : "",
        3.6);
    table.rows.push_back({{names[spot.record]},
                          {record.target},
                          {dollars(spot.usd), spot.usd.middle},
                          {joules(spot.joule), spot.joule.middle},
                          {choice},
                          {source_of(input.report, spot.record)}});
  }
  std::vector<LegendEntry> legend;
  for (std::size_t i = 0; i < std::min(targets.size(), kMostSeries); ++i)
    legend.push_back({i, targets[i] + (input.report.prices.of(targets[i]) ? "" : ", at a supposed price (below)")});
  draw_legend(canvas, legend, {10, height + 52});
  Panel panel{.title = operation, .svg = "", .captions = {}, .table = std::move(table)};
  std::string sources = "Prices:";
  for (const std::string& price : prices) sources += " " + price + ";";
  sources += " energy:";
  for (const std::string& power : powers) sources += " " + power + ";";
  sources.back() = '.';
  panel.captions = {
      sources, credentials_of(input.report, records,
                              "of the median time, 95 % unless the suite says otherwise; none of prices and powers")};
  panel.svg = canvas.svg(fmt::format("pareto-{}", place), "Dollars and joules per unit of work, " + operation,
                         "Lower left is better; the table below has every point.");
  return panel;
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

Drawn draw(const PictureInput& input) {
  const std::vector<std::string> names = case_names(input.report, input.groups);
  std::vector<std::string> cases(input.report.set.records.size());  // without the kernel: kernels are rivals
  std::vector<std::string> lone;
  Drawn drawn;
  for (const ReportGroup& group : input.groups) {
    const Unit& unit = group.work_unit == "token" ? kTokens : kFlop;
    std::vector<Spot> spots;
    for (std::size_t c = 0; c < group.cases.size(); ++c)
      for (const std::size_t i : group.cases[c].records) {
        cases[i] = fmt::format("{}", c);
        if (const std::optional<Spot> spot = spot_of(input.report, i, unit)) spots.push_back(*spot);
      }
    if (spots.empty()) continue;
    if (!mark_dominated(input.report, cases, spots))
      lone.push_back(group.operation);
    else if (drawn.panels.size() < kMostPanels)
      drawn.panels.push_back(panel_of(input, group.operation, unit, spots, names, drawn.panels.size()));
  }
  drawn.left_out = absences(input);
  if (!lone.empty())
    drawn.left_out += fmt::format("{}no case of {} has two choices with a price and a power",
                                  drawn.left_out.empty() ? "" : "; ", joined(lone, ", "));
  if (drawn.panels.empty() && drawn.left_out.empty()) drawn.left_out = "no record has work, a price and a power";
  return drawn;
}

const Register<Picture> picture{
    {.name = "pareto",
     .place = 4,
     .title = "Dollars and joules per unit of work",
     .how_to_read =
         "Lower left is better. Kernels and targets of the same case are rivals; a hollow mark has one that is "
         "better in both. "
         "Different cases are different work and do not compete. Pale marks are at a price that nobody quoted.",
     .draw = draw}};

}  // namespace
}  // namespace chokepoint
