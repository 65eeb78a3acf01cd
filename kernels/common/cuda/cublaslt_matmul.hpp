// How does a product of cuBLASLt run? Bound to memory, by the fastest algorithm that the library suggests.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/common/cuda/cublaslt.hpp"
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
  // which may have changed since (a restriction has its own). Allocates nothing and does not wait.
  void enqueue(void* stream) const;

  // For the record: "cublaslt_<which>algorithm_id" and its like.
  std::vector<std::pair<std::string, std::string>> remarks(std::string_view which = "") const;

 private:
  // A suggestion, and its place in the heuristic's order, from 1.
  struct Algorithm {
    cublasLtMatmulAlgo_t algorithm = {};
    int rank = 0, suggestions = 0;
  };

  cublasStatus_t try_to_enqueue(const cublasLtMatmulAlgo_t& algorithm, void* stream) const;
  std::vector<cublasLtMatmulHeuristicResult_t> suggestions() const;
  Algorithm fastest(void* stream) const;
  Algorithm known_or_fastest(void* stream) const;
  std::string configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const;

  GemmTask task_;
  CublasLtProduct product_;
  std::shared_ptr<void> workspace_;
  Algorithm chosen_;
};

std::pair<std::string, std::string> cublaslt_version_remark();

}  // namespace chokepoint
