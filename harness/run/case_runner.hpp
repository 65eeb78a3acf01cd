// How is one group of cases measured on a device? All its targets in turn, in one process; the result is one
// record per target. Nothing here knows suites, files or other groups.
#pragma once

#include <string>
#include <vector>

#include "harness/model/record.hpp"
#include "harness/model/tuning.hpp"
#include "harness/run/gpu_energy.hpp"
#include "harness/run/plan.hpp"
#include "harness/run/probe.hpp"
#include "harness/run/problem_source.hpp"

namespace chokepoint {

struct CaseContext {
  const std::vector<Profile>& profiles;
  const Ceilings& ceilings;
  Prober* prober = nullptr;  // of this device, shared by many groups; null: one of the group's own
  GpuEnergy* gpu = nullptr;  // readings beside the run, likewise
  ProblemSource* problems = nullptr;  // likewise
  const TuningBook* tuning = nullptr;  // what launches are told to take; null: what their plans choose
};

// Records of all targets of the group, in its order; never throws for what happens to a case: that is a
// record with status failed, invalid or unsupported and a reason.
std::vector<Record> run_group(const CaseGroup& group, Device& device, const CaseContext& context);

// A record with everything about a case that is known before it runs.
Record blank_record(const CaseGroup& group, const std::string& target, const DeviceFacts& facts);

}  // namespace chokepoint
