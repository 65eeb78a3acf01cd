#include "harness/cli/report_beside.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include "harness/cli/claims_flags.hpp"
#include "harness/cli/claims_words.hpp"
#include "harness/cli/history_text.hpp"
#include "harness/claims/outcome.hpp"

namespace chokepoint {
namespace {

constexpr double kNormal95 = 1.959963984540054;

HistoryDot history_dot_of(const HistoryPoint& point) {
  HistoryDot dot{.commit = point.commit,
                 .finished = point.finished,
                 .run_id = point.run_id,
                 .seconds = std::exp(*point.log_s),
                 .interval = std::nullopt,
                 .is_spike = false};
  if (point.deviation)
    dot.interval = Interval{std::exp(*point.log_s - kNormal95 * *point.deviation),
                            std::exp(*point.log_s + kNormal95 * *point.deviation)};
  return dot;
}

// Levels are those of the series without its drift, at its first point.
double level_seconds(const SeriesFindings& findings, const Segment& segment, std::size_t at) {
  return std::exp(segment.level + static_cast<double>(at) * std::log1p(findings.drift.value_or(0.0)));
}

HistoryLine history_line_of(const AnalysedSeries& analysed) {
  HistoryLine line{.case_id = analysed.series.case_id,
                   .machine = analysed.series.machine,
                   .dots = {},
                   .without_time = analysed.series.points.size() - analysed.points.size(),
                   .levels = {},
                   .steps = {},
                   .drift = std::nullopt};
  for (const std::size_t i : analysed.points) line.dots.push_back(history_dot_of(analysed.series.points[i]));
  if (!analysed.findings) return line;
  const SeriesFindings& findings = *analysed.findings;
  line.drift = findings.drift;
  for (const std::size_t spike : findings.spikes) line.dots[spike].is_spike = true;
  for (const Segment& segment : findings.segments)
    line.levels.push_back({segment.begin, segment.end, level_seconds(findings, segment, segment.begin),
                           level_seconds(findings, segment, segment.end - 1)});
  for (const LevelChange& change : findings.changes)
    line.steps.push_back({change.at, change.time_ratio, change.interval, doubt_about(analysed, change)});
  return line;
}

void add_history(const std::string& file, const RecordSet& set, ReportBeside& beside) {
  const std::unique_ptr<History> history = open_history(file, {});
  beside.history_file = file;
  beside.history_cases = history->case_ids().size();
  std::set<std::string> seen;
  for (const Record& record : set.records)
    if (seen.insert(record.case_id).second)
      for (HistorySeries& series : history->series_of(record.case_id))
        beside.history.push_back(history_line_of(analyse(std::move(series))));
}

ClaimSide claim_side_of(Verdict verdict) {
  if (is_failure(verdict)) return ClaimSide::fails;
  return is_inconclusive(verdict) ? ClaimSide::open : ClaimSide::holds;
}

void add_claim_numbers(const ClaimOutcome& outcome, std::vector<ClaimNumber>& numbers) {
  const Claim& claim = outcome.claim;
  ClaimNumber base{.id = claim.id,
                   .statement = claim.statement,
                   .number = "",
                   .unit = claim.quantity.unit,
                   .published = std::nullopt,
                   .derived = std::nullopt,
                   .interval = std::nullopt,
                   .verdict = std::string(to_string(outcome.verdict)),
                   .reason = outcome.reason,
                   .inputs = inputs_text(outcome),
                   .source = claim.source.cite + (claim.source.locator.empty() ? "" : ", " + claim.source.locator),
                   .side = claim_side_of(outcome.verdict)};
  for (const RowOutcome& row : outcome.rows) {
    ClaimNumber one = base;
    one.number = row.name;
    one.published = row.published;
    one.derived = row.spread.p50;
    if (!outcome.is_arithmetic) one.interval = Interval{row.spread.p5, row.spread.p95};
    one.verdict = to_string(row.judgement.verdict);
    one.reason = row.judgement.reason;
    one.side = claim_side_of(row.judgement.verdict);
    numbers.push_back(std::move(one));
  }
  if (outcome.rows.empty()) numbers.push_back(std::move(base));
}

// As `chokepoint claims` judges them: records take the place of published kernels only there, and only when told to.
void add_claims(const std::vector<std::string>& names, const std::string& configs, ReportBeside& beside) {
  ClaimOptions options;
  options.configs = configs;
  options.profiles = load_profiles(configs);
  beside.has_claims = true;
  for (const Claim& claim : chosen_claims(configs, names)) add_claim_numbers(outcome_of(claim, options), beside.claims);
}

}  // namespace

ReportBeside beside_of(const BesideFlags& flags, const RecordSet& set, const std::string& configs) {
  ReportBeside beside;
  const std::vector<CostBook> books = load_cost_books(configs);
  if (!books.empty()) beside.costs = find_cost_book(books, "");
  if (!flags.history.empty()) add_history(flags.history, set, beside);
  if (!flags.claims.empty()) add_claims(flags.claims, configs, beside);
  return beside;
}

}  // namespace chokepoint
