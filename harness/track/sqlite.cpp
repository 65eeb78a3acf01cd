#include "harness/track/sqlite.hpp"

#include <fmt/format.h>

#include <utility>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

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
      throw Error(Fault::io, fmt::format("cannot use {} ({})", path, why),
                  "free some space or check the disk; nothing was changed");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      throw Error(Fault::io, fmt::format("cannot open {} ({})", path, why), "check the path and its permissions");
    default:
      throw Error(Fault::io, fmt::format("{}: {}", path, why), "this is a defect of chokepoint; please report it");
  }
}

}  // namespace

Database::Database(std::string path, bool may_create, double wait_s) : path_(std::move(path)) {
  const int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0);
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path_.c_str(), &opened, flags, nullptr);
  database_.reset(opened);
  check(code);
  check(sqlite3_busy_timeout(opened, static_cast<int>(wait_s * 1000)));
}

void Database::check(int code) {
  if (code != SQLITE_OK && code != SQLITE_ROW && code != SQLITE_DONE) fail(database_.get(), code, path_);
}

void Database::run(const char* sql) { check(sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr)); }

sqlite3_int64 Database::number(const char* sql) {
  Statement statement(*this, sql);
  statement.step();
  return statement.integer(0);
}

Statement::Statement(Database& database, const char* sql) : database_(database) {
  sqlite3_stmt* prepared = nullptr;
  database.check(sqlite3_prepare_v2(database.handle(), sql, -1, &prepared, nullptr));
  statement_.reset(prepared);
}

Statement& Statement::reset() {
  sqlite3_reset(statement_.get());
  return *this;
}

Statement& Statement::bind(int at, const std::string& text) {
  database_.check(
      sqlite3_bind_text(statement_.get(), at, text.c_str(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind(int at, sqlite3_int64 value) {
  database_.check(sqlite3_bind_int64(statement_.get(), at, value));
  return *this;
}

Statement& Statement::bind(int at, const std::optional<double>& value) {
  database_.check(value ? sqlite3_bind_double(statement_.get(), at, *value) : sqlite3_bind_null(statement_.get(), at));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_.get());
  database_.check(code);
  return code == SQLITE_ROW;
}

std::string Statement::text(int column) const {
  const unsigned char* value = sqlite3_column_text(statement_.get(), column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return value != nullptr ? std::string(reinterpret_cast<const char*>(value), size) : "";
}

std::optional<double> Statement::number(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) return std::nullopt;
  return sqlite3_column_double(statement_.get(), column);
}

Transaction::~Transaction() {
  if (!is_done_) sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  database_.run("COMMIT");
  is_done_ = true;
}

}  // namespace chokepoint
