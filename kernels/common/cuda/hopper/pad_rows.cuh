// How does TMA reach rows whose pitch is no multiple of 16 bytes? They are copied to a pitch that is; fp8 whose rows
// run the other way is copied turned. Bound: memory.
#pragma once

#include <cstdint>

#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/ptx.cuh"

namespace chokepoint::hopper {

inline constexpr int kPadThreads = 256, kPadSegment = 1024;  // elements of a row that a warp copies at a time

constexpr std::int64_t pad_segments(std::int64_t length) { return (length + kPadSegment - 1) / kPadSegment; }

// Rows of `length` elements that lie length apart, to rows that lie `pitch` apart; what is behind them stays.
template <class T>
__global__ void __launch_bounds__(kPadThreads)
    pad_rows(const T* from, T* to, std::int64_t rows, std::int64_t length, std::int64_t pitch) {
  const std::int64_t segments = pad_segments(length), warps = std::int64_t{gridDim.x} * (kPadThreads / 32);
  const std::int64_t warp = std::int64_t{blockIdx.x} * (kPadThreads / 32) + threadIdx.x / 32;
  for (std::int64_t i = warp; i < rows * segments; i += warps) {
    const std::int64_t row = i / segments, begin = i % segments * kPadSegment;
    const std::int64_t end = length < begin + kPadSegment ? length : begin + kPadSegment;
    for (std::int64_t at = begin + lane_id(); at < end; at += 32) to[row * pitch + at] = from[row * length + at];
  }
}

// to[column * pitch + row] = from[row * columns + column], of bytes. Squares of kTurnSide are read along one side and
// written along the other.
// A template, since several sources include this and a program has one of each kernel.
inline constexpr int kTurnSide = 64;
template <int kSide = kTurnSide>
__global__ void __launch_bounds__(kPadThreads) turn_bytes(const std::uint8_t* from, std::uint8_t* to, std::int64_t rows,
                                                          std::int64_t columns, std::int64_t pitch) {
  __shared__ std::uint8_t square[kSide][kSide + 4];  // a column's bytes are in different banks
  const std::int64_t wide = (columns + kSide - 1) / kSide, high = (rows + kSide - 1) / kSide;
  const int along = static_cast<int>(threadIdx.x) % kSide, first = static_cast<int>(threadIdx.x) / kSide;
  for (std::int64_t i = blockIdx.x; i < wide * high; i += gridDim.x) {
    const std::int64_t row = i / wide * kSide, column = i % wide * kSide;
    for (int r = first; r < kSide; r += kPadThreads / kSide)
      if (row + r < rows && column + along < columns) square[r][along] = from[(row + r) * columns + column + along];
    __syncthreads();
    for (int c = first; c < kSide; c += kPadThreads / kSide)
      if (column + c < columns && row + along < rows) to[(column + c) * pitch + row + along] = square[along][c];
    __syncthreads();
  }
}

constexpr dim3 pad_grid(std::int64_t blocks) {
  constexpr std::int64_t kMostBlocks = 1056;  // eight for each of an H100's multiprocessors
  return dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
}

template <class T>
void launch_pad_rows_of(const void* from, void* to, std::int64_t rows, std::int64_t length, std::int64_t pitch,
                        void* stream) {
  const std::int64_t blocks = (rows * pad_segments(length) + kPadThreads / 32 - 1) / (kPadThreads / 32);
  launch(pad_rows<T>, pad_grid(blocks), dim3(kPadThreads), 0, stream, static_cast<const T*>(from), static_cast<T*>(to),
         rows, length, pitch);
}

// Of bf16.
inline void launch_pad_rows(const void* from, void* to, std::int64_t rows, std::int64_t length, std::int64_t pitch,
                            void* stream) {
  launch_pad_rows_of<std::uint16_t>(from, to, rows, length, pitch, stream);
}

inline void launch_turn_bytes(const void* from, void* to, std::int64_t rows, std::int64_t columns, std::int64_t pitch,
                              void* stream) {
  const std::int64_t squares = ((rows + kTurnSide - 1) / kTurnSide) * ((columns + kTurnSide - 1) / kTurnSide);
  launch(turn_bytes<>, pad_grid(squares), dim3(kPadThreads), 0, stream, static_cast<const std::uint8_t*>(from),
         static_cast<std::uint8_t*>(to), rows, columns, pitch);
}

}  // namespace chokepoint::hopper
