// How does TMA reach rows whose pitch is no multiple of 16 bytes? They are copied to a pitch that is. Bound: memory.
#pragma once

#include <cstdint>

#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint::hopper {

inline constexpr int kPadThreads = 256, kPadSegment = 1024;  // elements of a row that a warp copies at a time

constexpr std::int64_t pad_segments(std::int64_t length) { return (length + kPadSegment - 1) / kPadSegment; }

// bf16 rows of `length` elements that lie length apart, to rows that lie `pitch` apart; what is behind them stays.
__global__ void __launch_bounds__(kPadThreads)
    pad_rows(const std::uint16_t* from, std::uint16_t* to, std::int64_t rows, std::int64_t length, std::int64_t pitch) {
  const std::int64_t segments = pad_segments(length), warps = std::int64_t{gridDim.x} * (kPadThreads / 32);
  const std::int64_t warp = std::int64_t{blockIdx.x} * (kPadThreads / 32) + threadIdx.x / 32;
  for (std::int64_t i = warp; i < rows * segments; i += warps) {
    const std::int64_t row = i / segments, begin = i % segments * kPadSegment;
    const std::int64_t end = length < begin + kPadSegment ? length : begin + kPadSegment;
    for (std::int64_t at = begin + lane_id(); at < end; at += 32) to[row * pitch + at] = from[row * length + at];
  }
}

inline void launch_pad_rows(const void* from, void* to, std::int64_t rows, std::int64_t length, std::int64_t pitch,
                            void* stream) {
  constexpr std::int64_t kMostBlocks = 1056;  // eight for each of an H100's multiprocessors
  const std::int64_t blocks = (rows * pad_segments(length) + kPadThreads / 32 - 1) / (kPadThreads / 32);
  launch(pad_rows, dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks)), dim3(kPadThreads), 0,
         stream, static_cast<const std::uint16_t*>(from), static_cast<std::uint16_t*>(to), rows, length, pitch);
}

}  // namespace chokepoint::hopper
