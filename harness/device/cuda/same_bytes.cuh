// Do two stretches of memory hold the same bits? Device code of same_bytes.cu. Bound: memory, 16-byte reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace chokepoint {

inline constexpr unsigned kSameBytesThreads = 256;

// `differ` is 0 before and stays so if they do. Both begin at a multiple of 16 bytes.
__global__ void note_difference(const unsigned char* a, const unsigned char* b, std::size_t bytes, unsigned* differ) {
  const std::size_t first = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::size_t threads = std::size_t{gridDim.x} * blockDim.x;
  const std::size_t vectors = bytes / sizeof(uint4);
  const auto* vectors_of_a = reinterpret_cast<const uint4*>(a);
  const auto* vectors_of_b = reinterpret_cast<const uint4*>(b);
  bool same = true;
  for (std::size_t i = first; i < vectors; i += threads) {
    const uint4 of_a = vectors_of_a[i], of_b = vectors_of_b[i];
    same = same && of_a.x == of_b.x && of_a.y == of_b.y && of_a.z == of_b.z && of_a.w == of_b.w;
  }
  for (std::size_t i = vectors * sizeof(uint4) + first; i < bytes; i += threads) same = same && a[i] == b[i];
  if (!same) *differ = 1;  // whoever says so says the same
}

}  // namespace chokepoint
