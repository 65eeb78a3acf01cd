// What do the bring-up stages multiply? Small whole numbers in memory that host and GPU see.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace chokepoint::hopper::stages {

// Memory that host and GPU see, zeroed, kept until the program ends; all of it brought to the GPU, before launches, so
// that TMA meets no page that is elsewhere; and the end of all launches, with what they met. Defined by whoever runs the
// stages.
void* common_memory(std::size_t bytes);
void bring_memory();
std::string finish();

template <class T>
T* common(std::size_t count) {
  return static_cast<T*>(common_memory(count * sizeof(T)));
}

// Small whole numbers in no simple order.
inline float number(std::int64_t i, int seed) { return static_cast<float>((i * 7 + i / 61 * 5 + seed) % 9 - 4); }

inline std::uint16_t bf16_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}
inline float of_bf16(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}
// e4m3 of whole numbers from -8 to 8.
inline std::uint8_t e4m3_of(float value) {
  const int size = static_cast<int>(value < 0 ? -value : value);
  constexpr std::uint8_t kCodes[] = {0x00, 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c, 0x4e, 0x50};
  return static_cast<std::uint8_t>(kCodes[size] | (value < 0 ? 0x80 : 0));
}

inline std::uint16_t* bf16_matrix(std::int64_t rows, std::int64_t columns, int seed) {
  auto* values = common<std::uint16_t>(static_cast<std::size_t>(rows * columns));
  for (std::int64_t i = 0; i < rows * columns; ++i) values[i] = bf16_of(number(i, seed));
  return values;
}

}  // namespace chokepoint::hopper::stages
