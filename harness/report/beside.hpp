// What stands on a page beside records and comes from other parts of the program? What cases took from commit to
// commit, what claims came to, and what owning a machine costs. Plain figures: a report knows neither the history's
// database nor how a claim is judged.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/cost_book.hpp"
#include "harness/model/statistics.hpp"

namespace chokepoint {

// One run of a case, seconds on the target.
struct HistoryDot {
  std::string commit, finished, run_id;
  double seconds = 0.0;
  std::optional<Interval> interval;  // 95 %, of its own samples
  bool is_spike = false;
};

struct HistoryLevel {
  std::size_t begin = 0, end = 0;  // of the dots, [begin, end)
  double first_s = 0.0, last_s = 0.0;  // at its first and last dot; they differ where there is a drift
};

struct HistoryStep {
  std::size_t at = 0;       // first dot of the new level
  double time_ratio = 1.0;  // above 1 is slower
  Interval interval;        // 95 %
  std::string doubt;        // why the commit may not be to blame; may be empty
};

// A case on one machine, oldest first.
struct HistoryLine {
  std::string case_id, machine;
  std::vector<HistoryDot> dots;
  std::size_t without_time = 0;  // runs that failed, or had nothing to time
  std::vector<HistoryLevel> levels;  // none where the runs are too few to tell
  std::vector<HistoryStep> steps;
  std::optional<double> drift;  // per run, relative
};

enum class ClaimSide { holds, fails, open };

// One number of a claim.
struct ClaimNumber {
  std::string id, statement, number;  // `number` may be empty
  std::string unit;
  std::optional<double> published, derived;  // absent where the claim could not be tested
  std::optional<Interval> interval;  // 90 %, over the draws of the assumptions; absent for plain arithmetic
  std::string verdict, reason, inputs, source;
  ClaimSide side = ClaimSide::open;
};

struct ReportBeside {
  std::string history_file;  // empty: none was named
  std::size_t history_cases = 0;  // in it
  std::vector<HistoryLine> history;  // of the report's cases
  bool has_claims = false;           // they were asked for
  std::vector<ClaimNumber> claims;
  std::optional<CostBook> costs;  // for what owning costs
};

}  // namespace chokepoint
