// How are f32 matrices multiplied in true f32? By multiply-adds: 16 x 16 threads share a tile, each with a
// part of 4 x 4 pieces that lie a quarter or half of the tile apart.
//
// Steps of 16 along k pass through registers into one of two buffers, [k, rows] and [k, columns], while the
// other is used. Bound: the f32 rate of the multiprocessors. No TF32: sums are those of the CPU kernels, in
// order of k.
#pragma once

#include "kernels/common/cuda/gemm_block.cuh"

namespace chokepoint {

template <GemmTileName kName>
class SimtTile {
 public:
  static constexpr GemmTile kTile = gemm_tile(kName);
  static constexpr int kSide = 16;  // threads along each side
  static constexpr int kPartsM = kTile.block_m / (4 * kSide), kPartsN = kTile.block_n / (4 * kSide);
  static constexpr int kRows = 4 * kPartsM, kColumns = 4 * kPartsN, kSums = kRows * kColumns;
  static constexpr int kQuadsA = kTile.block_m * kSimtDepth / 4 / kTile.threads();
  static constexpr int kQuadsB = kTile.block_n * kSimtDepth / 4 / kTile.threads();
  static constexpr int kStrideA = kTile.block_m + kSimtPad, kStrideB = kTile.block_n + kSimtPad;
  static constexpr int kBufferFloats = kSimtDepth * (kStrideA + kStrideB);
  static_assert(kTile.threads() == kSide * kSide, "16 x 16 threads");
  static_assert(kPartsM >= 1 && kPartsN >= 1 && kQuadsA >= 1 && kQuadsB >= 1, "every thread has work");

  __device__ SimtTile(const GemmArgs& args, float* shared)
      : args_(args),
        shared_(shared),
        thread_row_(static_cast<int>(threadIdx.x) / kSide),
        thread_column_(static_cast<int>(threadIdx.x) % kSide) {}

  __device__ void multiply(const GemmTileWork& work, float (&sums)[kSums]) {
    begin(work);
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = 0.0F;
    if (work.step == work.step_end) return;
    fetch(work.step);
    int buffer = 0;
    for (int step = work.step; step < work.step_end; ++step) {
      put(buffer);
      __syncthreads();
      if (step + 1 < work.step_end) fetch(step + 1);
      add_products(buffer, sums);
      buffer ^= 1;
    }
  }

  __device__ void store(const GemmTileWork& work, const float (&sums)[kSums]) const {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const int row = work.row + i / 4 * 4 * kSide + thread_row_ * 4 + i % 4;
      if (row >= work.row_end) continue;
#pragma unroll
      for (int j = 0; j < kColumns; j += 2) {
        const int column = work.column + j / 4 * 4 * kSide + thread_column_ * 4 + j % 4;
        gemm_store_pair(args_, row, column, sums[i * kColumns + j], sums[i * kColumns + j + 1]);
      }
    }
  }

 private:
  __device__ void begin(const GemmTileWork& work) {
    work_ = work;
    b_ = static_cast<const float*>(args_.b) + work.group * (static_cast<std::int64_t>(args_.n) * args_.k);
#pragma unroll
    for (int i = 0; i < kQuadsA; ++i) {
      const int row = work.row + quad(i) / (kSimtDepth / 4);
      a_valid_[i] = row < work.row_end;
      const int stored = !a_valid_[i] ? 0 : args_.a_rows == nullptr ? row : __ldg(args_.a_rows + row);
      a_row_[i] = static_cast<const float*>(args_.a) + stored * args_.a_stride;
    }
  }

  __device__ static int quad(int i) { return static_cast<int>(threadIdx.x) + i * kTile.threads(); }

  // Four elements, `stride` apart, of which `count` exist.
  __device__ float4 four(const float* from, std::int64_t stride, int count) const {
    if (count >= 4 && stride == 1 && args_.vectors) return __ldg(reinterpret_cast<const float4*>(from));
    float4 values = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    if (count > 0) values.x = __ldg(from);
    if (count > 1) values.y = __ldg(from + stride);
    if (count > 2) values.z = __ldg(from + 2 * stride);
    if (count > 3) values.w = __ldg(from + 3 * stride);
    return values;
  }

  __device__ void fetch(int step) {
#pragma unroll
    for (int i = 0; i < kQuadsA; ++i) {
      const int k = step * kSimtDepth + quad(i) % (kSimtDepth / 4) * 4;
      a_[i] = four(a_row_[i] + k, 1, a_valid_[i] ? args_.k - k : 0);
    }
#pragma unroll
    for (int i = 0; i < kQuadsB; ++i) {
      if (args_.b_stride_k == 1) {  // [n, k]: four along k
        const int column = work_.column + quad(i) / (kSimtDepth / 4);
        const int k = step * kSimtDepth + quad(i) % (kSimtDepth / 4) * 4;
        b_quads_[i] = four(b_ + column * args_.b_stride_n + k, 1, column < args_.n ? args_.k - k : 0);
      } else {  // [k, n]: four along n
        const int column = work_.column + quad(i) % (kTile.block_n / 4) * 4;
        const int k = step * kSimtDepth + quad(i) / (kTile.block_n / 4);
        b_quads_[i] = four(b_ + k * args_.b_stride_k + column, 1, k < args_.k ? args_.n - column : 0);
      }
    }
  }

  __device__ static void put_column(float* to, int stride, float4 values) {
    to[0] = values.x;
    to[stride] = values.y;
    to[2 * stride] = values.z;
    to[3 * stride] = values.w;
  }

  __device__ void put(int buffer) const {
    float* a = shared_ + buffer * kBufferFloats;
    float* b = a + kSimtDepth * kStrideA;
#pragma unroll
    for (int i = 0; i < kQuadsA; ++i)
      put_column(a + quad(i) % (kSimtDepth / 4) * 4 * kStrideA + quad(i) / (kSimtDepth / 4), kStrideA, a_[i]);
#pragma unroll
    for (int i = 0; i < kQuadsB; ++i)
      if (args_.b_stride_k == 1)
        put_column(b + quad(i) % (kSimtDepth / 4) * 4 * kStrideB + quad(i) / (kSimtDepth / 4), kStrideB,
                   b_quads_[i]);
      else
        *reinterpret_cast<float4*>(b + quad(i) / (kTile.block_n / 4) * kStrideB +
                                   quad(i) % (kTile.block_n / 4) * 4) = b_quads_[i];
  }

  __device__ void add_products(int buffer, float (&sums)[kSums]) const {
    const float* a = shared_ + buffer * kBufferFloats + thread_row_ * 4;
    const float* b = shared_ + buffer * kBufferFloats + kSimtDepth * kStrideA + thread_column_ * 4;
#pragma unroll
    for (int k = 0; k < kSimtDepth; ++k) {
      float rows[kRows], columns[kColumns];
#pragma unroll
      for (int part = 0; part < kPartsM; ++part) spread(rows + part * 4, a + k * kStrideA + part * 4 * kSide);
#pragma unroll
      for (int part = 0; part < kPartsN; ++part)
        spread(columns + part * 4, b + k * kStrideB + part * 4 * kSide);
#pragma unroll
      for (int i = 0; i < kRows; ++i)
#pragma unroll
        for (int j = 0; j < kColumns; ++j)
          sums[i * kColumns + j] = __fmaf_rn(rows[i], columns[j], sums[i * kColumns + j]);
    }
  }

  __device__ static void spread(float* to, const float* from) {
    const float4 values = *reinterpret_cast<const float4*>(from);
    to[0] = values.x;
    to[1] = values.y;
    to[2] = values.z;
    to[3] = values.w;
  }

  const GemmArgs& args_;
  float* shared_;
  int thread_row_, thread_column_;
  GemmTileWork work_;
  const float* b_ = nullptr;
  const float* a_row_[kQuadsA];
  bool a_valid_[kQuadsA];
  float4 a_[kQuadsA], b_quads_[kQuadsB];
};

template <GemmTileName kName>
__global__ void __launch_bounds__(gemm_tile(kName).threads(), gemm_tile(kName).blocks)
    gemm_simt(const GemmArgs args) {
  using Tile = SimtTile<kName>;
  float* shared = reinterpret_cast<float*>(dynamic_shared());
  GemmNotes notes(dynamic_shared() + Tile::kTile.stages * Tile::kBufferFloats * 4, args.pace);
  const GemmWalk<kName> walk(args, notes.row_tiles);
  Tile tile(args, shared);
  float sums[Tile::kSums];
  for (int at = static_cast<int>(blockIdx.x); at < walk.tiles(); at += static_cast<int>(gridDim.x)) {
    const GemmTileWork work = walk.at(at);
    if (threadIdx.x == 0) walk.charge(*notes.pace, at, work, kSimtDepth);
    __syncthreads();
    tile.multiply(work, sums);
    if (args.cuts > 1 && !gemm_join_cuts<kName>(args, work, sums, notes.told)) continue;
    tile.store(work, sums);
  }
  if (threadIdx.x == 0) notes.pace->drain();
}

}  // namespace chokepoint
