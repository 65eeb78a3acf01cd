#include <cstdint>

#include "harness/device/cuda/check.hpp"
#include "harness/device/cuda/noise.hpp"

namespace chokepoint {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
__device__ std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

__global__ void fill(ulonglong2* to, std::size_t vectors) {
  const std::size_t threads = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < vectors; i += threads)
    to[i] = {mixed(2 * i + 1), mixed(2 * i + 2)};
}

}  // namespace

void fill_with_noise(void* to, std::size_t bytes, cudaStream_t stream) {
  fill<<<512, 256, 0, stream>>>(static_cast<ulonglong2*>(to), bytes / sizeof(ulonglong2));
  check(cudaGetLastError());
}

}  // namespace chokepoint
