// Which records lie in these folders? Reads records.jsonl strictly and loses nothing without saying so.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/record.hpp"

namespace chokepoint {

// Where a record was read: "results/x/records.jsonl", line 12 (the first is 1).
struct Place {
  std::string file;
  int line = 0;
};

// A line that holds no record, and why.
struct Unreadable {
  Place place;
  std::string why;
};

struct ReadOptions {
  bool each_run = false;         // the latest attempt of each case of each run_id, not of each case
  bool skip_unreadable = false;  // lines that are no records go to `unreadable` instead of ending the reading
};

struct RecordSet {
  std::vector<Record> records;    // the latest attempt of each case, in the order in which the cases appeared
  std::vector<Place> places;      // of each record
  std::vector<std::string> files;  // that were read, as the user named them
  std::vector<Place> cut_lines;   // lines that end too soon: what a crash or a full disk leaves of the case in flight
  std::size_t superseded = 0;     // older attempts of these cases
  std::vector<Unreadable> unreadable;  // that were skipped because the reader was told to
};

// Deeper nesting is no record; following it could exhaust the stack.
inline constexpr int kDeepestNesting = 64;

// Adds the records in `text`, one JSON object per line. A line that is the beginning of a JSON text (and the last
// line without its newline, whatever it holds) goes to `cut_lines`; an append after a crash closes such a line off, so
// it may stand anywhere. Any other broken line throws Error{config} naming file and line, unless told to skip it.
// The latest attempt of a case wins: text added later, then the higher attempt, then the later line. One case on two
// devices is two cases.
void add_records(std::string_view text, const std::string& file, RecordSet& set, const ReadOptions& options = {});

// `paths` name files or folders with a records.jsonl; a file named twice is read once. Throws Error{config} for a
// folder without one, Error{io} when unreadable.
RecordSet read_records(const std::vector<std::string>& paths, const ReadOptions& options = {});

}  // namespace chokepoint
