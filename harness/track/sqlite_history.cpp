// The history in SQLite. This file is left out of a build without it (no_sqlite_history.cpp stands in).
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "harness/base/error.hpp"
#include "harness/track/history.hpp"
#include "harness/track/sqlite.hpp"

namespace chokepoint {
namespace {

constexpr int kApplicationId = 0x43504B48;  // "CPKH", in the file's header: what kind of file this is
constexpr int kSchemaVersion = 1;

constexpr const char* kSchema = R"(
CREATE TABLE machines (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE runs (
  id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL,
  machine INTEGER NOT NULL REFERENCES machines(id),
  commit_id TEXT NOT NULL,
  environment TEXT NOT NULL,
  finished TEXT NOT NULL,
  source TEXT NOT NULL,
  UNIQUE (run_id, machine));
CREATE INDEX runs_by_commit ON runs (commit_id, machine);
CREATE TABLE cases (id INTEGER PRIMARY KEY, case_id TEXT NOT NULL UNIQUE);
CREATE TABLE results (
  case_key INTEGER NOT NULL REFERENCES cases(id),
  run INTEGER NOT NULL REFERENCES runs(id),
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL,
  reason TEXT NOT NULL,
  log_s REAL,
  deviation REAL,
  PRIMARY KEY (case_key, run)) WITHOUT ROWID;
)";

// An empty file becomes a history; anything else has to be one that this program knows.
void require_schema(Database& database) {
  if (database.number("PRAGMA application_id") == 0 && database.number("SELECT count(*) FROM sqlite_master") == 0) {
    database.run("PRAGMA journal_mode = WAL");
    Transaction transaction(database);
    if (database.number("PRAGMA application_id") == 0) {  // another program may have been first
      database.run(kSchema);
      database.run(
          fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion).c_str());
    }
    transaction.commit();
  }
  if (database.number("PRAGMA application_id") != kApplicationId)
    throw Error(Fault::config, fmt::format("{} is a database, but no history of chokepoint", database.path()),
                "name another --db; nothing was changed");
  if (const sqlite3_int64 version = database.number("PRAGMA user_version"); version != kSchemaVersion)
    throw Error(
        Fault::config,
        fmt::format("{} has schema version {} and this program knows {}", database.path(), version, kSchemaVersion),
        "use the newer chokepoint that wrote it; nothing was changed");
}

// Ids of names, inserted where they are new.
class Names {
 public:
  Names(Database& database, const char* select, const char* insert)
      : database_(database), select_(database, select), insert_(database, insert) {}
  sqlite3_int64 id_of(const std::string& name) {
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
    select_.reset().bind(1, name);
    sqlite3_int64 id = 0;
    if (select_.step()) {
      id = select_.integer(0);
    } else {
      insert_.reset().bind(1, name).step();
      id = database_.last_id();
    }
    return known_[name] = id;
  }

 private:
  Database& database_;
  Statement select_, insert_;
  std::map<std::string, sqlite3_int64> known_;
};

class SqliteHistory : public History {
 public:
  SqliteHistory(const std::string& path, const HistoryAccess& access)
      : database_(path, access.may_create, access.wait_s) {
    require_schema(database_);
    // With WAL a commit survives a crash of the program; FULL makes it survive one of the machine.
    database_.run("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON");
  }

  ImportCounts add(const std::vector<HistoryRun>& runs) override {
    ImportCounts counts;
    Transaction transaction(database_);
    Names machines(database_, "SELECT id FROM machines WHERE name = ?", "INSERT INTO machines (name) VALUES (?)");
    Names cases(database_, "SELECT id FROM cases WHERE case_id = ?", "INSERT INTO cases (case_id) VALUES (?)");
    Statement known(database_, "SELECT attempt FROM results WHERE case_key = ? AND run = ?");
    Statement put(database_, "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)");
    for (const HistoryRun& run : runs) {
      const sqlite3_int64 id = id_of_run(run, machines.id_of(run.machine), counts);
      for (const HistoryResult& result : run.results) {
        const sqlite3_int64 key = cases.id_of(result.case_id);
        const bool is_known = known.reset().bind(1, key).bind(2, id).step();
        if (is_known && known.integer(0) >= result.attempt) {
          ++counts.known_results;
          continue;
        }
        ++(is_known ? counts.newer_attempts : counts.results);
        put.reset().bind(1, key).bind(2, id).bind(3, static_cast<sqlite3_int64>(result.attempt)).bind(4, result.status);
        put.bind(5, result.reason).bind(6, result.log_s).bind(7, result.deviation).step();
      }
    }
    transaction.commit();
    return counts;
  }

  std::vector<std::string> case_ids() override {
    std::vector<std::string> ids;
    Statement statement(database_, "SELECT case_id FROM cases ORDER BY case_id");
    while (statement.step()) ids.push_back(statement.text(0));
    return ids;
  }

  std::vector<HistorySeries> series_of(const std::string& case_id) override {
    Statement statement(
        database_,
        "SELECT m.name, r.run_id, r.commit_id, r.environment, r.finished, x.status, x.reason, x.log_s, x.deviation "
        "FROM cases c JOIN results x ON x.case_key = c.id JOIN runs r ON r.id = x.run JOIN machines m ON m.id = "
        "r.machine "
        "WHERE c.case_id = ? ORDER BY m.name, r.finished, r.id");
    statement.bind(1, case_id);
    std::vector<HistorySeries> all;
    while (statement.step()) {
      if (all.empty() || all.back().machine != statement.text(0)) all.push_back({case_id, statement.text(0), {}});
      all.back().points.push_back({.run_id = statement.text(1),
                                   .commit = statement.text(2),
                                   .environment = statement.text(3),
                                   .finished = statement.text(4),
                                   .status = statement.text(5),
                                   .reason = statement.text(6),
                                   .log_s = statement.number(7),
                                   .deviation = statement.number(8)});
    }
    return all;
  }

 private:
  sqlite3_int64 id_of_run(const HistoryRun& run, sqlite3_int64 machine, ImportCounts& counts) {
    Statement known(database_, "SELECT id, commit_id FROM runs WHERE run_id = ? AND machine = ?");
    known.bind(1, run.run_id).bind(2, machine);
    if (known.step()) {
      if (known.text(1) != run.commit)
        throw Error(Fault::config,
                    fmt::format("{}: run {} is in {} as commit {} and cannot be {} as well", run.source, run.run_id,
                                database_.path(), known.text(1), run.commit),
                    "give the --commit it was added with; nothing was changed");
      ++counts.known_runs;
      return known.integer(0);
    }
    ++counts.runs;
    Statement insert(
        database_,
        "INSERT INTO runs (run_id, machine, commit_id, environment, finished, source) VALUES (?, ?, ?, ?, ?, ?)");
    insert.bind(1, run.run_id)
        .bind(2, machine)
        .bind(3, run.commit)
        .bind(4, run.environment)
        .bind(5, run.finished)
        .bind(6, run.source)
        .step();
    return database_.last_id();
  }

  Database database_;
};

}  // namespace

std::unique_ptr<History> open_history(const std::string& path, const HistoryAccess& access) {
  std::error_code code;
  if (!access.may_create && !std::filesystem::exists(path, code))
    throw Error(Fault::io, fmt::format("there is no history {}", path),
                "begin one with `chokepoint history add DIR`, or name another --db");
  return std::make_unique<SqliteHistory>(path, access);
}

std::string history_support() { return fmt::format("{} (history)", sqlite3_libversion()); }

}  // namespace chokepoint
