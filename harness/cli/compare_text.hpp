// How does a comparison look on a terminal, in a CI's summary and to other programs?
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "harness/report/style.hpp"
#include "harness/track/calibration.hpp"
#include "harness/track/compare.hpp"

namespace chokepoint {

// What a page of output says about either side.
struct SideText {
  std::string name;  // as the user gave it
  std::size_t runs = 0;
  std::string commit;  // of the program that ran, "" where runs differ
};

struct ComparisonText {
  const ComparisonReport* report = nullptr;
  SideText base, now;
  GateOutcome gate = GateOutcome::passed;
  bool strict = false;
};

// Positions of the cases, worst first: by verdict, then by size of the change.
std::vector<std::size_t> worst_first(const ComparisonReport& report);

// "3 slower, 1 faster, 0 ambiguous, 36 same, 0 not comparable of 40 cases".
std::string counts_text(const ComparisonReport& report);

// "+3.1 % [+2.4, +3.8]"; empty without a ratio.
std::string change_text(const CaseComparison& one);

// The name of a case without the digest of its inputs.
std::string short_name(const std::string& case_id);

std::string render_table(const ComparisonText& text, const Style& style, bool all);
Json render_json(const ComparisonText& text);

// GitHub takes 1 MiB of summary per step: rows that would pass `most_bytes` are left out and counted.
inline constexpr std::size_t kMostSummaryBytes = 1024 * 1024;
std::string render_markdown(const ComparisonText& text, std::size_t most_bytes);

// One testcase per case: a failure is a regression, a skip is ambiguous or not comparable.
std::string render_junit(const ComparisonText& text);

// Workflow commands, worst first, at most kMostAnnotations: GitHub shows 10 errors and 10 warnings of a step.
inline constexpr std::size_t kMostAnnotations = 8;
std::string render_annotations(const ComparisonText& text);

std::string render_calibration(const Calibration& calibration, const CompareOptions& options, const Style& style,
                               bool all);

}  // namespace chokepoint
