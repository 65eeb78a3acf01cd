// How are numbers stored? Storage types, their sizes, and exact conversions to and from float.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>

namespace chokepoint {

// The first three are what operations compute on; i32, f32 and f64 also hold indices, scales and references.
enum class Dtype { f32, bf16, fp8_e4m3, i32, f64 };

constexpr std::string_view to_string(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32: return "f32";
    case Dtype::bf16: return "bf16";
    case Dtype::fp8_e4m3: return "fp8_e4m3";
    case Dtype::i32: return "i32";
    case Dtype::f64: return "f64";
  }
  return "unknown";
}

std::optional<Dtype> dtype_from(std::string_view name);

constexpr std::int64_t bytes_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::fp8_e4m3: return 1;
    case Dtype::bf16: return 2;
    case Dtype::f64: return 8;
    default: return 4;
  }
}

// bfloat16 is the upper half of a float.
inline float float_from_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

// Round to nearest even; NaN stays NaN.
inline std::uint16_t bf16_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}

// OCP 8-bit float E4M3: bias 7, no infinity, 0x7f and 0xff are NaN, largest finite 448. OCP OFP8 1.0, table 1.
inline constexpr float kFp8E4m3Max = 448.0F;
float float_from_fp8_e4m3(std::uint8_t bits);
std::uint8_t fp8_e4m3_from_float(float value);  // round to nearest even, saturates to +-448, NaN stays NaN

}  // namespace chokepoint
