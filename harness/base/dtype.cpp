#include "harness/base/dtype.hpp"

#include <array>

namespace chokepoint {
namespace {

constexpr float decode_e4m3(std::uint32_t bits) {
  const std::uint32_t sign = (bits & 0x80U) << 24, exponent = bits >> 3 & 0xfU, mantissa = bits & 7U;
  if (exponent == 15 && mantissa == 7) return std::bit_cast<float>(sign | 0x7fc00000U);
  if (exponent == 0) {  // subnormal: mantissa * 2^-9
    const float magnitude = static_cast<float>(mantissa) * 0x1p-9F;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 120U) << 23 | mantissa << 20);
}

constexpr std::array<float, 256> kDecoded = [] {
  std::array<float, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) table[i] = decode_e4m3(i);
  return table;
}();

}  // namespace

std::optional<Dtype> dtype_from(std::string_view name) {
  for (Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3, Dtype::i32, Dtype::f64})
    if (to_string(dtype) == name) return dtype;
  return std::nullopt;
}

float float_from_fp8_e4m3(std::uint8_t bits) { return kDecoded[bits]; }

std::uint8_t fp8_e4m3_from_float(float value) {
  const auto sign = static_cast<std::uint8_t>(std::signbit(value) ? 0x80U : 0U);
  const float size = std::abs(value);
  if (std::isnan(value)) return sign | 0x7fU;
  if (size >= kFp8E4m3Max) return sign | 0x7eU;
  // nearbyint rounds ties to even in the default rounding mode; the grid is 2^-9 below 2^-6, else 2^(e-3).
  const int exponent = size < 0x1p-6F ? -6 : std::ilogb(size);
  const auto steps = static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, 3 - exponent)));  // 0..16
  const std::uint32_t code = static_cast<std::uint32_t>(exponent + 6) * 8U + steps;  // a carry moves to the next exponent
  return sign | static_cast<std::uint8_t>(code);
}

}  // namespace chokepoint
