// How does a product of cuBLASLt run? Bound to memory, by the fastest algorithm that the library suggests.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/common/cuda/cublaslt_search.hpp"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

// The task's charges, workspace and multiprocessors are not the library's.
class CublasLtMatmul {
 public:
  // Times suggestions on first use of a shape, with the values that lie in the arrays by then, and overwrites
  // C: not to be captured. Throws Error{unsupported} where the library has no algorithm.
  CublasLtMatmul(Device& device, const GemmTask& task, CublasLtProduct product);

  // Products share a workspace, so they have to follow each other: on the device's stream for computing,
  // which may have changed since (a restriction has its own). Where that reaches another number of multiprocessors
  // than the choice was made for, suggestions are timed anew before, unless the stream is being captured: whoever
  // captures runs a launch first. Otherwise allocates nothing and does not wait.
  void enqueue(void* stream);

  // For the record: "cublaslt_<which>algorithm_id" and its like, as the last launch had it.
  std::vector<std::pair<std::string, std::string>> remarks(std::string_view which = "") const;

 private:
  cublasStatus_t try_to_enqueue(const cublasLtMatmulAlgo_t& algorithm, void* stream) const;
  std::optional<double> time_s(const cublasLtMatmulAlgo_t& algorithm, void* stream) const;
  std::vector<cublasLtMatmulHeuristicResult_t> suggestions(std::size_t workspace_bytes) const;
  CublasLtChoice fastest(void* stream) const;
  CublasLtChoice choose(int multiprocessors, void* stream);
  void follow(void* stream);
  std::string configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const;

  Device& device_;
  GemmTask task_;
  CublasLtProduct product_;
  DeviceArray workspace_;  // shared with the other products of its stream
  CublasLtTaken taken_;
};

std::pair<std::string, std::string> cublaslt_version_remark();

}  // namespace chokepoint
