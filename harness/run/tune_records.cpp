#include "harness/run/tune_records.hpp"

#include <fmt/format.h>

#include "harness/run/case_runner.hpp"

namespace chokepoint {
namespace {

TimeSummary time_of_side(const TrialSide& side, double confidence) {
  const MedianEstimate estimate = estimate_median(side.samples, confidence);
  const MeanEstimate average = estimate_mean(side.samples, confidence);
  TimeSummary time;
  time.median = estimate.median;
  time.mean = average.mean;
  if (estimate.interval) {
    time.ci_low = estimate.interval->low;
    time.ci_high = estimate.interval->high;
  }
  if (average.interval) {
    time.mean_ci_low = average.interval->low;
    time.mean_ci_high = average.interval->high;
  }
  time.ess = estimate.ess;
  time.n = static_cast<std::int64_t>(side.samples.size());
  time.cv = coefficient_of_variation(side.samples);
  time.stopped_by = "samples";
  time.regime = "burst";
  for (const double sample_s : side.samples) time.window_s += sample_s;
  time.samples = side.samples;
  return time;
}

}  // namespace

std::vector<Record> records_of(const TuneTrial& trial, int number, const CaseGroup& group, const DeviceFacts& facts,
                               double confidence) {
  std::vector<Record> records;
  for (const TrialSide* side : {&trial.challenger, &trial.best}) {
    if (side->samples.empty() || trial.end == TrialEnd::failed) continue;
    Record record = blank_record(group, "host", facts);
    record.case_id += fmt::format(":trial={}:{}", number, side->configuration);
    record.status = Status::ok;
    record.basis = Basis::measured;
    record.time = time_of_side(*side, confidence);
    record.verification = side->verification;
    record.interleave_group = fmt::format("{}:trial={}", group.name(), number);
    record.provenance["configuration"] = side->configuration;
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace chokepoint
