// What will run? A suite expanded to groups: one operation, kernel, shape and dtype, for all its targets
// together, because targets of one case are sampled in turn in one process.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/model/profile.hpp"
#include "harness/model/stopping.hpp"
#include "harness/model/suite.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

struct CaseGroup {
  std::string operation, kernel;
  Shape shape;        // complete
  std::string label;  // "deepseek-v3/q_b", or empty
  Dtype dtype = Dtype::f32;
  InputSpec inputs;
  std::string device = "cpu";
  std::vector<std::string> targets;  // texts for parse_target
  SamplingPlan sampling;             // budget_s is that of one case; the group has budget_s per target
  double warm_up_s = 0.5;
  std::optional<double> pinned_dilation;
  std::string energy;  // "quick", "standard", "publish": joules are measured after the samples; empty: they are not
  std::optional<std::string> unsupported;  // why none of its cases can run

  std::string name() const;  // "moe_layer/cpu_native/bf16/ep=8,...", without target
};

// Stable across runs and machines: what is computed and what it plays, and a digest of all of it.
//   "matmul/cpu_native/bf16/b_layout=nk,k=512,m=64,n=512@h100-sxm#1f3a9c2e"
std::string case_id(const CaseGroup& group, const std::string& target);

// The part of a case id that --filter globs are matched against: without the digest.
std::string case_name(const CaseGroup& group, const std::string& target);

struct PlanOptions {
  std::string configs;                // folder
  std::optional<std::string> device;  // instead of the suite's
  std::vector<std::string> targets;   // instead of the suite's, when not empty
  std::string filter = "*";           // glob on case names
  std::optional<double> budget_s;     // for the suite, by shorter sampling
  std::optional<std::uint64_t> seed;  // instead of the cases'
  std::optional<double> dilation;
  std::string energy;
};

// Checks everything that can be known before measuring: operations, kernels, shapes, targets and their rates.
// Throws Error{config} naming file and line.
std::vector<CaseGroup> plan_suite(const Suite& suite, const PlanOptions& options);

// Seconds of sampling and probing that a group may take at most, and is expected to.
double expected_s(const CaseGroup& group);

Json to_json(const CaseGroup& group);
CaseGroup group_from_json(const JsonFile& file);

// Resources this work uses, in the order of kResources.
std::vector<Resource> resources_of(const Work& work);

}  // namespace chokepoint
