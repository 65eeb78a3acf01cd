// How do tensor cores multiply bf16 and fp8 matrices? mma.m16n8k16 on operands that asynchronous copies bring
// to shared memory, several steps ahead.
//
// A step is 128 bytes of every row of the tile: 64 bf16 or 128 fp8. Rows lie in shared memory as 8 pieces of
// 16 bytes; piece p of row r stands at p ^ (r & 7), so that neither copies nor ldmatrix meet in a bank. B
// stored [k, n] is kept as it is (bf16) and turned by ldmatrix.trans. fp8: a register of ldmatrix holds 4
// neighbours of k. Its lower pair serves as elements 2t, 2t+1 of the product's 16, the upper pair as 2t+8,
// 2t+9: a permutation of k that A and B share. e4m3 is exact in f16. Each scale block of 128 is summed apart,
// then multiplied by its two scales (DeepSeek-V3 technical report, 3.3.2). Bound: compute, about 60 % of what
// wgmma reaches (mma.sync on Hopper); memory for few rows. Not supported here: f32 (gemm_simt.cuh). Rows that
// 16-byte copies cannot read are loaded element by element.
#pragma once

#include "kernels/common/cuda/gemm_block.cuh"

namespace chokepoint {

#if defined(__CUDACC__)
// d[16, 8] += a[16, 16] b[16, 8] of f16 pairs, laid out as for mma_bf16_m16n8k16.
__device__ __forceinline__ void mma_halves(float (&d)[4], const std::uint32_t (&a)[4],
                                           const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Two e4m3 as the two halves of `halves`, in f16.
__device__ __forceinline__ std::uint32_t halves_of(std::uint32_t codes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  std::uint32_t halves;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<std::uint16_t>(codes)));
  return halves;
#else
  // The bits of a code, moved into f16, mean 2^-8 of its value: the exponents' biases are 7 and 15.
  const std::uint32_t spread = __byte_perm(codes, 0, 0x1404);
  std::uint32_t halves = (spread & 0x80008000U) | (spread & 0x7f007f00U) >> 1;
  asm("mul.rn.f16x2 %0, %0, %1;" : "+r"(halves) : "r"(0x5c005c00U));  // 2^8
  return halves;
#endif
}
#else
// The emulator multiplies bf16, where e4m3 is exact too.
inline void mma_halves(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  mma_bf16_m16n8k16(d, a, b);
}
inline std::uint32_t halves_of(std::uint32_t codes) {
  float low, high;
  unpack_e4m3(static_cast<std::uint16_t>(codes), low, high);
  return pack_bf16(low, high);
}
#endif

// `kAsync`: 16-byte copies; else the tile is gathered element by element and B becomes [n, k] in shared
// memory.
template <GemmTileName kName, Dtype kDtype, GemmLayout kLayout, bool kAsync>
class TensorTile {
 public:
  static constexpr GemmTile kTile = gemm_tile(kName);
  static constexpr bool kFp8 = kDtype == Dtype::fp8_e4m3;
  static constexpr bool kTurned = kLayout == GemmLayout::kn && kAsync;  // B lies as [k, n] in shared memory
  static constexpr int kDepth = gemm_depth(kDtype), kElementBytes = kFp8 ? 1 : 2;
  static constexpr int kPieceElements = 16 / kElementBytes;
  static constexpr int kThreads = kTile.threads(), kWarpsN = kTile.block_n / kTile.warp_n;
  static constexpr int kTilesM = kTile.warp_m / 16, kTilesN = kTile.warp_n / 8;  // of mma
  static constexpr int kSums = kTilesM * kTilesN * 4;
  static constexpr int kPiecesA = kTile.block_m * 8 / kThreads, kPiecesB = kTile.block_n * 8 / kThreads;
  static constexpr int kRowsAtOnce = kThreads / 8;
  static_assert(kTile.block_m * 8 % kThreads == 0 && kTile.block_n * 8 % kThreads == 0,
                "threads share all pieces");
  static_assert(kTile.warp_m % 16 == 0 && kTile.warp_n % 16 == 0, "ldmatrix brings 16 columns");
  static_assert(!kTurned || !kFp8, "ldmatrix turns 16-bit elements only");
  static_assert(!kFp8 || 128 % kTile.block_n == 0, "a tile lies in one column of scale blocks");

  __device__ TensorTile(const GemmArgs& args, unsigned char* shared) : args_(args), shared_(shared) {
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    piece_ = thread % 8;
    row_ = thread / 8;
    warp_row_ = warp / kWarpsN * kTile.warp_m;
    warp_column_ = warp % kWarpsN * kTile.warp_n;
    group_row_ = lane / 4;
    pair_ = lane % 4 * 2;
    // Where ldmatrix's lanes point: 16 rows x 2 pieces of A; 2 x 8 rows x 2 pieces of B.
    a_row_ = warp_row_ + lane % 16;
    a_half_ = lane / 16;
    b_row_ = kTurned ? lane % 16 : warp_column_ + lane / 16 * 8 + lane % 8;
    b_half_ = kTurned ? lane / 16 : lane / 8 % 2;
  }

  // Sums of the tile into `sums`: [kTilesM][kTilesN][4], as mma has them. All threads.
  __device__ void multiply(const GemmTileWork& work, float (&sums)[kSums]) {
    begin(work);
#pragma unroll
    for (int i = 0; i < kSums; ++i) sums[i] = 0.0F;
#pragma unroll
    for (int stage = 0; stage < kTile.stages - 1; ++stage) {
      if (work.step + stage < work.step_end) load(work.step + stage, stage);
      cp_async_commit();
    }
    int stage = 0;
    for (int step = work.step; step < work.step_end; ++step) {
      cp_async_wait<kTile.stages - 2>();
      __syncthreads();
      const int ahead = step + kTile.stages - 1, free_stage = stage == 0 ? kTile.stages - 1 : stage - 1;
      if (ahead < work.step_end) load(ahead, free_stage);
      cp_async_commit();
      if constexpr (kFp8)
        step_fp8(step, stage, sums);
      else
        step_bf16(stage, sums);
      stage = stage + 1 == kTile.stages ? 0 : stage + 1;
    }
    cp_async_wait<0>();
  }

  __device__ void store(const GemmTileWork& work, const float (&sums)[kSums]) const {
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = work.row + warp_row_ + m * 16 + half * 8 + group_row_;
        if (row >= work.row_end) continue;
#pragma unroll
        for (int n = 0; n < kTilesN; ++n) {
          const float* pair = sums + (m * kTilesN + n) * 4 + half * 2;
          gemm_store_pair(args_, row, work.column + warp_column_ + n * 8 + pair_, pair[0], pair[1]);
        }
      }
  }

 private:
  __device__ int stored_row(int row) const {
    return args_.a_rows == nullptr ? row : __ldg(args_.a_rows + row);
  }

  __device__ void begin(const GemmTileWork& work) {
    work_ = work;
    const auto matrix = static_cast<std::int64_t>(args_.n) * args_.k;
    b_ = static_cast<const unsigned char*>(args_.b) + work.group * matrix * kElementBytes;
    const auto* a = static_cast<const unsigned char*>(args_.a);
    a_valid_ = 0;
#pragma unroll
    for (int i = 0; i < kPiecesA; ++i) {
      const int row = work.row + row_ + i * kRowsAtOnce;
      const bool valid = row < work.row_end;
      a_begin_[i] = valid ? a + stored_row(row) * args_.a_stride * kElementBytes : a;
      a_valid_ |= static_cast<unsigned>(valid) << i;
    }
    if constexpr (kFp8) {
      const int k_blocks = args_.steps, n_blocks = (args_.n + 127) / 128, block = work.column / 128;
      const bool along_k = args_.b_stride_k == 1;
      b_scale_ = args_.b_scale + static_cast<std::int64_t>(work.group) * k_blocks * n_blocks +
                 (along_k ? block * k_blocks : block);
      b_scale_stride_ = along_k ? 1 : n_blocks;
#pragma unroll
      for (int i = 0; i < 2 * kTilesM; ++i) {
        const int row = work.row + warp_row_ + i / 2 * 16 + i % 2 * 8 + group_row_;
        scale_row_[i] = stored_row(row < work.row_end ? row : work.row);
      }
    }
  }

  __device__ unsigned char* stage_a(int stage) const { return shared_ + stage * kTile.stage_bytes(); }
  __device__ unsigned char* stage_b(int stage) const { return stage_a(stage) + kTile.block_m * 128; }

  __device__ void load(int step, int stage) const {
    unsigned char* to_a = stage_a(stage) + row_ * 128 + (piece_ ^ (row_ & 7)) * 16;
    const int k = step * kDepth + piece_ * kPieceElements;
#pragma unroll
    for (int i = 0; i < kPiecesA; ++i) {
      const bool valid = (a_valid_ >> i & 1U) != 0 && k < args_.k;
      const unsigned char* from = a_begin_[i] + static_cast<std::int64_t>(k) * kElementBytes;
      unsigned char* to = to_a + i * kRowsAtOnce * 128;
      if constexpr (kAsync)
        cp_async_16(to, valid ? from : static_cast<const unsigned char*>(args_.a), valid);
      else
        gather_16(to, from, 1, valid ? args_.k - k : 0);
    }
    if constexpr (kTurned)
      load_turned_b(step, stage);
    else
      load_b(k, stage);
  }

  __device__ void load_b(int k, int stage) const {
    unsigned char* to_b = stage_b(stage) + row_ * 128 + (piece_ ^ (row_ & 7)) * 16;
    const int column = work_.column + row_;
    const std::int64_t stride = kAsync ? args_.k : args_.b_stride_n;
    const unsigned char* from_b = b_ + column * stride * kElementBytes +
                                  k * (kAsync ? std::int64_t{1} : args_.b_stride_k) * kElementBytes;
#pragma unroll
    for (int i = 0; i < kPiecesB; ++i) {
      const bool valid = column + i * kRowsAtOnce < args_.n && k < args_.k;
      const unsigned char* from = from_b + i * kRowsAtOnce * stride * kElementBytes;
      unsigned char* to = to_b + i * kRowsAtOnce * 128;
      if constexpr (kAsync)
        cp_async_16(to, valid ? from : b_, valid);
      else
        gather_16(to, from, args_.b_stride_k, valid ? args_.k - k : 0);
    }
  }

  // Rows of k, block_n elements each.
  __device__ void load_turned_b(int step, int stage) const {
    constexpr int kPiecesPerRow = kTile.block_n / kPieceElements, kRows = kThreads / kPiecesPerRow;
    static_assert(kThreads % kPiecesPerRow == 0 && kRows % 8 == 0,
                  "a thread's rows share their place in eight");
    const int thread = static_cast<int>(threadIdx.x), row = thread / kPiecesPerRow,
              piece = thread % kPiecesPerRow;
    unsigned char* to = stage_b(stage) + row * kTile.block_n * 2 + (piece ^ (row & 7)) * 16;
    const int column = work_.column + piece * kPieceElements, k = step * kDepth + row;
    const unsigned char* from = b_ + (static_cast<std::int64_t>(k) * args_.n + column) * 2;
#pragma unroll
    for (int i = 0; i < kPiecesB; ++i) {
      const bool valid = column < args_.n && k + i * kRows < args_.k;
      cp_async_16(to + i * kRows * kTile.block_n * 2,
                  valid ? from + static_cast<std::int64_t>(i) * kRows * args_.n * 2 : b_, valid);
    }
  }

  // 16 bytes of elements `stride` apart; those past `count` are zero.
  __device__ static void gather_16(unsigned char* to, const unsigned char* from, std::int64_t stride,
                                   int count) {
    std::uint32_t words[4] = {};
#pragma unroll
    for (int e = 0; e < kPieceElements; ++e) {
      if (e >= count) break;
      std::uint32_t bits;
      if constexpr (kFp8)
        bits = __ldg(from + e * stride);
      else
        bits = __ldg(reinterpret_cast<const std::uint16_t*>(from) + e * stride);
      words[e * kElementBytes / 4] |= bits << e * kElementBytes % 4 * 8;
    }
    store_16(to, make_uint4(words[0], words[1], words[2], words[3]));
  }

  // Pieces 2 * part and 2 * part + 1 of 16 rows from `m` * 16 on.
  __device__ void fragment_a(int stage, int part, int m, std::uint32_t (&a)[4]) const {
    ldmatrix_x4(a, stage_a(stage) + (a_row_ + m * 16) * 128 + ((part * 2 + a_half_) ^ (a_row_ & 7)) * 16);
  }
  // The same of columns from `pair` * 16 on: b[0], b[1] of the first 8 columns, b[2], b[3] of the others.
  __device__ void fragment_b(int stage, int part, int pair, std::uint32_t (&b)[4]) const {
    if constexpr (kTurned)
      ldmatrix_x4_trans(b, stage_b(stage) + (part * 16 + b_row_) * kTile.block_n * 2 +
                               ((warp_column_ / 8 + pair * 2 + b_half_) ^ (b_row_ & 7)) * 16);
    else
      ldmatrix_x4(b,
                  stage_b(stage) + (b_row_ + pair * 16) * 128 + ((part * 2 + b_half_) ^ (b_row_ & 7)) * 16);
  }

  __device__ void fragments(int stage, int part, std::uint32_t (&a)[kTilesM][4],
                            std::uint32_t (&b)[kTilesN / 2][4]) const {
#pragma unroll
    for (int m = 0; m < kTilesM; ++m) fragment_a(stage, part, m, a[m]);
#pragma unroll
    for (int pair = 0; pair < kTilesN / 2; ++pair) fragment_b(stage, part, pair, b[pair]);
  }

  // The fragments of a part are loaded while those of the part before are multiplied.
  __device__ void step_bf16(int stage, float (&sums)[kSums]) const {
    std::uint32_t a[2][kTilesM][4], b[2][kTilesN / 2][4];
    fragments(stage, 0, a[0], b[0]);
#pragma unroll
    for (int part = 0; part < 4; ++part) {
      if (part + 1 < 4) fragments(stage, part + 1, a[(part + 1) % 2], b[(part + 1) % 2]);
#pragma unroll
      for (int m = 0; m < kTilesM; ++m)
#pragma unroll
        for (int n = 0; n < kTilesN; ++n) {
          const std::uint32_t* pair = b[part % 2][n / 2] + n % 2 * 2;
          const std::uint32_t columns[2] = {pair[0], pair[1]};
          mma_bf16_m16n8k16(sums_of(sums, m, n), a[part % 2][m], columns);
        }
    }
  }

  __device__ void step_fp8(int step, int stage, float (&sums)[kSums]) const {
    const float b_scale = __ldg(b_scale_ + step * b_scale_stride_);
    float scale[2 * kTilesM];
#pragma unroll
    for (int i = 0; i < 2 * kTilesM; ++i)
      scale[i] =
          b_scale * __ldg(args_.a_scale + static_cast<std::int64_t>(scale_row_[i]) * args_.steps + step);
    float block[kSums] = {};
#pragma unroll 1  // or the registers of several parts are wanted at once
    for (int part = 0; part < 4; ++part) {
      std::uint32_t a[kTilesM][4], b[kTilesN / 2][4];
      fragments(stage, part, a, b);
#pragma unroll
      for (int piece = 0; piece < 2; ++piece) {
        std::uint32_t columns[kTilesN][2];
#pragma unroll
        for (int n = 0; n < kTilesN; ++n) {
          const std::uint32_t codes = b[n / 2][n % 2 * 2 + piece];
          columns[n][0] = halves_of(codes);
          columns[n][1] = halves_of(codes >> 16);
        }
#pragma unroll
        for (int m = 0; m < kTilesM; ++m) {
          const std::uint32_t upper = a[m][piece * 2], lower = a[m][piece * 2 + 1];
          const std::uint32_t rows[4] = {halves_of(upper), halves_of(lower), halves_of(upper >> 16),
                                         halves_of(lower >> 16)};
#pragma unroll
          for (int n = 0; n < kTilesN; ++n) mma_halves(sums_of(block, m, n), rows, columns[n]);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kSums; ++i) {
      const int m = i / (4 * kTilesN), half = i % 4 / 2;
      sums[i] += block[i] * scale[m * 2 + half];
    }
  }

  __device__ static float (&sums_of(float (&sums)[kSums], int m, int n))[4] {
    return *reinterpret_cast<float(*)[4]>(sums + (m * kTilesN + n) * 4);
  }

  const GemmArgs& args_;
  unsigned char* shared_;
  int piece_, row_, warp_row_, warp_column_, group_row_, pair_, a_row_, a_half_, b_row_, b_half_;
  GemmTileWork work_;
  const unsigned char* b_ = nullptr;
  const unsigned char* a_begin_[kPiecesA];
  unsigned a_valid_ = 0;
  const float* b_scale_ = nullptr;
  int b_scale_stride_ = 0;
  int scale_row_[kFp8 ? 2 * kTilesM : 1];  // of A's scales: those of this thread's rows of C
};

template <GemmTileName kName, Dtype kDtype, GemmLayout kLayout, bool kAsync>
__global__ void __launch_bounds__(gemm_tile(kName).threads(), gemm_tile(kName).blocks)
    gemm_tensor(const GemmArgs args) {
  using Tile = TensorTile<kName, kDtype, kLayout, kAsync>;
  unsigned char* shared = dynamic_shared();
  GemmNotes notes(shared + Tile::kTile.stages * Tile::kTile.stage_bytes(), args.pace);
  const GemmWalk<kName> walk(args, notes.row_tiles);
  Tile tile(args, shared);
  float sums[Tile::kSums];
  for (int at = static_cast<int>(blockIdx.x); at < walk.tiles(); at += static_cast<int>(gridDim.x)) {
    const GemmTileWork work = walk.at(at);
    if (threadIdx.x == 0) walk.charge(*notes.pace, at, work, Tile::kDepth);
    __syncthreads();  // also: all are done with the stages of the tile before
    tile.multiply(work, sums);
    if (args.cuts > 1 && !gemm_join_cuts<kName>(args, work, sums, notes.told)) continue;
    tile.store(work, sums);
  }
  if (threadIdx.x == 0) notes.pace->drain();
}

}  // namespace chokepoint
