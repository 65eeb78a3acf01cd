#include "harness/track/doubts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "harness/model/descriptive.hpp"

namespace chokepoint {
namespace {

void add_changes(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  for (const Candidate& candidate : candidates)
    for (const Mismatch& mismatch : candidate.mismatches) {
      auto known = std::find_if(report.changes.begin(), report.changes.end(), [&](const ConditionChange& change) {
        return change.mismatch.name == mismatch.name && change.mismatch.base == mismatch.base &&
               change.mismatch.now == mismatch.now;
      });
      if (known == report.changes.end())
        known = report.changes.insert(known, {mismatch, 0, is_allowed(mismatch, report.options)});
      ++known->cases;
    }
}

void warn_about_noise(ComparisonReport& report) {
  std::array<std::size_t, 5> cases{};  // by source
  for (const CaseComparison& one : report.cases)
    if (one.noise) ++cases[static_cast<std::size_t>(*one.noise)];
  if (const std::size_t n = cases[static_cast<std::size_t>(NoiseSource::cases)]; n > 0)
    report.warnings.push_back(fmt::format(
        "one run a side: how much runs differ is taken from the spread over {} cases; several runs a side or "
        "--noise make that firm",
        n));
  if (const std::size_t n = cases[static_cast<std::size_t>(NoiseSource::assumed)]; n > 0)
    report.warnings.push_back(
        fmt::format("nothing shows how much runs of {} case{} differ: {:.3g} % is assumed; give several runs a side, "
                    "--noise from `compare --calibrate`, or --run-noise",
                    n, n == 1 ? "" : "s", 100 * kAssumedRunDeviation));
}

void warn_about_conditions(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  std::set<std::string> names;
  for (const Candidate& candidate : candidates)
    if (candidate.is_comparable)
      for (const std::string& name : known_to_one(
               conditions_of(*candidate.matched.base.front().record, candidate.matched.base.front().run->environment),
               conditions_of(*candidate.matched.now.front().record, candidate.matched.now.front().run->environment)))
        names.insert(name);
  for (const std::string& name : names)
    report.warnings.push_back(fmt::format("{} is recorded on one side only; nobody can tell whether it changed", name));
}

void warn_about_common_change(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  std::vector<double> log_ratios;
  for (const Candidate& candidate : candidates)
    if (candidate.is_comparable) log_ratios.push_back(candidate.log_ratio);
  if (log_ratios.empty()) return;
  report.common_ratio = std::exp(*median(log_ratios));
  const bool is_shared = log_ratios.size() >= kLeastSharedCases &&
                         std::abs(std::log(*report.common_ratio)) > std::log1p(report.options.margin) / 2;
  const bool is_single = std::any_of(report.cases.begin(), report.cases.end(),
                                     [](const CaseComparison& one) { return one.noise == NoiseSource::cases; });
  if (is_shared && is_single)
    report.warnings.push_back(
        fmt::format("the cases moved together, by {} in the middle: with one run a side the machine may have done "
                    "that; run both again",
                    fmt::format("{:+.2f} %", 100 * (*report.common_ratio - 1))));
}

}  // namespace

void add_doubts(const std::vector<Candidate>& candidates, ComparisonReport& report) {
  add_changes(candidates, report);
  warn_about_noise(report);
  warn_about_common_change(candidates, report);
  warn_about_conditions(candidates, report);
}

}  // namespace chokepoint
