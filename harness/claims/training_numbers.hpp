// Which numbers can a claim state about a training step?
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "harness/claims/claim.hpp"
#include "harness/claims/throughput.hpp"
#include "harness/claims/train_step.hpp"

namespace chokepoint {

// What is known once a step has been derived.
struct StepFacts {
  double step_s = 0.0;
  std::optional<RankBreakdown> rank;  // of the rank that the claim reports
  StepScale scale;
  double causal_flop_per_token = 0.0, full_flop_per_token = 0.0;  // model FLOP, without further predicted tokens
  double peak_flop_per_s = 0.0;                                   // of the machine in BF16, by its datasheet
  double run_tokens = 0.0;                                        // of the whole run; 0 when the claim does not say
  double effective_time = 1.0;                                    // share of the run's time that makes progress
};

struct TrainingNumber {
  std::string name, base_unit;
  std::vector<std::string> rows;  // empty when it is one number
  bool needs_run_tokens = false, needs_rank = false;
  std::function<std::vector<double>(const StepFacts&)> values;
};

// The one that the claim's quantity names. Throws Error{config} that names file, line and the nearest known name.
const TrainingNumber& training_number_of(const Claim& claim);

// What a claim's energy is counted from: seconds of one GPU for the whole run where its tokens are known, otherwise for
// a trillion tokens.
const TrainingNumber& gpu_time_of(const Claim& claim);
std::string gpu_time_counts(const Claim& claim);  // "the run" or "1T tokens"

}  // namespace chokepoint
