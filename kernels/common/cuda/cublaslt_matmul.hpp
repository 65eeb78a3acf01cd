// How does a product of cuBLASLt run? Bound to its memory, by the fastest of the algorithms that the library suggests.
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

// The task's charges, workspace and spare multiprocessors are not the library's. Not for capture: suggestions are timed
// on first use of a shape, whatever values lie in the arrays by then, and C is overwritten.
class CublasLtMatmul {
 public:
  // Throws Error{unsupported} where the library has no algorithm.
  CublasLtMatmul(Device& device, const GemmTask& task, CublasLtProduct product);

  // On the stream for computing: products share their workspace by following each other there. Allocates nothing and
  // does not wait.
  void enqueue() const;

  // For the record: "cublaslt_<which>algorithm_id" and its like.
  std::vector<std::pair<std::string, std::string>> remarks(std::string_view which = "") const;

 private:
  // A suggestion, and its place in the heuristic's order, from 1.
  struct Algorithm {
    cublasLtMatmulAlgo_t algorithm = {};
    int rank = 0, suggestions = 0;
  };

  cublasStatus_t try_to_enqueue(const cublasLtMatmulAlgo_t& algorithm) const;
  std::vector<cublasLtMatmulHeuristicResult_t> suggestions() const;
  Algorithm fastest() const;
  Algorithm known_or_fastest() const;
  std::string configured(cublasLtMatmulAlgoConfigAttributes_t attribute) const;

  GemmTask task_;
  CublasLtProduct product_;
  void* stream_;
  std::shared_ptr<void> workspace_;
  Algorithm chosen_;
};

std::pair<std::string, std::string> cublaslt_version_remark();

}  // namespace chokepoint
