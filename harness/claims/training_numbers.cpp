#include "harness/claims/training_numbers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/strings.hpp"
#include "harness/base/units.hpp"

namespace chokepoint {
namespace {

using Values = std::vector<double>;

Values breakdown(const StepFacts& facts) {
  const RankBreakdown& rank = facts.rank.value();
  return {rank.forward_s, rank.idle_s, rank.backward_s, rank.weight_s, rank.overlapped_s, rank.optimizer_s};
}

// GPU-hours are counted in seconds of one GPU.
Values gpu_seconds_of_run(const StepFacts& facts) {
  return {facts.run_tokens / tokens_per_s_per_gpu(facts.step_s, facts.scale) / facts.effective_time};
}

const std::vector<TrainingNumber>& training_numbers() {
  static const std::vector<TrainingNumber> numbers = {
      {"gpu_hours_per_T_tokens",
       "s",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{gpu_hours_per_trillion_tokens(f.step_s, f.scale) * kSecondsPerHour}; }},
      {"gpu_hours", "s", {}, true, false, gpu_seconds_of_run},
      {"days_per_T_tokens",
       "s",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{1e12 / tokens_per_s(f.step_s, f.scale)}; }},
      {"seconds", "s", {"F", "idle", "B", "W", "FB", "opt"}, false, true, breakdown},
      {"step_seconds", "s", {}, false, false, [](const StepFacts& f) { return Values{f.step_s}; }},
      {"tokens_per_day",
       "1/s",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{tokens_per_s(f.step_s, f.scale)}; }},
      {"tokens_per_s",
       "1/s",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{tokens_per_s(f.step_s, f.scale)}; }},
      {"tok_s_gpu",
       "1/s",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{tokens_per_s_per_gpu(f.step_s, f.scale)}; }},
      {"tflops_causal",
       "FLOP/s/GPU",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{flop_per_s_per_gpu(f.step_s, f.scale, f.causal_flop_per_token)}; }},
      {"tflops_noncausal",
       "FLOP/s/GPU",
       {},
       false,
       false,
       [](const StepFacts& f) { return Values{flop_per_s_per_gpu(f.step_s, f.scale, f.full_flop_per_token)}; }},
      {"mfu", "1", {}, false, false, [](const StepFacts& f) {
         return Values{mfu(flop_per_s_per_gpu(f.step_s, f.scale, f.causal_flop_per_token), f.peak_flop_per_s)};
       }}};
  return numbers;
}

}  // namespace

const TrainingNumber& gpu_time_of(const Claim& claim) {
  const char* const name = claim.workload.has("tokens") ? "gpu_hours" : "gpu_hours_per_T_tokens";
  return *std::find_if(training_numbers().begin(), training_numbers().end(),
                       [&](const TrainingNumber& number) { return number.name == name; });
}

std::string gpu_time_counts(const Claim& claim) { return claim.workload.has("tokens") ? "the run" : "1T tokens"; }

const TrainingNumber& training_number_of(const Claim& claim) {
  const bool is_one = claim.quantity.values.size() == 1 && claim.quantity.rows.empty();
  const std::string name = claim.quantity.name == "seconds" && is_one ? "step_seconds" : claim.quantity.name;
  std::vector<std::string> known;
  for (const TrainingNumber& number : training_numbers()) {
    if (number.name == name) return number;
    known.push_back(number.name);
  }
  claim.reject("quantity/name", fmt::format("is \"{}\", which no training step gives", name), suggestion(name, known));
}

}  // namespace chokepoint
