// What do the history and the claims have to say beside the records of a report?
#pragma once

#include <string>
#include <vector>

#include "harness/report/beside.hpp"
#include "harness/report/records.hpp"

namespace chokepoint {

struct BesideFlags {
  std::string history;              // database; empty: none
  std::vector<std::string> claims;  // ids or globs; empty: none
};

// The history of the set's cases, the claims, and the newest cost book. Throws Error{config} for an unknown claim, what
// open_history throws for a database that cannot be read.
ReportBeside beside_of(const BesideFlags& flags, const RecordSet& set, const std::string& configs);

}  // namespace chokepoint
