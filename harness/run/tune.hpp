// Which configuration of a kernel is the fastest for one problem, here and today? Trials of two at a time, sampled in
// turn (A B B A) until the interval of their ratio decides or the time is up.
//
// The plan's own configuration begins as the best. Each other one has to show that it takes less time than the best by
// at least `least_gain`, beyond its interval, to take its place: ties and noise change nothing. The winner then meets
// the plan's own once more, on fresh samples: a maximum over many trials flatters itself. Outputs are compared with the
// reference before and after sampling; a wrong one loses.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/device/device.hpp"
#include "harness/model/record.hpp"
#include "harness/model/statistics.hpp"
#include "harness/run/verify.hpp"
#include "kernels/kernel_choices.hpp"

namespace chokepoint {

struct TuneTask {
  const KernelChoices& choices;
  std::vector<std::string> configurations;  // the plan's own first
  const Problem& problem;
  const Answer& answer;
};

struct TuneSettings {
  double budget_s = 60.0;    // from the first launch's preparation on; a block of samples that has begun is finished
  double confidence = 0.95;  // that no trial of a problem prefers the slower one
  double least_gain = 0.01;
  double warm_up_s = 0.1;  // of each trial
};

enum class TrialEnd { faster, not_faster, undecided, failed };
std::string_view to_string(TrialEnd end);

// One side of a trial.
struct TrialSide {
  std::string configuration;
  std::vector<double> samples;  // host seconds of one launch
  std::optional<Verification> verification;
};

struct TuneTrial {
  TrialSide challenger, best;
  TrialEnd end = TrialEnd::undecided;
  std::optional<RatioEstimate> ratio;  // time of the challenger over the best's
  std::string reason;                  // why it failed
};

struct TuneResult {
  std::string planned, chosen;
  std::vector<TuneTrial> trials;
  std::optional<TuneTrial> confirmation;  // where a trial was won: the winner against the plan's own
  std::size_t untried = 0;
};

// `tell` is called after each trial, the confirmation included.
TuneResult tune(const TuneTask& task, Device& device, const TuneSettings& settings,
                const std::function<void(const TuneTrial&)>& tell);

}  // namespace chokepoint
