// How long did one run of a case take on its target, and how far would its samples let that wander? The scatter of one
// run only: how much whole runs differ is the question of run_noise.hpp.
#pragma once

#include <optional>
#include <span>

#include "harness/model/record.hpp"

namespace chokepoint {

struct RunTime {
  double log_s = 0.0;              // logarithm of the median, in seconds of the target
  std::optional<double> variance;  // of log_s, from the samples of this run; absent where the record shows no scatter
  bool from_samples = true;        // false: from the recorded median and interval
};

// The variance of the logarithm of a median, by the bootstrap in closed form: the median of `ess` independent draws
// from the samples falls on the i-th smallest with a probability that a beta distribution gives (Efron 1979; Maritz and
// Jarrett 1978). `ess` stands where they have n, so that dependent samples count for what they are worth.
double bootstrap_variance_of_log_median(std::span<const double> samples, double ess);

// Absent for a record that is not ok or has no time above 0.
std::optional<RunTime> run_time_of(const Record& record);

// The same from the median and the interval that the record states, whatever its samples: for a history, where the
// scatter of one run matters little.
std::optional<RunTime> recorded_run_time_of(const Record& record);

}  // namespace chokepoint
