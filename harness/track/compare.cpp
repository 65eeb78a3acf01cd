#include "harness/track/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/parallel.hpp"
#include "harness/track/candidate.hpp"
#include "harness/track/doubts.hpp"
#include "harness/track/false_discovery.hpp"
#include "harness/track/spread.hpp"

namespace chokepoint {
namespace {

constexpr std::array<std::string_view, 5> kVerdicts = {"slower", "faster", "ambiguous", "not_comparable", "same"};
constexpr std::array<std::string_view, 5> kSources = {"runs", "calibration", "cases", "stated", "assumed"};
constexpr double kLeastVariance = 1e-12;  // of logarithms: a millionth, about what rounding in records does

double share_of_runs(std::size_t base, std::size_t now) {
  return 1.0 / static_cast<double>(base) + 1.0 / static_cast<double>(now);
}

TwoPartNoise scaled(const TwoPartNoise& one_run, double share) {
  TwoPartNoise spread = one_run;
  spread.common_variance *= share;
  spread.own_variance *= share;
  return spread;
}

void require_sensible(const CompareOptions& options) {
  const auto refuse = [](const std::string& what, const std::string& remedy) {
    throw Error(Fault::config, what, remedy);
  };
  if (!(options.margin > 0.0 && options.margin < 1.0))
    refuse(fmt::format("the margin is {} and has to be above 0 and below 1", options.margin), "give 2% or 0.02");
  if (options.run_deviation && !(*options.run_deviation >= 0.0 && *options.run_deviation < 1.0))
    refuse(fmt::format("the noise of a run is {} and has to be from 0 to 1", *options.run_deviation),
           "give 1% or 0.01");
  for (const std::string& name : options.allowed) require_condition_name(name);
}

// Both sides as groups of equal runs.
std::vector<std::vector<RunTimes>> groups_of(const std::vector<Candidate>& candidates,
                                             const std::vector<RunRecords>& base, const std::vector<RunRecords>& now) {
  std::vector<std::vector<RunTimes>> groups = {std::vector<RunTimes>(base.size()), std::vector<RunTimes>(now.size())};
  for (const Candidate& candidate : candidates) {
    if (!candidate.is_comparable) continue;
    for (std::size_t i = 0; i < candidate.base.times.size(); ++i)
      groups[0][static_cast<std::size_t>(candidate.base.runs[i] - base.data())].log_s[candidate.matched.case_id] =
          candidate.base.times[i].log_s;
    for (std::size_t i = 0; i < candidate.now.times.size(); ++i)
      groups[1][static_cast<std::size_t>(candidate.now.runs[i] - now.data())].log_s[candidate.matched.case_id] =
          candidate.now.times[i].log_s;
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
    if (!candidate.is_comparable || candidate.base.times.size() > 1 || candidate.now.times.size() > 1 || !has_scatter)
      continue;
    singles.at[candidate.matched.case_id] = singles.log_ratios.size();
    singles.log_ratios.push_back(candidate.log_ratio);
    singles.variances.push_back(candidate.sample_variance);
  }
  return singles;
}

NoiseSource settle_spread(Candidate& candidate, const RunNoise& noise, const SingleRuns& singles,
                          const CompareOptions& options) {
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

std::optional<std::size_t> runs_to_settle(const Candidate& candidate, std::size_t cases,
                                          const CompareOptions& options) {
  const double distance = std::abs(candidate.log_ratio) - std::log1p(options.margin);
  const double confidence =
      distance > 0.0 ? 1 - options.false_discoveries / static_cast<double>(cases) : options.confidence;
  for (std::size_t runs = 2; runs <= kMostRunsASide; ++runs)
    if (half_width(scaled(*candidate.one_run, share_of_runs(runs, runs)), confidence) < std::abs(distance)) return runs;
  return std::nullopt;
}

double detectable_difference(const TwoPartNoise& spread, std::size_t cases, const CompareOptions& options,
                             double power) {
  const double found = half_width(spread, 1 - options.false_discoveries / static_cast<double>(cases));
  return std::expm1(std::log1p(options.margin) + found + half_width(spread, 2 * power - 1));
}

std::string percent(double ratio) { return fmt::format("{:+.2f} %", 100 * (ratio - 1)); }

std::string why_ambiguous(const CaseComparison& result, const CompareOptions& options) {
  const double high = 1 + options.margin, low = 1 / high;
  const std::string from_to =
      fmt::format("from {} to {}", percent(result.interval->low), percent(result.interval->high));
  if (result.interval->low > high || result.interval->high < low)
    return fmt::format("{}: beyond the margin alone, not among so many cases (q = {:.2g})", from_to, *result.q);
  return fmt::format("{}, which crosses the margin of {:.3g} %", from_to, 100 * options.margin);
}

void conclude(const Candidate& candidate, std::size_t cases, const CompareOptions& options, CaseComparison& result) {
  const double margin = std::log1p(options.margin), reach = half_width(candidate.spread, options.confidence);
  result.interval = Interval{std::exp(candidate.log_ratio - reach), std::exp(candidate.log_ratio + reach)};
  result.detectable = detectable_difference(candidate.spread, cases, options, 0.95);
  if (*result.q <= options.false_discoveries) {
    result.verdict = candidate.log_ratio > 0.0 ? CaseVerdict::slower : CaseVerdict::faster;
  } else if (std::abs(candidate.log_ratio) + reach < margin) {
    result.verdict = CaseVerdict::same;
  } else {
    result.verdict = CaseVerdict::ambiguous;
    result.reason = why_ambiguous(result, options);
    result.runs_needed = runs_to_settle(candidate, cases, options);
  }
}

}  // namespace

std::string_view to_string(CaseVerdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }
std::string_view to_string(NoiseSource source) { return kSources[static_cast<std::size_t>(source)]; }

std::size_t ComparisonReport::count(CaseVerdict verdict) const {
  return static_cast<std::size_t>(
      std::count_if(cases.begin(), cases.end(), [&](const CaseComparison& one) { return one.verdict == verdict; }));
}

std::size_t ComparisonReport::broken() const {
  return static_cast<std::size_t>(
      std::count_if(cases.begin(), cases.end(), [](const CaseComparison& one) { return one.is_broken; }));
}

double detectable_change(const TwoPartNoise& one_run, std::size_t runs, std::size_t cases,
                         const CompareOptions& options, double power) {
  return detectable_difference(scaled(one_run, share_of_runs(runs, runs)), cases, options, power);
}

ComparisonReport compare_runs(const std::vector<RunRecords>& base, const std::vector<RunRecords>& now,
                              const CompareOptions& options) {
  require_sensible(options);
  ComparisonReport report;
  report.options = options;
  std::vector<Candidate> candidates;
  for (MatchedCase& matched : match_cases(base, now)) candidates.push_back({.matched = std::move(matched)});
  report.cases.resize(candidates.size());
  parallel_for(static_cast<std::int64_t>(candidates.size()), 8, [&](std::int64_t begin, std::int64_t end, int) {
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
      report.cases[i] = examine(candidates[i], options);
  });

  RunNoise noise = estimate_run_noise(groups_of(candidates, base, now));
  if (options.calibration) noise = joined(noise, *options.calibration);
  const SingleRuns singles = single_runs_of(candidates);
  const double margin = std::log1p(options.margin);
  Tails tails;
  std::vector<double> p;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (!candidates[i].is_comparable) continue;
    report.cases[i].noise = settle_spread(candidates[i], noise, singles, options);
    candidates[i].spread.own_variance = std::max(candidates[i].spread.own_variance, kLeastVariance);
    p.push_back(std::min(1.0, 2 * tails.tail(std::abs(candidates[i].log_ratio) - margin, candidates[i].spread)));
    report.cases[i].p = p.back();
  }
  const std::vector<double> q = adjusted_p_values(p);
  for (std::size_t i = 0, next = 0; i < candidates.size(); ++i) {
    if (!candidates[i].is_comparable) continue;
    report.cases[i].q = q[next++];
    conclude(candidates[i], q.size(), options, report.cases[i]);
  }
  add_doubts(candidates, report);
  return report;
}

GateOutcome judge(const ComparisonReport& report, bool strict) {
  if (report.count(CaseVerdict::slower) > 0 || report.broken() > 0) return GateOutcome::regression;
  const bool is_open =
      report.cases.empty() || report.count(CaseVerdict::ambiguous) > 0 || report.count(CaseVerdict::not_comparable) > 0;
  return strict && is_open ? GateOutcome::undecided : GateOutcome::passed;
}

}  // namespace chokepoint
