#include "harness/report/cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"

namespace chokepoint {
namespace {

constexpr int kOldPriceDays = 180;

// "h100-sxm@link=50GB/s" is an h100-sxm to who pays for its power.
std::string profile_of(const std::string& target) { return target.substr(0, target.find('@')); }

void check_settings(const CostOptions& options) {
  for (const auto& [name, value] : options.settings)
    if (std::find(cost_settings().begin(), cost_settings().end(), name) == cost_settings().end())
      throw Error(Fault::config, fmt::format("there is no setting \"{}\" of costs", name),
                  suggestion(name, cost_settings()));
}

// A price or reference for a target that no record has would change nothing, silently.
void check_targets(const RecordSet& set, const CostOptions& options) {
  std::vector<std::string> known;
  for (const Record& record : set.records)
    if (std::find(known.begin(), known.end(), record.target) == known.end()) known.push_back(record.target);
  const auto check = [&](const std::string& target) {
    if (std::find(known.begin(), known.end(), target) == known.end())
      throw Error(Fault::config, fmt::format("no record ran on \"{}\"", target), suggestion(target, known));
  };
  for (const auto* prices : {&options.usd_per_h, &options.capex_usd})
    for (const auto& [target, price] : *prices) check(target);
  if (options.reference) check(*options.reference);
}

void override_with(const CostOptions& options, const std::string& name, Estimate& place) {
  if (const auto found = options.settings.find(name); found != options.settings.end()) place = found->second;
}

CostQuestion blank_question(const CostOptions& options) {
  CostQuestion question;
  question.terms = options.book.ownership;
  question.electricity_usd_per_kwh = options.book.electricity_usd_per_kwh;
  question.load_share = options.book.load_share;
  question.pue = find_facility(options.book, options.facility).pue;
  override_with(options, "electricity", question.electricity_usd_per_kwh);
  override_with(options, "pue", question.pue);
  override_with(options, "load-share", question.load_share);
  override_with(options, "utilisation", question.utilisation_ratio);
  override_with(options, "discount-rate", question.terms.discount_rate_per_year);
  override_with(options, "life", question.terms.life_years);
  override_with(options, "availability", question.terms.availability);
  override_with(options, "residual", question.terms.residual_share);
  override_with(options, "running-costs", question.terms.opex_usd_per_gpu_h);
  return question;
}

void add_gap(std::string& gaps, const std::string& target, const std::string& why) {
  gaps += fmt::format("{}no price of {}: {}", gaps.empty() ? "" : "; ", target, why);
}

CostSide rented_side(const Record& record, const CostOptions& options, std::string& gaps) {
  CostSide side{.target = record.target, .possession = Possession::rented};
  if (const auto given = options.usd_per_h.find(record.target); given != options.usd_per_h.end())
    side.usd_per_h = given->second;
  else if (const std::optional<PriceQuote> quote = options.prices.of(record.target))
    side.usd_per_h = quote->usd_per_h();
  else
    add_gap(gaps, record.target, options.prices.absence_of(record.target));
  return side;
}

// Power that was measured is what the board drew; a profile's is what it may draw.
Estimate board_power(const Energy& energy) {
  const double error = energy.systematic_error.value_or(0.0);
  const double watts = *energy.power_w;
  return {watts, watts * (1.0 - error), watts * (1.0 + error), energy.source, energy.verified};
}

CostSide owned_side(const Record& record, const CostOptions& options, std::string& gaps) {
  CostSide side{.target = record.target, .possession = Possession::owned};
  const CostMachine* machine = find_machine(options.book, profile_of(record.target));
  if (machine == nullptr || !record.energy.power_w) {
    add_gap(gaps, record.target,
            machine == nullptr ? fmt::format("{} does not have it", options.book.id)
                               : "the record has no board power");
    return side;
  }
  side.board_w = board_power(record.energy);
  side.board_is_rated = record.energy.basis == "provisioned";
  side.host_w = machine->host_w;
  if (const auto given = options.capex_usd.find(record.target); given != options.capex_usd.end())
    side.capex_usd = given->second;
  else if (machine->capex_usd && record.target == machine->profile)
    side.capex_usd = machine->capex_usd;
  else
    add_gap(gaps, record.target, capex_absence(options.book, record.target));
  return side;
}

Estimate as_estimate(const Bounded& ratio, double confidence) {
  if (!ratio.interval || ratio.interval->low <= 0.0)
    return exactly(ratio.value, "throughput ratio, no interval");
  return from_interval(ratio.value, ratio.interval->low, ratio.interval->high, confidence,
                       "throughput ratio");
}

std::optional<Estimate> per_million_tokens(const Record& record, const std::optional<Estimate>& usd_per_h) {
  const std::optional<double> time_s = record.target_time_s();
  if (!usd_per_h || !time_s || record.work.tokens <= 0.0) return std::nullopt;
  return product({*usd_per_h, exactly(*time_s / 3600.0 / record.work.tokens * 1e6)});
}

std::optional<std::chrono::sys_days> days_of(const std::string& date) {
  int year = 0;
  unsigned month = 0, day = 1;
  const auto number = [&](std::size_t at, std::size_t length, auto& value) {
    if (date.size() < at + length) return false;
    return std::from_chars(date.data() + at, date.data() + at + length, value).ec == std::errc{};
  };
  if (!number(0, 4, year) || !number(5, 2, month)) return std::nullopt;
  number(8, 2, day);
  const std::chrono::year_month_day parsed{std::chrono::year(year), std::chrono::month(month),
                                           std::chrono::day(day)};
  return parsed.ok() ? std::optional(std::chrono::sys_days(parsed)) : std::nullopt;
}

std::string age_note(const PriceQuote& quote, const std::string& today) {
  const auto then = days_of(quote.date), now = days_of(today);
  if (!then || !now || (*now - *then).count() <= kOldPriceDays) return "";
  return fmt::format("the prices of {} are {} days old", quote.book, (*now - *then).count());
}

class Notes {
 public:
  void add(const std::string& note) {
    if (!note.empty() && seen_.insert(note).second) notes_.push_back(note);
  }
  std::vector<std::string> take() { return std::move(notes_); }

 private:
  std::set<std::string> seen_;
  std::vector<std::string> notes_;
};

std::string estimate_note(std::string_view name, const Estimate& estimate) {
  const std::string range =
      estimate.is_exact() ? "" : fmt::format(" [{:.4g}, {:.4g}]", estimate.low, estimate.high);
  return fmt::format("{} {:.4g}{}{}: {}", name, estimate.mid, range, estimate.verified ? "" : " (unverified)",
                     estimate.source);
}

void add_rental_notes(const CostReport& report, Notes& notes) {
  notes.add("rent includes electricity: nothing is added to it");
  for (const CostRow& row : report.rows)
    for (const CostSide* side : {&row.question.reference, &row.question.target}) {
      if (side->usd_per_h)
        notes.add(estimate_note("price of " + side->target + ", $ per hour,", *side->usd_per_h));
      if (report.options.usd_per_h.contains(side->target)) continue;
      if (const auto quote = report.options.prices.of(side->target))
        notes.add(age_note(*quote, report.options.today));
    }
}

void add_owned_notes(const CostReport& report, Notes& notes) {
  const CostQuestion& question = report.rows.front().question;
  notes.add(fmt::format("assumptions of {}: {}", report.options.book.id, report.options.book.summary));
  for (const CostRow& row : report.rows)
    for (const CostSide* side : {&row.question.reference, &row.question.target})
      if (side->capex_usd) notes.add(estimate_note("purchase of " + side->target + ", $,", *side->capex_usd));
  notes.add(estimate_note("electricity, $ per kWh,", question.electricity_usd_per_kwh));
  notes.add(estimate_note("PUE", question.pue));
  notes.add(estimate_note("load share", question.load_share));
  notes.add(estimate_note("residual share", question.terms.residual_share));
  notes.add(estimate_note("discount rate", question.terms.discount_rate_per_year));
  notes.add(estimate_note("life, years,", question.terms.life_years));
  notes.add(estimate_note("availability", question.terms.availability));
  notes.add(estimate_note("running costs, $ per hour,", question.terms.opex_usd_per_gpu_h));
}

void add_notes(CostReport& report) {
  Notes notes;
  if (report.options.possession == Possession::owned)
    add_owned_notes(report, notes);
  else
    add_rental_notes(report, notes);
  for (const CostRow& row : report.rows) {
    notes.add(row.price_gap);
    if (!row.energy_basis.empty()) notes.add(fmt::format("board power is {}", row.energy_basis));
    if (!row.throughput_ratio.interval) notes.add("a throughput ratio without interval counts as exact");
    if (row.energy_basis.find("under_cap") != std::string::npos)
      notes.add("power under a cap is that of the machine that played the target, not of the target");
  }
  notes.add(fmt::format("ranges hold nine of ten of {} draws, seed {}; middles are computed from middles",
                        kCostDraws, report.options.seed));
  report.notes = notes.take();
}

}  // namespace

CostRow cost_row(const RecordSet& set, const Comparison& comparison, const CostOptions& options) {
  CostRow row;
  const bool is_turned = options.reference && set.records[comparison.b].target == *options.reference;
  row.target = is_turned ? comparison.a : comparison.b;
  row.reference = is_turned ? comparison.b : comparison.a;
  row.throughput_ratio = is_turned ? inverse(comparison.throughput_ratio) : comparison.throughput_ratio;
  row.confidence = comparison.confidence;
  row.basis = comparison.basis;
  const Record &target = set.records[row.target], &reference = set.records[row.reference];
  const auto side_of = options.possession == Possession::owned ? owned_side : rented_side;
  row.question = blank_question(options);
  row.question.target = side_of(target, options, row.price_gap);
  row.question.reference = side_of(reference, options, row.price_gap);
  row.question.throughput_ratio = as_estimate(row.throughput_ratio, row.confidence);
  if (options.possession == Possession::owned)
    row.energy_basis = target.energy.basis == reference.energy.basis
                           ? target.energy.basis
                           : fmt::format("{} against {}", target.energy.basis, reference.energy.basis);
  row.answer = answer(row.question, options.seed);
  row.target_usd_per_million_tokens = per_million_tokens(target, row.answer.target_usd_per_h);
  row.reference_usd_per_million_tokens = per_million_tokens(reference, row.answer.reference_usd_per_h);
  return row;
}

const std::vector<std::string>& cost_settings() {
  static const std::vector<std::string> names = {"electricity",  "pue",           "load-share",
                                                 "utilisation",  "discount-rate", "life",
                                                 "availability", "residual",      "running-costs"};
  return names;
}

CostReport make_cost_report(RecordSet set, CostOptions options) {
  check_settings(options);
  check_targets(set, options);
  CostReport report{std::move(set), std::move(options), {}, {}};
  const auto no_price = [](const std::string&) { return std::optional<PriceQuote>(); };
  for (const Comparison& comparison : compare_targets(report.set.records, no_price)) {
    const std::optional<std::string>& reference = report.options.reference;
    const bool has_reference = !reference || report.set.records[comparison.a].target == *reference ||
                               report.set.records[comparison.b].target == *reference;
    if (has_reference) report.rows.push_back(cost_row(report.set, comparison, report.options));
  }
  if (report.rows.empty())
    throw Error(
        Fault::config,
        fmt::format("no case ran on {}", report.options.reference
                                             ? fmt::format("{} and another target", *report.options.reference)
                                             : std::string("two targets")),
        "run a suite with two: chokepoint run SUITE --target h100-sxm,h800-sxm");
  add_notes(report);
  return report;
}

const CostRow& median_row(const CostReport& report) {
  std::vector<const CostRow*> rows;
  for (const CostRow& row : report.rows) rows.push_back(&row);
  std::stable_sort(rows.begin(), rows.end(), [](const CostRow* a, const CostRow* b) {
    return a->throughput_ratio.value < b->throughput_ratio.value;
  });
  return *rows[rows.size() / 2];
}

}  // namespace chokepoint
