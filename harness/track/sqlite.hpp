// How is SQLite used without forgetting to close, to check or to roll back? Every failure is one Error with a remedy.
// Left out of a build without SQLite, with sqlite_history.cpp.
#pragma once

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>

namespace chokepoint {

class Database {
 public:
  // Creates the file where it `may_create`; waits up to `wait_s` for a lock of another program, here and later.
  Database(std::string path, bool may_create, double wait_s);

  void run(const char* sql);
  sqlite3_int64 number(const char* sql);  // of the first column of the first row
  sqlite3_int64 last_id() { return sqlite3_last_insert_rowid(handle()); }
  sqlite3* handle() { return database_.get(); }
  const std::string& path() const { return path_; }
  void check(int code);  // throws unless it is one of success

 private:
  struct Close {
    void operator()(sqlite3* database) const { sqlite3_close(database); }
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

// A prepared statement: bind by position from 1, step, read by column from 0.
class Statement {
 public:
  Statement(Database& database, const char* sql);
  Statement& reset();
  Statement& bind(int at, const std::string& text);
  Statement& bind(int at, sqlite3_int64 value);
  Statement& bind(int at, const std::optional<double>& value);
  bool step();  // whether there is a row
  std::string text(int column) const;
  sqlite3_int64 integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  std::optional<double> number(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  Database& database_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// Rolled back unless committed. IMMEDIATE: a second writer waits here, not in the middle.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.run("BEGIN IMMEDIATE"); }
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool is_done_ = false;
};

}  // namespace chokepoint
