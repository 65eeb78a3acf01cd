// When have we sampled enough? When a valid interval of the median is narrow enough, or the budget ends.
//
// Looking at an interval often and stopping at the first narrow one makes it lie. So the rule looks only at
// n = first_look * growth^k (rounded up to even), and the k-th look that could stop (n >= the ESS it needs)
// uses the interval at confidence 1 - alpha/(k(k+1)), alpha = 1 - confidence. These shares add up to alpha:
// with probability `confidence` or more *all* intervals ever looked at hold the true median, hence also the
// one we stopped at.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/statistics.hpp"

namespace chokepoint {

struct SamplingPlan {
  double half_width = 0.01;  // target: half the interval / median
  double confidence = 0.95;
  double budget_s = 10.0;            // elapsed time after which the interval is taken as wide as it is
  double least_ess = 200;            // fewer effective samples misjudge their own dependence
  double long_sample_s = 0.05;       // samples with a longer median may stop at ...
  double long_sample_ess = 30;       // ... this ESS, flagged `ess_low`, ...
  std::size_t long_first_look = 32;  // ... and are looked at from here on
  std::size_t first_look = 128;
  double growth = 1.5;
  std::size_t most_samples = 100000;
};

// What came of it. `estimate` is of all samples fed. At a look its interval is the one that look was judged
// by; elsewhere (budget, or samples fed after the end) it has the confidence of the next look, so that the
// guarantee above covers whatever is reported.
struct Outcome {
  std::string stopped_by;  // "precision" | "ess_low" | "budget" | "samples"
  MedianEstimate estimate;
  double interval_confidence = 0.0;  // of `estimate.interval` on its own; what the user is told is the plan's
  std::optional<double> half_width = std::nullopt;  // half the interval / median; absent without interval
  std::size_t looks = 0;                            // that could have stopped
};

// Fed one sample at a time; never reads a clock.
//   StoppingRule rule(plan);
//   while (!rule.done()) rule.add(time_one_launch(), seconds_since_start());
//   Outcome outcome = rule.outcome();
class StoppingRule {
 public:
  explicit StoppingRule(SamplingPlan plan);  // Error{config} on a plan that cannot work

  // `elapsed_s` since sampling began, overheads included. Returns done(). Further samples may follow after
  // the end (another target of the same interleaved case is not done yet); looks go on, the reason stays the
  // first one. Throws Error{device} on a sample that is not a positive number.
  bool add(double sample_s, double elapsed_s);

  bool done() const { return !stopped_by_.empty(); }
  Outcome outcome() const;  // Error{config} before done()

  const std::vector<double>& samples() const { return samples_; }
  const SamplingPlan& plan() const { return plan_; }

  // Progress: where the rule looks next, and half the interval / median at the latest look.
  std::size_t next_look() const { return next_look_; }
  std::optional<double> latest_half_width() const;

 private:
  double look_confidence(std::size_t look) const;
  double needed_ess() const { return long_samples_ ? plan_.long_sample_ess : plan_.least_ess; }
  void look();

  SamplingPlan plan_;
  std::vector<double> samples_;
  std::string stopped_by_;
  bool long_samples_ = false;
  std::size_t next_look_ = 0, looks_ = 0;
  std::optional<MedianEstimate> latest_;  // of the latest look that could have stopped
};

}  // namespace chokepoint
