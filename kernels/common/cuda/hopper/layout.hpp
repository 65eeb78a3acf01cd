// Where does an element lie? Shared-memory swizzles, matrix descriptors and register fragments of Hopper's tensor
// cores, as pure functions for host and device.
//
// Sources: PTX ISA 9.0, "Asynchronous Warpgroup Level Matrix Shared Memory Layout", "Matrix Descriptor Format",
// "Register Fragments for wgmma.mma_async.m64nNk16" and "stmatrix". Addresses are those of shared memory; tiles begin
// at multiples of 1024 bytes.
//
//   A tile of R rows, K-major: each row's 128 bytes (64 bf16 or 128 fp8 along k) follow each other, R x 128 bytes in
//   all; TMA writes it with a box {64 or 128, R}. More of k is another tile behind it.
//     const std::uint64_t a = k_major_descriptor(shared_address(tile));
//     step i of k (16 bf16 or 32 fp8): advanced(a, i * kStepBytes);        64 rows further: advanced(a, 64 * 128)
//   A tile of R rows of k, MN-major (bf16 only): each row's 128 bytes are 64 neighbours along m or n; more of them is
//   another tile behind it, R x 128 bytes further.
//     const std::uint64_t b = mn_major_descriptor(shared_address(tile), R);
//     step i of k: advanced(b, i * kMnMajorStepBytes)
#pragma once

#include <cstdint>

namespace chokepoint::hopper {

// Numbers of the descriptor's layout field.
enum class Swizzle : unsigned { none = 0, bytes_128 = 1, bytes_64 = 2, bytes_32 = 3 };

constexpr int span_bytes(Swizzle swizzle) {
  switch (swizzle) {
    case Swizzle::none:
      return 16;
    case Swizzle::bytes_128:
      return 128;
    case Swizzle::bytes_64:
      return 64;
    case Swizzle::bytes_32:
      return 32;
  }
  return 0;
}

// Where the byte lies that would lie at `address` without a swizzle: the number of its 16-byte chunk is combined with
// the number of its 128-byte line.
constexpr std::uint32_t swizzled(std::uint32_t address, Swizzle swizzle = Swizzle::bytes_128) {
  const std::uint32_t chunks = static_cast<std::uint32_t>(span_bytes(swizzle)) / 16U;
  return address ^ ((address >> 7 & (chunks - 1)) << 4);
}

inline constexpr int kTileRowBytes = 128;       // of a tile with 128-byte swizzle
inline constexpr int kTileAlignment = 1024;     // eight such rows: the pattern repeats
inline constexpr int kStepBytes = 32;           // of a K-major row that one wgmma takes: 16 bf16 or 32 fp8
inline constexpr int kMnMajorStepBytes = 2048;  // 16 rows of k, MN-major

// Bits 0-13 address, 16-29 leading and 32-45 stride byte offset, all in units of 16 bytes; 62-63 swizzle.
constexpr std::uint64_t matrix_descriptor(std::uint32_t address, std::uint32_t leading_bytes,
                                          std::uint32_t stride_bytes, Swizzle swizzle) {
  const auto field = [](std::uint32_t bytes) { return std::uint64_t{(bytes & 0x3ffffU) >> 4}; };
  return field(address) | field(leading_bytes) << 16 | field(stride_bytes) << 32 |
         std::uint64_t{static_cast<unsigned>(swizzle)} << 62;
}

constexpr std::uint64_t k_major_descriptor(std::uint32_t address, Swizzle swizzle = Swizzle::bytes_128) {
  return matrix_descriptor(address, 16, 8 * static_cast<std::uint32_t>(span_bytes(swizzle)), swizzle);
}
constexpr std::uint64_t mn_major_descriptor(std::uint32_t address, int k_rows) {
  return matrix_descriptor(address, static_cast<std::uint32_t>(k_rows * kTileRowBytes), kTileAlignment,
                           Swizzle::bytes_128);
}

// The descriptor of what lies `bytes` further (a multiple of 16; the address does not leave its field).
constexpr std::uint64_t advanced(std::uint64_t descriptor, int bytes) {
  return descriptor + static_cast<std::uint64_t>(bytes / 16);
}

// Accumulators of m64nN: register i (0 to N/2 - 1) of thread t (0 to 127) of the warpgroup.
constexpr int accumulator_row(int thread, int i) { return thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8; }
constexpr int accumulator_column(int thread, int i) { return i / 4 * 8 + thread % 4 * 2 + i % 2; }

// A from registers: element `e` of register r (0 to 3), of m64k16 in bf16 (two a register) and m64k32 in fp8 (four).
constexpr int a_fragment_row(int thread, int r) { return thread / 32 * 16 + thread % 32 / 4 + r % 2 * 8; }
constexpr int a_fragment_k_bf16(int thread, int r, int e) { return thread % 4 * 2 + e + r / 2 * 8; }
constexpr int a_fragment_k_fp8(int thread, int r, int e) { return thread % 4 * 4 + e + r / 2 * 16; }

// Which row (0 to 63) and group of 8 columns (0 to 7) a thread points stmatrix.x4 at, to put registers 8j to 8j+7
// (columns 16j to 16j+15, packed in pairs) of its accumulators into a tile of 64 columns.
constexpr int stmatrix_row(int thread) { return thread / 32 * 16 + thread % 16; }
constexpr int stmatrix_column_group(int thread, int j) { return 2 * j + thread % 32 / 16; }
// Bytes from the beginning of that tile: 128-byte swizzle, as a TMA store reads it.
constexpr std::uint32_t stmatrix_offset(int thread, int j) {
  const int row = stmatrix_row(thread), group = stmatrix_column_group(thread, j);
  return swizzled(static_cast<std::uint32_t>(row * kTileRowBytes + group * 16));
}

}  // namespace chokepoint::hopper
