#include "harness/model/stopping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

void require(bool holds, std::string_view field, double value, std::string_view limit) {
  if (!holds)
    throw Error(Fault::config, fmt::format("sampling plan: {} is {}, and has to be {}", field, value, limit),
                "correct the sampling plan");
}

void check_stopping(const SamplingPlan& plan) {
  require(plan.half_width > 0.0, "half_width", plan.half_width, "above 0");
  require(plan.confidence > 0.0 && plan.confidence < 1.0, "confidence", plan.confidence, "between 0 and 1");
  require(plan.budget_s > 0.0, "budget_s", plan.budget_s, "above 0");
  require(plan.least_ess >= 2.0, "least_ess", plan.least_ess, "2 or more");
  require(plan.long_sample_s > 0.0, "long_sample_s", plan.long_sample_s, "above 0");
  require(plan.long_sample_ess >= 2.0, "long_sample_ess", plan.long_sample_ess, "2 or more");
  require(plan.growth > 1.0, "growth", plan.growth, "above 1");
  require(plan.long_first_look >= 2, "long_first_look", static_cast<double>(plan.long_first_look),
          "2 or more");
  require(plan.first_look >= plan.long_first_look, "first_look", static_cast<double>(plan.first_look),
          "long_first_look or more");
  require(plan.most_samples >= 1, "most_samples", static_cast<double>(plan.most_samples), "1 or more");
}

// Even, so that a look falls on the end of an A B B A block.
std::size_t even(double count) { return static_cast<std::size_t>(std::ceil(count / 2)) * 2; }

std::optional<double> relative_half_width(const MedianEstimate& estimate) {
  if (!estimate.interval) return std::nullopt;
  return estimate.interval->half_width() / estimate.median;
}

}  // namespace

StoppingRule::StoppingRule(SamplingPlan plan) : plan_(plan) {
  check_stopping(plan_);
  next_look_ = even(static_cast<double>(plan_.first_look));
}

bool StoppingRule::add(double sample_s, double elapsed_s) {
  if (!(sample_s > 0.0) || !std::isfinite(sample_s))
    throw Error(Fault::device,
                fmt::format("sample {} took {} s, which is no time", samples_.size() + 1, sample_s),
                "check the timer that took it (chokepoint doctor)");
  if (!(elapsed_s >= 0.0))
    throw Error(Fault::device, fmt::format("{} s have elapsed, which is no time", elapsed_s),
                "check the clock of the run (chokepoint doctor)");
  samples_.push_back(sample_s);
  const std::size_t n = samples_.size();
  if (n == even(static_cast<double>(plan_.long_first_look)) && *median(samples_) > plan_.long_sample_s) {
    long_samples_ = true;
    next_look_ = n;
  }
  if (n == next_look_) look();
  if (!done() && elapsed_s >= plan_.budget_s) stopped_by_ = "budget";
  if (!done() && n >= plan_.most_samples) stopped_by_ = "samples";
  return done();
}

void StoppingRule::look() {
  const std::size_t n = samples_.size();
  next_look_ = std::max(n + 2, even(static_cast<double>(n) * plan_.growth));
  if (static_cast<double>(n) < needed_ess()) return;  // could not stop whatever it saw: costs nothing
  latest_ = estimate_median(samples_, look_confidence(++looks_));
  const std::optional<double> width = relative_half_width(*latest_);
  if (done() || !width || *width > plan_.half_width || latest_->ess < needed_ess()) return;
  stopped_by_ = latest_->ess < plan_.least_ess ? "ess_low" : "precision";
}

double StoppingRule::look_confidence(std::size_t look) const {
  const double k = static_cast<double>(look);
  return 1.0 - (1.0 - plan_.confidence) / (k * (k + 1.0));
}

std::optional<double> StoppingRule::latest_half_width() const {
  return latest_ ? relative_half_width(*latest_) : std::nullopt;
}

Outcome StoppingRule::outcome() const {
  if (!done())
    throw Error(Fault::config, fmt::format("sampling is not over after {} samples", samples_.size()),
                "add samples until done()");
  const bool at_look = latest_ && latest_->n == samples_.size();
  const double confidence = look_confidence(at_look ? looks_ : looks_ + 1);
  Outcome outcome{.stopped_by = stopped_by_,
                  .estimate = at_look ? *latest_ : estimate_median(samples_, confidence),
                  .interval_confidence = confidence,
                  .looks = looks_};
  outcome.half_width = relative_half_width(outcome.estimate);
  return outcome;
}

}  // namespace chokepoint
