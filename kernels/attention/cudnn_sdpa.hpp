// How is attention said to cuDNN? As a graph it recognises: a chain of products, masks, reductions and
// element-wise operations in a fixed order, or its single node for attention where nothing is causal (decode
// with one query).
#pragma once

#include <optional>

#include "kernels/attention/attention.hpp"
#include "kernels/common/cuda/cudnn_graph.hpp"

namespace chokepoint {

// A graph and which of its tensors are what; ids that are absent are not part of it.
struct SdpaGraph {
  cudnn::Graph graph;
  cudnn::TensorId q = 0, k = 0, v = 0, output = 0;
  std::optional<cudnn::TensorId> page_table = std::nullopt;  // [batch, 1, pages_per_sequence, 1] i32
  std::optional<cudnn::TensorId> lengths_q = std::nullopt, lengths_kv = std::nullopt;  // [batch, 1, 1, 1] i32
};

// bf16 in and out, f32 between. Arrays lie as the problem has them; in decode, k and v are columns of one
// cache: v is bound to the address of the first value. Whether cuDNN has an engine for the graph, only a plan
// tells.
SdpaGraph sdpa_graph(const AttentionSizes& sizes);

}  // namespace chokepoint
