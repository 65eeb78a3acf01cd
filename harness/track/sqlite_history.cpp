// The history in SQLite. This file is left out of a build without it (no_sqlite_history.cpp stands in).
#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <map>
#include <string_view>
#include <utility>

#include "harness/base/error.hpp"
#include "harness/track/history.hpp"

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

// SQLite's own words, and what to do about them.
[[noreturn]] void fail(sqlite3* database, int code, const std::string& path) {
  const std::string why = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      throw Error(Fault::io, fmt::format("{} is locked by another program ({})", path, why),
                  "wait for it to end and try again, or wait longer with --wait; nothing was changed");
    case SQLITE_NOTADB:
      throw Error(Fault::config, fmt::format("{} is not a database", path), "name another --db; nothing was changed");
    case SQLITE_CORRUPT:
      throw Error(Fault::io, fmt::format("{} is damaged ({})", path, why),
                  "move it away and add the result folders again, which hold everything it held");
    case SQLITE_FULL:
    case SQLITE_IOERR:
      throw Error(Fault::io, fmt::format("cannot use {} ({})", path, why), "free some space or check the disk; nothing was changed");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      throw Error(Fault::io, fmt::format("cannot open {} ({})", path, why), "check the path and its permissions");
    default:
      throw Error(Fault::io, fmt::format("{}: {}", path, why), "this is a defect of chokepoint; please report it");
  }
}

struct Close {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

class Database;

// A prepared statement: bind by position from 1, step, read by column from 0.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  Statement& reset() {
    sqlite3_reset(statement_.get());
    return *this;
  }
  Statement& bind(int at, const std::string& text) {
    sqlite3_bind_text(statement_.get(), at, text.c_str(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& bind(int at, sqlite3_int64 value) {
    sqlite3_bind_int64(statement_.get(), at, value);
    return *this;
  }
  Statement& bind(int at, const std::optional<double>& value) {
    value ? sqlite3_bind_double(statement_.get(), at, *value) : sqlite3_bind_null(statement_.get(), at);
    return *this;
  }
  bool step();  // whether there is a row
  std::string text(int column) const {
    const unsigned char* value = sqlite3_column_text(statement_.get(), column);
    return value != nullptr ? std::string(reinterpret_cast<const char*>(value), static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))) : "";
  }
  sqlite3_int64 integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::optional<double> number(int column) const {
    if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
    return sqlite3_column_double(statement_.get(), column);
  }

 private:
  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  Database(std::string path, const HistoryAccess& access) : path_(std::move(path)) {
    const int flags = SQLITE_OPEN_READWRITE | (access.may_create ? SQLITE_OPEN_CREATE : 0);
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(path_.c_str(), &opened, flags, nullptr);
    database_.reset(opened);
    check(code);
    sqlite3_extended_result_codes(opened, 1);
    check(sqlite3_busy_timeout(opened, static_cast<int>(access.wait_s * 1000)));
  }

  void check(int code) {
    if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) fail(database_.get(), code, path_);
  }
  void run(const char* sql) { check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)); }
  sqlite3_int64 number(const char* sql) {
    Statement statement(*this, sql);
    statement.step();
    return statement.integer(0);
  }
  sqlite3_int64 last_id() { return sqlite3_last_insert_rowid(database_.get()); }
  int changes() { return sqlite3_changes(database_.get()); }
  sqlite3* get() { return database_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

Statement::Statement(Database& database, const char* sql) : database_(database) {
  sqlite3_stmt* prepared = nullptr;
  database.check(sqlite3_prepare_v2(database.get(), sql, -1, &prepared, nullptr));
  statement_.reset(prepared);
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  database_.check(code);
  return code == SQLITE_ROW;
}

// Rolled back unless committed. IMMEDIATE: a second writer waits here, not in the middle.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.run("BEGIN IMMEDIATE"); }
  ~Transaction() {
    if (!is_done_) sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit() {
    database_.run("COMMIT");
    is_done_ = true;
  }

 private:
  Database& database_;
  bool is_done_ = false;
};

// An empty file becomes a history; anything else has to be one that this program knows.
void require_schema(Database& database) {
  if (database.number("PRAGMA application_id") == 0 && database.number("SELECT count(*) FROM sqlite_master") == 0) {
    database.run("PRAGMA journal_mode = WAL");
    Transaction transaction(database);
    if (database.number("PRAGMA application_id") == 0) {  // another program may have been first
      database.run(kSchema);
      database.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplicationId, kSchemaVersion).c_str());
    }
    transaction.commit();
  }
  if (database.number("PRAGMA application_id") != kApplicationId)
    throw Error(Fault::config, fmt::format("{} is a database, but no history of chokepoint", database.path()),
                "name another --db; nothing was changed");
  if (const sqlite3_int64 version = database.number("PRAGMA user_version"); version != kSchemaVersion)
    throw Error(Fault::config, fmt::format("{} has schema version {} and this program knows {}", database.path(), version, kSchemaVersion),
                "use the newer chokepoint that wrote it; nothing was changed");
}

// Ids of names, inserted where they are new.
class Names {
 public:
  Names(Database& database, const char* select, const char* insert) : database_(database), select_(database, select), insert_(database, insert) {}
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
  SqliteHistory(const std::string& path, const HistoryAccess& access) : database_(path, access) {
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
    Statement statement(database_,
                        "SELECT m.name, r.run_id, r.commit_id, r.environment, r.finished, x.status, x.reason, x.log_s, x.deviation "
                        "FROM cases c JOIN results x ON x.case_key = c.id JOIN runs r ON r.id = x.run JOIN machines m ON m.id = r.machine "
                        "WHERE c.case_id = ? ORDER BY m.name, r.finished, r.id");
    statement.bind(1, case_id);
    std::vector<HistorySeries> all;
    while (statement.step()) {
      if (all.empty() || all.back().machine != statement.text(0)) all.push_back({case_id, statement.text(0), {}});
      all.back().points.push_back({.run_id = statement.text(1), .commit = statement.text(2), .environment = statement.text(3),
                                   .finished = statement.text(4), .status = statement.text(5), .reason = statement.text(6),
                                   .log_s = statement.number(7), .deviation = statement.number(8)});
    }
    return all;
  }

 private:
  sqlite3_int64 id_of_run(const HistoryRun& run, sqlite3_int64 machine, ImportCounts& counts) {
    Statement known(database_, "SELECT id, commit_id FROM runs WHERE run_id = ? AND machine = ?");
    known.bind(1, run.run_id).bind(2, machine);
    if (known.step()) {
      if (known.text(1) != run.commit)
        throw Error(Fault::config, fmt::format("{}: run {} is in {} as commit {} and cannot be {} as well", run.source, run.run_id, database_.path(), known.text(1), run.commit),
                    "give the --commit it was added with; nothing was changed");
      ++counts.known_runs;
      return known.integer(0);
    }
    ++counts.runs;
    Statement insert(database_, "INSERT INTO runs (run_id, machine, commit_id, environment, finished, source) VALUES (?, ?, ?, ?, ?, ?)");
    insert.bind(1, run.run_id).bind(2, machine).bind(3, run.commit).bind(4, run.environment).bind(5, run.finished).bind(6, run.source).step();
    return database_.last_id();
  }

  Database database_;
};

}  // namespace

std::unique_ptr<History> open_history(const std::string& path, const HistoryAccess& access) {
  std::error_code code;
  if (!access.may_create && !std::filesystem::exists(path, code))
    throw Error(Fault::io, fmt::format("there is no history {}", path), "begin one with `chokepoint history add DIR`, or name another --db");
  return std::make_unique<SqliteHistory>(path, access);
}

std::string history_support() { return fmt::format("{} (history)", sqlite3_libversion()); }

}  // namespace chokepoint
