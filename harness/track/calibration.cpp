#include "harness/track/calibration.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>

#include "harness/base/error.hpp"
#include "harness/base/strings.hpp"
#include "harness/track/sides.hpp"

namespace chokepoint {
namespace {

std::string device_of(const RunRecords& run) {
  return conditions_of(run.records.front(), run.environment).at("device").text;
}

bool differs(const std::vector<Mismatch>& mismatches, const CompareOptions& options, std::string& obstacle) {
  for (const Mismatch& mismatch : mismatches)
    if (!options.allowed.contains(mismatch.name))
      obstacle += fmt::format("{}{} differs ({} and {})", obstacle.empty() ? "" : "; ", mismatch.name, mismatch.base,
                              mismatch.now);
  return !obstacle.empty();
}

std::string commits_of(const std::vector<RunRecords>& runs) {
  std::set<std::string> commits;
  for (const RunRecords& run : runs)
    for (const Record& record : run.records)
      if (record.provenance.is_object() && record.provenance.contains("git") && record.provenance["git"].is_string())
        commits.insert(record.provenance["git"].get<std::string>());
  return commits.size() > 1 ? joined(std::vector(commits.begin(), commits.end()), ", ") : "";
}

// A relative deviation; variances are of logarithms.
double deviation(double variance) { return std::expm1(std::sqrt(variance)); }

void describe(const TwoPartNoise& one_run, std::size_t cases, const CompareOptions& options, CaseCalibration& one) {
  one.run_deviation = deviation(one_run.common_variance + one_run.own_variance);
  for (std::size_t i = 0; i < kRunsASide.size(); ++i)
    one.detectable[i] = detectable_change(one_run, kRunsASide[i], cases, options);
}

Json variance_json(const Variance& variance) {
  return {{"deviation", std::sqrt(variance.value)}, {"degrees_of_freedom", variance.df}};
}

Variance variance_from(Fields fields) {
  const double deviation = fields.number("deviation"), df = fields.number("degrees_of_freedom");
  if (!(deviation >= 0.0)) fields.reject("deviation", "is below 0", "restore the file from a copy");
  if (!(df >= 0.0)) fields.reject("degrees_of_freedom", "is below 0", "restore the file from a copy");
  fields.finish();
  return {deviation * deviation, df};
}

}  // namespace

Calibration calibrate_noise(const std::vector<RunRecords>& runs, const CompareOptions& options) {
  if (runs.size() < 2)
    throw Error(Fault::config, fmt::format("{} run is given and a calibration needs 2 of the same code", runs.size()),
                "run the suite again and name both folders; 5 or more make it firm");
  Calibration calibration{.noise = {}, .device = device_of(runs.front()), .runs = runs.size()};
  std::vector<RunTimes> group(runs.size());
  for (const MatchedCase& matched : match_cases(runs, runs)) {
    CaseCalibration one{.case_id = matched.case_id};
    const SideTimes times = times_of(matched.base);
    one.runs = times.times.size();
    if (one.runs == 0) one.obstacle = obstacle_of(matched.base);
    if (one.runs == 1) one.obstacle = "was run once";
    if (!differs(mismatches_of(matched), options, one.obstacle) && one.runs > 1) {
      if (times.has_scatter())
        one.sample_deviation = deviation(times.sample_variance() * static_cast<double>(one.runs));
      for (std::size_t i = 0; i < times.times.size(); ++i)
        group[static_cast<std::size_t>(times.runs[i] - runs.data())].log_s[matched.case_id] = times.times[i].log_s;
    }
    calibration.cases.push_back(std::move(one));
  }
  calibration.noise = estimate_run_noise({group});
  const std::size_t usable = calibration.noise.own.size();
  if (usable == 0)
    throw Error(Fault::config,
                calibration.cases.empty()
                    ? std::string("the runs hold no cases")
                    : fmt::format("no case was run twice under equal conditions; the first one: {}",
                                  calibration.cases.front().obstacle),
                "name runs of one suite on one machine, or --allow what differs");
  for (CaseCalibration& one : calibration.cases)
    if (const auto spread = spread_of(calibration.noise, one.case_id); spread && one.obstacle.empty())
      describe(*spread, usable, options, one);
  if (const std::string commits = commits_of(runs); !commits.empty())
    calibration.warnings.push_back(
        fmt::format("the runs are of different commits ({}); what these changed counts as noise", commits));
  if (runs.size() < 5)
    calibration.warnings.push_back(
        fmt::format("{} runs tell little about noise; detectable slow-downs shrink with more", runs.size()));
  return calibration;
}

Json to_json(const Calibration& calibration) {
  Json cases = Json::array(), own = Json::object();
  for (const CaseCalibration& one : calibration.cases) {
    Json detectable = Json::array();
    for (std::size_t i = 0; i < kRunsASide.size(); ++i)
      detectable.push_back({{"runs_a_side", kRunsASide[i]}, {"slow_down", or_null(one.detectable[i])}});
    cases.push_back({{"case_id", one.case_id},
                     {"runs", one.runs},
                     {"obstacle", one.obstacle},
                     {"run_deviation", or_null(one.run_deviation)},
                     {"sample_deviation", or_null(one.sample_deviation)},
                     {"detectable", detectable}});
  }
  for (const auto& [id, variance] : calibration.noise.own) own[id] = variance_json(variance);
  return {{"schema", kNoiseSchema},
          {"device", calibration.device},
          {"runs", calibration.runs},
          {"common", variance_json(calibration.noise.common)},
          {"prior", variance_json(calibration.noise.prior)},
          {"own", own},
          {"cases", cases},
          {"warnings", calibration.warnings}};
}

StoredNoise noise_from_json(const JsonFile& file) {
  Fields fields(file);
  StoredNoise stored;
  if (const std::string schema = fields.text("schema"); schema != kNoiseSchema)
    fields.reject("schema", fmt::format("is \"{}\"", schema), fmt::format("this program reads {}", kNoiseSchema));
  stored.device = fields.text("device");
  fields.integer("runs");
  stored.noise.common = variance_from(fields.object("common"));
  stored.noise.prior = variance_from(fields.object("prior"));
  Fields own = fields.object("own");
  for (const std::string& id : own.keys()) stored.noise.own[id] = variance_from(own.object(id));
  for (const char* for_people : {"cases", "warnings"}) fields.any(for_people);
  fields.finish();
  return stored;
}

void require_same_device(const StoredNoise& stored, const std::vector<RunRecords>& runs,
                         const CompareOptions& options) {
  if (options.allowed.contains("device")) return;
  for (const RunRecords& run : runs)
    if (!run.records.empty() && device_of(run) != stored.device)
      throw Error(Fault::config,
                  fmt::format("the noise is that of {}, the records are of {}", stored.device, device_of(run)),
                  "calibrate on this machine, or give --allow device");
}

}  // namespace chokepoint
