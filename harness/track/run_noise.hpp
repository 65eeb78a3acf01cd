// How much do runs of the same code differ? More than the samples of one run show: a run has its own clocks,
// temperatures and layout of memory, for all of its cases or for one.
//
// All variances are of logarithms of seconds, of a single run. Where several runs are equal in everything but chance,
// their medians tell: what a run has in common over its cases (known from as many values as there are runs) is kept
// apart from what each case adds (known from all cases together).
//
// Over runs this takes variances and Student's t instead of a bootstrap: with 2, 3, 5 and 10 runs a side the percentile
// bootstrap's 95 % intervals of a difference hold the truth in 67, 80, 88 and 92 % (normal noise, 1,500 replicates
// each).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/track/moderated.hpp"
#include "harness/track/spread.hpp"

namespace chokepoint {

// One run: the logarithm of each case's median, and the variance its own samples give that.
struct RunTimes {
  std::map<std::string, double> log_s;
};

// What groups of equal runs say.
struct RunNoise {
  Variance common;                      // of a run; df 0: cannot be told from the cases' own
  std::map<std::string, Variance> own;  // of each case that was run more than once
  Variance prior;                       // of `own`, over all cases
};

inline constexpr std::size_t kLeastCasesForCommon = 5;  // fewer cannot tell a run's part from a case's

// `groups` are runs of the same code under the same conditions; between groups anything may differ.
RunNoise estimate_run_noise(const std::vector<std::vector<RunTimes>>& groups);

// Both together, weighted by their degrees of freedom.
RunNoise joined(const RunNoise& a, const RunNoise& b);

// Of a single run of this case; absent where neither the case nor its likes were run more than once.
std::optional<TwoPartNoise> spread_of(const RunNoise& noise, const std::string& case_id);

// With one run a side nothing above applies. Then the differences of the other cases stand for the noise of one: most
// cases have not changed. `log_ratios` and the variances that samples alone give them; the result is that of the
// difference, not of a run. Cases ten robust deviations away from most have changed and are left out; the degrees of
// freedom stay below kMostSharedDegrees, since cases may differ in noise, and below half of that where tails say they
// do. What all cases have in common may be the machine's doing, up to the noise that runs are assumed to have. Absent
// below kLeastSharedCases.
std::optional<TwoPartNoise> spread_from_other_cases(const std::vector<double>& log_ratios,
                                                    const std::vector<double>& sample_variances, std::size_t which);

inline constexpr std::size_t kLeastSharedCases = 5;
inline constexpr double kMostSharedDegrees = 10;

// Deviation of a run, relative, where nothing shows it. Google Benchmark measured 1.01 % with random interleaving and
// 1.37 % without, over runs of one program (google/benchmark#1051); assumed is more than both, since an alarm where
// runs differ by 2 % is as false as one where they differ by 1 % (compare_slow_test.cpp has the rates).
inline constexpr double kAssumedRunDeviation = 0.02;

}  // namespace chokepoint
