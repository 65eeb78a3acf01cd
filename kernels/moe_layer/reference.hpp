// How is the right answer computed? In double precision, from the inputs as they are stored.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/base/tensor.hpp"

namespace chokepoint::moe {

// Values [first, first + count) of an f32, bf16 or fp8 array, or all of them; exact.
std::vector<float> float_values(const Tensor& tensor, std::int64_t first, std::int64_t count);
inline std::vector<float> float_values(const Tensor& tensor) {
  return float_values(tensor, 0, tensor.count());
}

// gate_weight @ x[token] for all experts; `gate` are the values of gate_weight [experts, hidden].
std::vector<double> gate_logits(const Tensor& x, std::int64_t token, const std::vector<float>& gate);

}  // namespace chokepoint::moe
