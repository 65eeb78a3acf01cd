#include "harness/track/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/model/descriptive.hpp"
#include "harness/track/false_discovery.hpp"
#include "harness/track/sides.hpp"
#include "harness/track/spread.hpp"

namespace chokepoint {
namespace {

constexpr std::array<std::string_view, 5> kVerdicts = {"slower", "faster", "ambiguous", "not_comparable", "same"};
constexpr std::array<std::string_view, 5> kSources = {"runs", "calibration", "cases", "stated", "assumed"};
constexpr double kLeastVariance = 1e-12;  // of logarithms: a millionth, about what rounding in records does
constexpr std::size_t kMostRuns = 100;    // a side; who would need more needs another machine

struct Candidate {  // one case on its way to a verdict
  MatchedCase matched;
  std::vector<Mismatch> mismatches;
  SideTimes base, now;
  bool is_comparable = false;
  double log_ratio = 0.0, sample_variance = 0.0;
  Spread spread;                  // of log_ratio
  std::optional<Spread> one_run;  // where it is known
};

double share_of_runs(std::size_t base, std::size_t now) {
  return 1.0 / static_cast<double>(base) + 1.0 / static_cast<double>(now);
}

Spread scaled(const Spread& one_run, double share) {
  Spread spread = one_run;
  spread.common_variance *= share;
  spread.own_variance *= share;
  return spread;
}

void require_sensible(const CompareOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& remedy) { throw Error(Fault::config, what, remedy); };
  if (!(options.margin > 0.0 && options.margin < 1.0))
    refuse(fmt::format("the margin is {} and has to be above 0 and below 1", options.margin), "give 2% or 0.02");
  if (options.run_deviation && !(*options.run_deviation >= 0.0 && *options.run_deviation < 1.0))
    refuse(fmt::format("the noise of a run is {} and has to be from 0 to 1", *options.run_deviation), "give 1% or 0.01");
  for (const std::string& name : options.allowed) require_condition_name(name);
}

bool is_allowed(const Mismatch& mismatch, const CompareOptions& options) { return options.allowed.contains(mismatch.name); }

std::string mismatch_text(const std::vector<Mismatch>& mismatches, const CompareOptions& options) {
  std::string text;
  for (const Mismatch& mismatch : mismatches)
    if (!is_allowed(mismatch, options))
      text += fmt::format("{}{} differs ({} and {})", text.empty() ? "" : "; ", mismatch.name, mismatch.base, mismatch.now);
  return text;
}

// What keeps the case from being compared; empty when nothing does.
std::string obstacle(const Candidate& candidate, const CompareOptions& options) {
  for (const auto& [name, side, times] : {std::tuple("base", &candidate.matched.base, &candidate.base), std::tuple("new", &candidate.matched.now, &candidate.now)})
    if (times->times.empty()) return fmt::format("{} {}", obstacle_of(*side), side->empty() ? fmt::format("in {}", name) : fmt::format("({})", name));
  return mismatch_text(candidate.mismatches, options);
}

void describe_breakage(const Candidate& candidate, CaseComparison& result) {
  const std::size_t broken = broken_in(candidate.matched.now);
  result.is_broken = broken > 0 && broken_in(candidate.matched.base) == 0 && !candidate.base.times.empty();
  if (broken > 0 && !candidate.now.times.empty())
    result.remarks.push_back(fmt::format("{} of {} runs of new failed or are invalid", broken, candidate.matched.now.size()));
}

CaseComparison begun(Candidate& candidate, const CompareOptions& options) {
  CaseComparison result;
  result.case_id = candidate.matched.case_id;
  candidate.base = times_of(candidate.matched.base);
  candidate.now = times_of(candidate.matched.now);
  candidate.mismatches = mismatches_of(candidate.matched);
  result.base_runs = candidate.base.times.size();
  result.new_runs = candidate.now.times.size();
  if (result.base_runs > 0) result.base_s = std::exp(candidate.base.mean_log_s());
  if (result.new_runs > 0) result.new_s = std::exp(candidate.now.mean_log_s());
  result.reason = obstacle(candidate, options);
  describe_breakage(candidate, result);
  if (result.base_runs == 0 || result.new_runs == 0) return result;
  for (const std::string& remark : remarks_on(*candidate.matched.base.back().record, *candidate.matched.now.back().record))
    result.remarks.push_back(remark);
  if (!result.reason.empty()) return result;
  candidate.is_comparable = true;
  candidate.log_ratio = candidate.now.mean_log_s() - candidate.base.mean_log_s();
  candidate.sample_variance = candidate.base.sample_variance() + candidate.now.sample_variance();
  result.time_ratio = std::exp(candidate.log_ratio);
  return result;
}

// Both sides as groups of equal runs.
std::vector<std::vector<RunTimes>> groups_of(const std::vector<Candidate>& candidates, const std::vector<RunRecords>& base, const std::vector<RunRecords>& now) {
  std::vector<std::vector<RunTimes>> groups = {std::vector<RunTimes>(base.size()), std::vector<RunTimes>(now.size())};
  for (const Candidate& candidate : candidates) {
    if (!candidate.is_comparable) continue;
    for (std::size_t i = 0; i < candidate.base.times.size(); ++i)
      groups[0][static_cast<std::size_t>(candidate.base.runs[i] - base.data())].log_s[candidate.matched.case_id] = candidate.base.times[i].log_s;
    for (std::size_t i = 0; i < candidate.now.times.size(); ++i)
      groups[1][static_cast<std::size_t>(candidate.now.runs[i] - now.data())].log_s[candidate.matched.case_id] = candidate.now.times[i].log_s;
  }
  return groups;
}

// The comparable cases that were run once a side, as other cases see them.
struct SingleRuns {
  std::vector<double> log_ratios, variances;
  std::map<std::string, std::size_t> at;
};

SingleRuns single_runs_of(const std::vector<Candidate>& candidates) {
  SingleRuns singles;
  for (const Candidate& candidate : candidates) {
    const bool has_scatter = candidate.base.has_scatter() && candidate.now.has_scatter();
    if (!candidate.is_comparable || candidate.base.times.size() > 1 || candidate.now.times.size() > 1 || !has_scatter) continue;
    singles.at[candidate.matched.case_id] = singles.log_ratios.size();
    singles.log_ratios.push_back(candidate.log_ratio);
    singles.variances.push_back(candidate.sample_variance);
  }
  return singles;
}

NoiseSource settle_spread(Candidate& candidate, const RunNoise& noise, const SingleRuns& singles, const CompareOptions& options) {
  const double share = share_of_runs(candidate.base.times.size(), candidate.now.times.size());
  if ((candidate.one_run = spread_of(noise, candidate.matched.case_id))) {
    candidate.spread = scaled(*candidate.one_run, share);
    candidate.spread.own_variance = std::max(candidate.spread.own_variance, candidate.sample_variance);
    return options.calibration ? NoiseSource::calibration : NoiseSource::runs;
  }
  const auto single = singles.at.find(candidate.matched.case_id);
  if (!options.run_deviation && single != singles.at.end())
    if (const auto spread = spread_from_other_cases(singles.log_ratios, singles.variances, single->second)) {
      candidate.spread = *spread;
      candidate.one_run = scaled(*spread, 0.5);
      return NoiseSource::cases;
    }
  const double deviation = options.run_deviation.value_or(kAssumedRunDeviation);
  candidate.spread = {.own_variance = candidate.sample_variance + share * deviation * deviation};
  candidate.one_run = scaled(candidate.spread, 1 / share);
  return options.run_deviation ? NoiseSource::stated : NoiseSource::assumed;
}

std::optional<std::size_t> runs_to_settle(const Candidate& candidate, std::size_t cases, const CompareOptions& options) {
  const double distance = std::abs(candidate.log_ratio) - std::log1p(options.margin);
  const double confidence = distance > 0.0 ? 1 - options.false_discoveries / static_cast<double>(cases) : options.confidence;
  for (std::size_t runs = 2; runs <= kMostRuns; ++runs)
    if (half_width(scaled(*candidate.one_run, share_of_runs(runs, runs)), confidence) < std::abs(distance)) return runs;
  return std::nullopt;
}

double detectable_difference(const Spread& spread, std::size_t cases, const CompareOptions& options, double power) {
  const double found = half_width(spread, 1 - options.false_discoveries / static_cast<double>(cases));
  return std::expm1(std::log1p(options.margin) + found + half_width(spread, 2 * power - 1));
}

std::string percent(double ratio) { return fmt::format("{:+.2f} %", 100 * (ratio - 1)); }

std::string why_ambiguous(const CaseComparison& result, const CompareOptions& options) {
  const double high = 1 + options.margin, low = 1 / high;
  const std::string from_to = fmt::format("from {} to {}", percent(result.interval->low), percent(result.interval->high));
  if (result.interval->low > high || result.interval->high < low)
    return fmt::format("{}: beyond the margin alone, not among so many cases (q = {:.2g})", from_to, *result.q);
  return fmt::format("{}, which crosses the margin of {:.3g} %", from_to, 100 * options.margin);
}

void conclude(const Candidate& candidate, std::size_t cases, const CompareOptions& options, CaseComparison& result) {
  const double margin = std::log1p(options.margin), reach = half_width(candidate.spread, options.confidence);
  result.interval = Interval{std::exp(candidate.log_ratio - reach), std::exp(candidate.log_ratio + reach)};
  result.detectable = detectable_difference(candidate.spread, cases, options, 0.95);
  if (*result.q <= options.false_discoveries) {
    result.verdict = candidate.log_ratio > 0.0 ? Verdict::slower : Verdict::faster;
  } else if (std::abs(candidate.log_ratio) + reach < margin) {
    result.verdict = Verdict::same;
  } else {
    result.verdict = Verdict::ambiguous;
    result.reason = why_ambiguous(result, options);
    result.runs_needed = runs_to_settle(candidate, cases, options);
  }
}

void add_changes(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  for (const Candidate& candidate : candidates)
    for (const Mismatch& mismatch : candidate.mismatches) {
      auto known = std::find_if(report.changes.begin(), report.changes.end(), [&](const ConditionChange& change) {
        return change.mismatch.name == mismatch.name && change.mismatch.base == mismatch.base && change.mismatch.now == mismatch.now;
      });
      if (known == report.changes.end())
        known = report.changes.insert(known, {mismatch, 0, is_allowed(mismatch, report.options)});
      ++known->cases;
    }
}

void warn_about_noise(ComparisonReport& report) {
  std::array<std::size_t, kSources.size()> cases{};
  for (const CaseComparison& one : report.cases)
    if (one.noise) ++cases[static_cast<std::size_t>(*one.noise)];
  if (const std::size_t n = cases[static_cast<std::size_t>(NoiseSource::cases)]; n > 0)
    report.warnings.push_back(fmt::format(
        "one run a side: how much runs differ is taken from the spread over {} cases; several runs a side or "
        "--noise make that firm", n));
  if (const std::size_t n = cases[static_cast<std::size_t>(NoiseSource::assumed)]; n > 0)
    report.warnings.push_back(fmt::format(
        "nothing shows how much runs of {} case{} differ: {:.3g} % is assumed (google/benchmark#1051); give several runs a "
        "side, --noise from `compare --calibrate`, or --run-noise", n, n == 1 ? "" : "s", 100 * kAssumedRunDeviation));
}

void warn_about_conditions(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  std::set<std::string> names;
  for (const Candidate& candidate : candidates)
    if (candidate.is_comparable)
      for (const std::string& name :
           known_to_one(conditions_of(*candidate.matched.base.front().record, candidate.matched.base.front().run->environment),
                        conditions_of(*candidate.matched.now.front().record, candidate.matched.now.front().run->environment)))
        names.insert(name);
  for (const std::string& name : names)
    report.warnings.push_back(fmt::format("{} is recorded on one side only; nobody can tell whether it changed", name));
}

void warn_about_common_change(const std::vector<double>& log_ratios, ComparisonReport& report) {
  if (log_ratios.empty()) return;
  report.common_ratio = std::exp(*median(log_ratios));
  const bool is_shared = log_ratios.size() >= kLeastSharedCases && std::abs(std::log(*report.common_ratio)) > std::log1p(report.options.margin) / 2;
  const bool is_single = std::any_of(report.cases.begin(), report.cases.end(), [](const CaseComparison& one) { return one.noise == NoiseSource::cases; });
  if (is_shared && is_single)
    report.warnings.push_back(fmt::format(
        "the cases moved together, by {} in the middle: with one run a side the machine may have done that; run both again",
        percent(*report.common_ratio)));
}

}  // namespace

std::string_view to_string(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }
std::string_view to_string(NoiseSource source) { return kSources[static_cast<std::size_t>(source)]; }

std::size_t ComparisonReport::count(Verdict verdict) const {
  return static_cast<std::size_t>(std::count_if(cases.begin(), cases.end(), [&](const CaseComparison& one) { return one.verdict == verdict; }));
}

std::size_t ComparisonReport::broken() const {
  return static_cast<std::size_t>(std::count_if(cases.begin(), cases.end(), [](const CaseComparison& one) { return one.is_broken; }));
}

double detectable_change(const Spread& one_run, std::size_t runs, std::size_t cases, const CompareOptions& options, double power) {
  return detectable_difference(scaled(one_run, share_of_runs(runs, runs)), cases, options, power);
}

ComparisonReport compare_runs(const std::vector<RunRecords>& base, const std::vector<RunRecords>& now, const CompareOptions& options) {
  require_sensible(options);
  ComparisonReport report;
  report.options = options;
  std::vector<Candidate> candidates;
  for (MatchedCase& matched : match_cases(base, now)) candidates.push_back({.matched = std::move(matched)});
  report.cases.resize(candidates.size());
  parallel_for(static_cast<std::int64_t>(candidates.size()), 8, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) report.cases[i] = begun(candidates[i], options);
  });

  RunNoise noise = estimate_run_noise(groups_of(candidates, base, now));
  if (options.calibration) noise = joined(noise, *options.calibration);
  const SingleRuns singles = single_runs_of(candidates);
  const double margin = std::log1p(options.margin);
  Tails tails;
  std::vector<double> p, log_ratios;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].is_comparable) continue;
    report.cases[i].noise = settle_spread(candidates[i], noise, singles, options);
    candidates[i].spread.own_variance = std::max(candidates[i].spread.own_variance, kLeastVariance);
    p.push_back(std::min(1.0, 2 * tails.tail(std::abs(candidates[i].log_ratio) - margin, candidates[i].spread)));
    log_ratios.push_back(candidates[i].log_ratio);
    report.cases[i].p = p.back();
  }
  const std::vector<double> q = adjusted_p_values(p);
  for (std::size_t i = 0, next = 0; i < candidates.size(); ++i) {
    if (!candidates[i].is_comparable) continue;
    report.cases[i].q = q[next++];
    conclude(candidates[i], q.size(), options, report.cases[i]);
  }
  add_changes(candidates, report);
  warn_about_noise(report);
  warn_about_common_change(log_ratios, report);
  warn_about_conditions(candidates, report);
  return report;
}

Gate judge(const ComparisonReport& report, bool strict) {
  if (report.count(Verdict::slower) > 0 || report.broken() > 0) return Gate::regression;
  const bool is_open = report.cases.empty() || report.count(Verdict::ambiguous) > 0 || report.count(Verdict::not_comparable) > 0;
  return strict && is_open ? Gate::undecided : Gate::passed;
}

}  // namespace chokepoint
