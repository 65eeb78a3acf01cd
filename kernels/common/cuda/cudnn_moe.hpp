// How does cuDNN multiply the tokens of each expert with that expert's weight? One grouped product in bf16.
//
// Tokens are sorted by expert: those of expert e are rows first_token[e] to first_token[e + 1], the last
// expert's end with the array. Each is multiplied with its expert's weight: output[t, n] = sum over k of
// token[t, k] weight[e, n, k]. On Hopper, cuDNN 9.19 takes weights in no other layout.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/common/cuda/cudnn_graph.hpp"
#include "kernels/common/cuda/device_array.hpp"

namespace chokepoint {

struct CudnnMoeSizes {
  std::int64_t tokens = 1, experts = 1, k = 1, n = 1;
};

struct CudnnMoeGraph {
  cudnn::Graph graph;
  cudnn::TensorId token = 0;        // [1, tokens, k] bf16
  cudnn::TensorId weight = 0;       // [experts, n, k] bf16
  cudnn::TensorId first_token = 0;  // [experts, 1, 1] i32
  cudnn::TensorId output = 0;       // [1, tokens, n] bf16
};

CudnnMoeGraph cudnn_moe_graph(const CudnnMoeSizes& sizes);

// The product bound to device memory that outlives it. Making it compiles kernels; enqueueing it does not
// allocate or wait. Throws Error{unsupported} where cuDNN is missing or has no engine for the sizes.
class CudnnMoeGroupedMatmul {
 public:
  struct Memory {
    const void* token;
    const void* weight;
    const std::int32_t* first_token;
    void* output;
  };
  CudnnMoeGroupedMatmul(Device& device, const CudnnMoeSizes& sizes, const Memory& memory);

  void enqueue(void* stream) const { execution_->enqueue(stream); }

 private:
  struct Planned;
  static std::shared_ptr<const Planned> planned(const CudnnMoeSizes& sizes);

  std::shared_ptr<const Planned> planned_;
  DeviceArray workspace_;
  std::unique_ptr<cudnn::Execution> execution_;
};

}  // namespace chokepoint
