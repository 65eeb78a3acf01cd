// Where do results live while a run goes on? A folder with environment.json and records.jsonl, appended and
// fsynced record by record, so that a crash loses at most the case in flight and --resume continues.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "harness/model/record.hpp"

namespace chokepoint {

class Store {
 public:
  // Opens `folder` for a run. Without `resume` it must hold no records yet. With it, what is there is read; a
  // last line that was cut short is moved to records.jsonl.cut. Throws Error{io} or Error{config}, before
  // anything is written.
  Store(std::string folder, bool resume);

  void append(const Record& record);
  void write_environment(const Json& environment);

  const std::string& folder() const { return folder_; }
  const std::vector<Record>& earlier() const { return earlier_; }  // read on resume
  bool has(const std::string& case_id) const { return done_.contains(case_id); }
  std::optional<Json> environment() const { return environment_; }  // read on resume
  bool mended() const { return mended_; }                           // a cut line was moved aside

 private:
  std::string records_path() const { return folder_ + "/records.jsonl"; }
  std::string environment_path() const { return folder_ + "/environment.json"; }

  std::string folder_;
  std::vector<Record> earlier_;
  std::set<std::string> done_;
  std::optional<Json> environment_;
  bool mended_ = false;
};

}  // namespace chokepoint
