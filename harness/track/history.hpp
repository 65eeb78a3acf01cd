// What did each case take, run after run? A database in one file: runs keyed by commit and machine, imported whole or
// not at all.
//
// Only what a history needs is kept of a record; samples stay in records.jsonl, which is the evidence.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/track/compare.hpp"

namespace chokepoint {

// One case of one run.
struct HistoryResult {
  std::string case_id;
  int attempt = 1;
  std::string status, reason;
  std::optional<double> log_s;      // logarithm of the median, seconds on the target
  std::optional<double> deviation;  // of log_s, from the samples of the run
};

struct HistoryRun {
  std::string run_id;
  std::string commit;       // of what was measured
  std::string machine;      // device kind, name, architecture and workers
  std::string environment;  // driver, clocks, power limit: what may change on a machine, as text
  std::string finished;     // UTC, ISO 8601: the order of the history
  std::string source;       // the file it was read from
  std::vector<HistoryResult> results;
};

// A run without its samples. `commit`: instead of the one in the records' provenance. Throws Error{config} where there
// is neither, or no time.
HistoryRun history_run(const RunRecords& run, const std::optional<std::string>& commit);

struct ImportCounts {
  std::size_t runs = 0, results = 0;  // new ones
  std::size_t known_runs = 0, known_results = 0, newer_attempts = 0;
};

struct HistoryPoint {
  std::string run_id, commit, environment, finished, status, reason;
  std::optional<double> log_s, deviation;
};

// A case on a machine, in order of time.
struct HistorySeries {
  std::string case_id, machine;
  std::vector<HistoryPoint> points;
};

class History {
 public:
  virtual ~History() = default;

  // All runs in one transaction; what is there already changes nothing, a later attempt replaces an earlier one. Throws
  // Error{config} for a run that is there with another commit.
  virtual ImportCounts add(const std::vector<HistoryRun>& runs) = 0;

  virtual std::vector<std::string> case_ids() = 0;                               // sorted
  virtual std::vector<HistorySeries> series_of(const std::string& case_id) = 0;  // by machine
};

struct HistoryAccess {
  bool may_create = false;
  double wait_s = 30.0;  // for another writer
};

// Throws Error{unsupported} in a build without SQLite, Error{io} for a file that cannot be opened, is locked for longer
// than `wait_s` or damaged, Error{config} for one that is no history or is of a newer program.
std::unique_ptr<History> open_history(const std::string& path, const HistoryAccess& access);

// For `doctor`: the version of SQLite, or what is missing with the remedy.
std::string history_support();

}  // namespace chokepoint
