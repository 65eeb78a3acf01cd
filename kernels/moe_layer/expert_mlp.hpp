// How are the experts' products computed fast? Two grouped matrix products with SwiGLU in between.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/moe_layer/exchange.hpp"
#include "kernels/moe_layer/moe_layer.hpp"

namespace chokepoint::moe {

// Rows [begin[e], begin[e + 1]) go through mlp e. Row r is stored row ids[r] of `rows`, or r without ids.
struct MlpRows {
  std::span<const std::int64_t> begin;
  const std::int32_t* ids = nullptr;
  RowStore rows;
};

// Keeps its intermediate arrays from call to call.
class ExpertMlp {
 public:
  // result[r] = mlp(row r), f32 [rows, hidden]. Charges the weights of mlps that have rows, and their FLOP.
  void run(const MoeSpec& spec, const MlpWeights& weights, std::int64_t width, const MlpRows& rows,
           float* result, const Pace& pace);

 private:
  void activate(const MoeSpec& spec, std::int64_t count, std::int64_t width);

  std::vector<float> gate_up_;  // [rows, 2 * width]
  RowBuffer hidden_;            // [rows, width], f32 or fp8
};

}  // namespace chokepoint::moe
