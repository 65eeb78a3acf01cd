// Which of chokepoint's own records stand for kernels of a machine, and what do they say after scaling?
#pragma once

#include <string>
#include <vector>

#include "harness/claims/kernel_table.hpp"
#include "harness/model/profile.hpp"
#include "harness/model/record.hpp"

namespace chokepoint {

// A record that is no row, and why: "its status is invalid", "it ran on a CPU".
struct LeftOutRecord {
  std::string case_id, reason;
};

struct MeasuredRows {
  std::vector<KernelRow> rows;  // times on the machine asked for; `note` says how they were scaled
  std::vector<LeftOutRecord> left_out;
};

// Rows of grade A were measured on that very machine; rows of grade B on one of the same silicon, capped to
// be it or scaled to it (harness/claims/kernel_scaling.hpp). Records of other silicon, with caps of another
// machine, or not ok, are left out.
MeasuredRows measured_rows(const std::vector<Record>& records, const Profile& machine,
                           const std::vector<Profile>& profiles);

// Records of files, or of folders with a records.jsonl, one JSON object per line. Throws Error{io} or
// Error{config} with file and line.
std::vector<Record> read_record_files(const std::vector<std::string>& paths);

}  // namespace chokepoint
