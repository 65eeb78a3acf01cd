// How does a row of activations become fp8? In blocks of 128 values with a scale each.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "harness/base/dtype.hpp"
#include "kernels/common/gemm_quantise.hpp"

namespace chokepoint::moe {

// For each block of 128 consecutive values (the last may be shorter), all in f32 with round to nearest even:
//   scale = max(largest |value|, 1e-4) / 448,  code = e4m3(value / scale),  and q(value) = code * scale.
// 1e-4 keeps the scale of a block of zeros above 0, as DeepSeek's reference code does.
inline constexpr float kSmallestAmax = 1e-4F;

inline void quantise_row(const float* values, std::int64_t length, std::uint8_t* codes, float* scales) {
  constexpr std::int64_t kBlock = gemm::kScaleBlock;
  for (std::int64_t begin = 0; begin < length; begin += kBlock) {
    const std::int64_t end = std::min(length, begin + kBlock);
    float largest = kSmallestAmax;
    for (std::int64_t i = begin; i < end; ++i) largest = std::max(largest, std::abs(values[i]));
    const float scale = scales[begin / kBlock] = largest / kFp8E4m3Max;
    for (std::int64_t i = begin; i < end; ++i) codes[i] = fp8_e4m3_from_float(values[i] / scale);
  }
}

}  // namespace chokepoint::moe
