// What is done to single values between the matrix products? Compiled for every CPU, chosen at run time.
#pragma once

#include <cstdint>

namespace chokepoint::moe {

// out[i] = silu(gate_up[i]) * gate_up[width + i], relative error below 1e-6 of f32 arithmetic.
void swiglu_row(const float* gate_up, std::int64_t width, float* out);

// The same bits as quantise_row of quantise.hpp, for finite values.
void quantise_row_simd(const float* values, std::int64_t length, std::uint8_t* codes, float* scales);

// sum[i] += factor * row[i].
void add_scaled(float* sum, const float* row, float factor, std::int64_t length);

// sum[i] += row[i], with a row in bf16.
void add_bf16(float* sum, const std::uint16_t* row, std::int64_t length);

// out[i] = row[i], exactly.
void widen_bf16(const std::uint16_t* row, float* out, std::int64_t length);

// out[i] = row[i] rounded to nearest even, for values that are no NaN.
void narrow_bf16(const float* row, std::uint16_t* out, std::int64_t length);

}  // namespace chokepoint::moe
