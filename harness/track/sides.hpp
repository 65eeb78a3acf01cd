// Which records of two sets of runs belong to one case, and may their times be compared?
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/track/compare.hpp"
#include "harness/track/run_time.hpp"

namespace chokepoint {

// A record and the run it is from.
struct Sighting {
  const Record* record = nullptr;
  const RunRecords* run = nullptr;
};

struct MatchedCase {
  std::string case_id;  // of base where it has the case
  std::vector<Sighting> base, now;
};

// In the order of base, then what `now` has alone.
std::vector<MatchedCase> match_cases(const std::vector<RunRecords>& base, const std::vector<RunRecords>& now);

// Runs with a time, of one side.
struct SideTimes {
  std::vector<const RunRecords*> runs;
  std::vector<RunTime> times;
  double mean_log_s() const;
  double sample_variance() const;  // of the mean, from samples alone; 0 where no record has scatter
  bool has_scatter() const;
};

SideTimes times_of(const std::vector<Sighting>& side);

// Why a side without a time has none: "absent", "failed: ...".
std::string obstacle_of(const std::vector<Sighting>& side);

// Records that failed or are invalid.
std::size_t broken_in(const std::vector<Sighting>& side);

// Differences between the sides and within either, each name once.
std::vector<Mismatch> mismatches_of(const MatchedCase& matched);

}  // namespace chokepoint
