// Which kernels have been seen to be right on a GPU? What committed records say, and nothing else.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/model/record.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// "matmul/hopper/bf16" -> the architectures of the GPUs where an ok, verified record was made.
using GpuEvidence = std::map<std::string, std::set<std::string>>;

GpuEvidence gpu_evidence(const std::vector<Record>& records);

// Of all folders of `results` that hold records; empty where there is no such folder. Throws as read_records does.
GpuEvidence gpu_evidence_in(const std::string& results);

// For a kernel that runs on GPUs: "sm_90", "bf16: sm_90; fp8_e4m3: unverified on a GPU"; empty for others.
std::string gpu_evidence_text(const Kernel& kernel, const GpuEvidence& evidence);

}  // namespace chokepoint
