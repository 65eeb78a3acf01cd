// Which kernel rows does a claim's derivation stand on, and how are they named in its output?
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/claims/derivation.hpp"
#include "harness/claims/kernel_table.hpp"

namespace chokepoint {

// Rows of the claim's machine: published ones, those of siblings scaled, and the scene's records in their place.
// Without `own_source`, rows that come from the repository the claim itself was published in are left out: a claim is
// no evidence for itself.
std::shared_ptr<const KernelTable> kernels_for(const Scene& scene, bool own_source = true);

// "gemm.fp8.4096x7168x16384", "attn.fwd.192_128", "a2a.dispatch.fp8", "stream.aux": what `inputs` of a claim match.
std::string input_key(const KernelRow& row);

// Each row once, with grade, source and, where the same kernel was measured and published, the other one and by how
// much they differ; notes that say which records count.
void add_kernel_inputs(const KernelTable& table, const std::vector<const KernelRow*>& rows, Prepared& prepared);

// Time of a machine's kernels of one operation over that of the same kernels on another machine, alone: the sum over
// all shapes that the same people measured both at, of products those of 4096 rows and more. Absent where there are
// none, or the two machines are one.
std::optional<double> measured_time_ratio(const std::vector<KernelFile>& files, std::string_view operation,
                                          const std::string& machine, const std::string& other);
std::optional<double> measured_time_ratio(const std::string& configs, std::string_view operation,
                                          const std::string& machine, const std::string& other);

// A machine's rate over that of its profile: 1 unless it was set.
double set_ratio(const Machine& machine, Resource resource);

}  // namespace chokepoint
