#include "harness/track/candidate.hpp"

#include <fmt/format.h>

#include <cmath>
#include <tuple>

namespace chokepoint {
namespace {

std::string mismatch_text(const std::vector<Mismatch>& mismatches, const CompareOptions& options) {
  std::string text;
  for (const Mismatch& mismatch : mismatches)
    if (!is_allowed(mismatch, options))
      text +=
          fmt::format("{}{} differs ({} and {})", text.empty() ? "" : "; ", mismatch.name, mismatch.base, mismatch.now);
  return text;
}

// What keeps the case from being compared; empty when nothing does.
std::string obstacle(const Candidate& candidate, const CompareOptions& options) {
  for (const auto& [name, side, times] : {std::tuple("base", &candidate.matched.base, &candidate.base),
                                          std::tuple("new", &candidate.matched.now, &candidate.now)})
    if (times->times.empty())
      return fmt::format("{} {}", obstacle_of(*side),
                         side->empty() ? fmt::format("in {}", name) : fmt::format("({})", name));
  return mismatch_text(candidate.mismatches, options);
}

void describe_breakage(const Candidate& candidate, const CompareOptions& options, CaseComparison& result) {
  const std::size_t broken = broken_in(candidate.matched.now);
  const bool is_alike = mismatch_text(candidate.mismatches, options).empty();  // elsewhere it may not work at all
  result.is_broken = is_alike && broken > 0 && broken_in(candidate.matched.base) == 0 && !candidate.base.times.empty();
  if (broken > 0 && !candidate.now.times.empty())
    result.remarks.push_back(
        fmt::format("{} of {} runs of new failed or are invalid", broken, candidate.matched.now.size()));
}

}  // namespace

bool is_allowed(const Mismatch& mismatch, const CompareOptions& options) {
  return options.allowed.contains(mismatch.name);
}

CaseComparison examine(Candidate& candidate, const CompareOptions& options) {
  CaseComparison result;
  result.case_id = candidate.matched.case_id;
  candidate.base = times_of(candidate.matched.base);
  candidate.now = times_of(candidate.matched.now);
  candidate.mismatches = mismatches_of(candidate.matched);
  result.base_runs = candidate.base.times.size();
  result.new_runs = candidate.now.times.size();
  if (result.base_runs > 0) result.base_s = std::exp(candidate.base.mean_log_s());
  if (result.new_runs > 0) result.new_s = std::exp(candidate.now.mean_log_s());
  result.reason = obstacle(candidate, options);
  describe_breakage(candidate, options, result);
  if (result.base_runs == 0 || result.new_runs == 0) return result;
  for (const std::string& remark :
       remarks_on(*candidate.matched.base.back().record, *candidate.matched.now.back().record))
    result.remarks.push_back(remark);
  if (!result.reason.empty()) return result;
  candidate.is_comparable = true;
  candidate.log_ratio = candidate.now.mean_log_s() - candidate.base.mean_log_s();
  candidate.sample_variance = candidate.base.sample_variance() + candidate.now.sample_variance();
  result.time_ratio = std::exp(candidate.log_ratio);
  return result;
}

}  // namespace chokepoint
