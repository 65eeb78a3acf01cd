// stream on a GPU: 16-byte accesses, several in flight per thread, tiles in turn. Bound: memory.
//
// A grid that fills the GPU walks over tiles of 2048 vectors (32 KiB of each array); a block charges a tile when
// its work begins and may be four tiles ahead of the clock. Registers: at most 64; no shared memory.
#pragma once

#include "kernels/common/cuda/device_clock.cuh"

namespace chokepoint {

inline constexpr int kStreamThreads = 512;
inline constexpr int kStreamUnroll = 4;
inline constexpr std::int64_t kStreamTileVectors = std::int64_t{kStreamThreads} * kStreamUnroll;  // of 4 f32

struct StreamArrays {
  const float* b;
  const float* c;  // null for copy
  float* a;
  std::int64_t elements;
  float factor;
};

__device__ inline float stream_element(const StreamArrays& arrays, std::int64_t i) {
  return arrays.c == nullptr ? arrays.b[i] : fmaf(arrays.factor, arrays.c[i], arrays.b[i]);
}

template <bool kTriad>
__device__ inline void stream_tile(const StreamArrays& arrays, std::int64_t first, std::int64_t last) {
  const auto* b = reinterpret_cast<const float4*>(arrays.b);
  const auto* c = reinterpret_cast<const float4*>(arrays.c);
  auto* a = reinterpret_cast<float4*>(arrays.a);
  float4 x[kStreamUnroll], y[kStreamUnroll];
#pragma unroll
  for (int u = 0; u < kStreamUnroll; ++u) {
    const std::int64_t i = first + threadIdx.x + std::int64_t{u} * kStreamThreads;
    if (i >= last) continue;
    x[u] = b[i];
    if constexpr (kTriad) y[u] = c[i];
  }
#pragma unroll
  for (int u = 0; u < kStreamUnroll; ++u) {
    const std::int64_t i = first + threadIdx.x + std::int64_t{u} * kStreamThreads;
    if (i >= last) continue;
    if constexpr (kTriad) {
      x[u].x = fmaf(arrays.factor, y[u].x, x[u].x);
      x[u].y = fmaf(arrays.factor, y[u].y, x[u].y);
      x[u].z = fmaf(arrays.factor, y[u].z, x[u].z);
      x[u].w = fmaf(arrays.factor, y[u].w, x[u].w);
    }
    a[i] = x[u];
  }
}

template <bool kTriad>
__global__ void __launch_bounds__(kStreamThreads, 2) stream_kernel(StreamArrays arrays, DevicePace clocks) {
  constexpr double kBytes = kTriad ? 12.0 : 8.0, kFlop = kTriad ? 2.0 : 0.0;  // per element, as stream_work
  BlockPace<4> pace(clocks);
  const std::int64_t vectors = arrays.elements / 4;
  for (std::int64_t first = kStreamTileVectors * blockIdx.x; first < vectors; first += kStreamTileVectors * gridDim.x) {
    const std::int64_t last = first + kStreamTileVectors < vectors ? first + kStreamTileVectors : vectors;
    if (clocks.memory != nullptr || clocks.compute != nullptr) {
      if (threadIdx.x == 0) {
        const auto elements = static_cast<double>(4 * (last - first));
        pace.begin(kBytes * elements, kFlop * elements);
      }
      __syncthreads();
    }
    stream_tile<kTriad>(arrays, first, last);
  }
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    const auto rest = static_cast<double>(arrays.elements - 4 * vectors);
    pace.begin(kBytes * rest, kFlop * rest);
    for (std::int64_t i = 4 * vectors; i < arrays.elements; ++i) arrays.a[i] = stream_element(arrays, i);
  }
  if (threadIdx.x == 0) pace.drain();
}

}  // namespace chokepoint
