// Did the same cases become faster or slower from one set of runs to another?
//
// Per case the ratio of times on the target, new over base, with an interval that holds what samples show and what runs
// differ by, a verdict against a margin, and control of false discoveries over all cases.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/record.hpp"
#include "harness/model/statistics.hpp"
#include "harness/track/conditions.hpp"
#include "harness/track/run_noise.hpp"

namespace chokepoint {

// One start of the program: its records, and the environment.json beside them (null when there is none).
struct RunRecords {
  std::string id;
  Json environment;
  std::vector<Record> records;
  std::string source;  // the file they were read from
};

enum class CaseVerdict { slower, faster, ambiguous, not_comparable, same };  // what wants attention first
std::string_view to_string(CaseVerdict verdict);

// Where the noise between runs was taken from.
enum class NoiseSource {
  runs,         // these runs: a side has several
  calibration,  // an A/A calibration, with or without these runs
  cases,        // the other cases: one run a side
  stated,       // the user said so
  assumed,      // nothing shows it: kAssumedRunDeviation
};
std::string_view to_string(NoiseSource source);

struct CompareOptions {
  double margin = 0.02;      // a change below it is none
  double confidence = 0.95;  // of each interval
  double false_discoveries = 0.05;
  std::set<std::string> allowed;        // conditions that may differ
  std::optional<RunNoise> calibration;  // of A/A runs
  std::optional<double> run_deviation;  // of one run, relative, as the user states it
};

inline constexpr std::size_t kMostRunsASide = 100;  // who would need more needs another machine or margin

struct CaseComparison {
  std::string case_id;
  CaseVerdict verdict = CaseVerdict::not_comparable;
  std::string reason;                       // why not comparable or ambiguous; empty otherwise
  std::size_t base_runs = 0, new_runs = 0;  // with a time
  std::optional<double> base_s, new_s;      // seconds on the target
  std::optional<double> time_ratio;         // new over base: above 1 is slower
  std::optional<Interval> interval;         // of time_ratio
  std::optional<double> p, q;               // of "changed by more than the margin"; q adjusted over all cases
  std::optional<NoiseSource> noise;
  std::optional<double> detectable;        // the least slow-down that such runs show, see detectable_change()
  std::optional<std::size_t>
      runs_needed;  // a side, to settle an ambiguous case that stays as it is; absent above kMostRunsASide
  bool is_broken = false;                  // worked in base, failed or became invalid in new
  std::vector<std::string> remarks;        // what else differs
};

// A condition that differs, in how many cases.
struct ConditionChange {
  Mismatch mismatch;
  std::size_t cases = 0;
  bool is_allowed = false;
};

struct ComparisonReport {
  CompareOptions options;
  std::vector<CaseComparison> cases;  // in the order of base, then what new has alone
  std::vector<ConditionChange> changes;
  std::vector<std::string> warnings;   // about the comparison as a whole, one sentence each
  std::optional<double> common_ratio;  // median over the comparable cases
  std::size_t count(CaseVerdict verdict) const;
  std::size_t broken() const;
};

// `base` and `now`: runs of either side. Cases are matched by case_id; where only the name before '#' matches, inputs
// or the device differ and the case is comparable if these are allowed to. Throws Error{config} for options that cannot
// work.
ComparisonReport compare_runs(const std::vector<RunRecords>& base, const std::vector<RunRecords>& now,
                              const CompareOptions& options);

// The least slow-down that is found with probability `power`, one changed case among `cases`, with `runs` runs a side:
// the margin and, at a tail of false_discoveries/(2 cases) and at that of `power`, two half widths.
double detectable_change(const TwoPartNoise& one_run, std::size_t runs, std::size_t cases,
                         const CompareOptions& options, double power = 0.95);

enum class GateOutcome { passed, regression, undecided };

// regression: a case is slower, or worked and no longer does. undecided, only when strict: a case is ambiguous or not
// comparable.
GateOutcome judge(const ComparisonReport& report, bool strict);

}  // namespace chokepoint
