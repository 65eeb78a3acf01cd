// How is the right answer computed? In double precision, from the inputs as they are stored.
#pragma once

#include <cstdint>
#include <vector>

#include "harness/base/tensor.hpp"

namespace chokepoint::moe {

// All values of an f32, bf16 or fp8 array; exact.
std::vector<float> float_values(const Tensor& tensor);

// gate_weight @ x[token] for all experts; `gate` are the values of gate_weight [experts, hidden].
std::vector<double> gate_logits(const Tensor& x, std::int64_t token, const std::vector<float>& gate);

}  // namespace chokepoint::moe
