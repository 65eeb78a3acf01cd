// What does a history keep of a run?
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/base/error.hpp"
#include "harness/track/history.hpp"
#include "harness/track/run_time.hpp"

namespace chokepoint {
namespace {

std::string text_in(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
}

// The one commit of all records.
std::string commit_of(const RunRecords& run) {
  std::set<std::string> commits;
  for (const Record& record : run.records)
    if (const std::string commit = text_in(record.provenance, "git"); !commit.empty()) commits.insert(commit);
  if (commits.size() == 1) return *commits.begin();
  throw Error(Fault::config,
              commits.empty() ? fmt::format("{}: the records of run {} name no commit", run.source, run.id)
                              : fmt::format("{}: the records of run {} name several commits, {} and {}", run.source,
                                            run.id, *commits.begin(), *commits.rbegin()),
              "give --commit");
}

std::string finished_of(const RunRecords& run) {
  std::string latest;
  for (const Record& record : run.records) latest = std::max(latest, text_in(record.provenance, "finished"));
  if (latest.empty()) latest = text_in(run.environment, "started");
  if (latest.empty())
    throw Error(Fault::config, fmt::format("{}: nothing says when run {} was made", run.source, run.id),
                "records need provenance.finished, or the folder its environment.json");
  return latest;
}

// What may change on one machine from run to run and has to be seen beside a change of times.
std::string environment_text(const RunConditions& conditions) {
  std::string text;
  for (const auto& [name, condition] : conditions)
    if (name.starts_with("driver") || name == "power_limit" || name.starts_with("clocks lock"))
      text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, condition.text);
  return text;
}

HistoryResult result_of(const Record& record) {
  HistoryResult result{.case_id = record.case_id,
                       .attempt = record.attempt,
                       .status = std::string(to_string(record.status)),
                       .reason = record.reason};
  if (const std::optional<RunTime> time = recorded_run_time_of(record)) {
    result.log_s = time->log_s;
    if (time->variance) result.deviation = std::sqrt(*time->variance);
  }
  return result;
}

}  // namespace

HistoryRun history_run(const RunRecords& run, const std::optional<std::string>& commit) {
  if (run.records.empty())
    throw Error(Fault::config, fmt::format("{}: run {} holds no records", run.source, run.id), "name another folder");
  const RunConditions conditions = conditions_of(run.records.front(), run.environment);
  HistoryRun result{.run_id = run.id,
                    .commit = commit ? *commit : commit_of(run),
                    .machine = conditions.at("device").text,
                    .environment = environment_text(conditions),
                    .finished = finished_of(run),
                    .source = run.source,
                    .results = {}};
  for (const Record& record : run.records) result.results.push_back(result_of(record));
  return result;
}

}  // namespace chokepoint
