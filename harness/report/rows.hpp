// Which tables does a report have, and what stands in their cells? One table per operation, one section per case, one
// row per kernel and target; what all cases share is said once, above.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/report/report.hpp"
#include "harness/report/table.hpp"

namespace chokepoint {

struct ReportCase {
  std::string title;                     // "deepseek-v3/moe bf16 tokens=64": what differs from the other cases
  std::string short_title;               // "deepseek-v3/moe" where that says which case it is, else the title
  std::vector<std::size_t> records;      // positions in the report's records
  std::vector<std::size_t> comparisons;  // positions in its comparisons, those worth a line
  std::size_t comparisons_left_out = 0;
};

struct ReportGroup {
  std::string operation;
  std::string common;              // "cpu_native, bf16, experts=32, top_k=8": what all its cases share
  std::vector<ReportCase> cases;
  bool has_several_kernels = false;
  std::string work_unit;           // of the rate columns: "token", "FLOP" or "B"; empty when nothing ran
  std::string energy_basis;        // the one they share, or empty
};

// Pairs of up to this many targets are all printed; of more, those against the first one.
inline constexpr std::size_t kMostTargetsInAllPairs = 3;

std::vector<ReportGroup> groups_of(const ReportInput& input);

std::vector<Column> columns_of(const ReportGroup& group);
std::vector<Cell> cells_of(const ReportGroup& group, const ReportInput& input, std::size_t record);

// label_of(record) and shorter texts that keep the target, the dilation and the basis.
std::vector<std::string> label_forms(const Record& record);

// "held", or what each cap that is not held did: "link missed".
std::vector<std::string> cap_forms(const Record& record);

// "operation kernel dtype shape": a record in a note.
std::string case_text(const Record& record);

}  // namespace chokepoint
