// Which runs does a user mean by BASE and NEW?
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/report/records.hpp"
#include "harness/track/compare.hpp"

namespace chokepoint {

struct RunSet {
  std::vector<RunRecords> runs;         // one per run_id and device, in the order of the paths
  std::vector<std::string> files;       // that were read
  std::vector<std::string> unreadable;  // "file:line: why" of lines that were skipped
};

// `text` names a folder with records.jsonl, such a file, a folder whose folders hold some, or several of these with
// commas between them. Throws Error{config} for a line that is no record or ends too soon, unless told to skip it.
RunSet read_runs(const std::string& text, bool skip_unreadable);

// One line on stderr for each line that was skipped.
void tell_unreadable(const RunSet& set);

// One error on stderr for each line that ends too soon, or a warning for each line that was skipped because the user
// said so. True where something is missing that the user did not agree to.
bool tell_missing(const RecordSet& set, bool skip_unreadable);

}  // namespace chokepoint
