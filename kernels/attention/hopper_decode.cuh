// softmax(scale q k^T) v over paged keys and values, on Hopper's tensor cores (sm_90a): decode of multi-head,
// grouped-query and multi-query attention in bf16, f32 sums.
//
// Tile and pipeline: 64 rows (the heads that share a KV head, of one query after the other) against 64 keys at a time. A
//   block has one warpgroup for the rows; a warp whose first thread loads (TMA with 128-byte swizzle, a box per page or
//   part of one, keys and values of a tile together, `stages` tiles in flight); and one that paces (one lane). Scores
//   come from shared memory twice, weights stay in registers. Nothing is overlapped within a block: two blocks share a
//   multiprocessor, so that the bytes of one arrive while the other computes, begins or ends (one with 256 columns,
//   whose tiles are twice as long on their way).
// Rows that no head fills are multiplied all the same: a tile of 64 keys of 128 columns takes 512 clocks of the tensor
//   cores and some 1000 of the rest, where its 32 KiB take 2200 at an H100's 3.35 TB/s (1500 at an H200's 4.8 TB/s), and
//   two blocks take turns. Keys as the left operand (swapped operands) would save tensor cores, but send the largest of
//   a row across warps and the weights through shared memory: worth it only where arithmetic is scarcer (H20).
// Registers: 107, 142 and 204 with 64, 128 and 256 columns, no spills. Shared memory: DecodeTile::shared_bytes, 105, 113
//   and 225 KiB. Bound: memory; 192 KiB are in flight on a multiprocessor.
// Ideas: packing of heads that share keys: FlashAttention-3 (hopper/pack_gqa.h@0251105a); split keys: Flash-Decoding
//   (Dao et al., 2023); online softmax: Milakov and Gimelshein, 2018. Boxes of parts of pages and the pace are ours.
// Does not support: keys and values of other columns than 64, 128 or 256 each. Pages of few tokens, or whose size has no
//   large power of two in it, take many small boxes.
#pragma once

#include "kernels/attention/hopper_paged.cuh"
#include "kernels/common/cuda/hopper/wgmma.cuh"

namespace chokepoint::hopper {

inline constexpr int kPacedTiles = 4;  // of keys, charged together: 64 KiB with 64 columns

template <std::size_t kTile>
struct DecodeShared {
  static constexpr DecodeTile kShape = kDecodeTiles[kTile];
  static constexpr int kPaceAt = kRingBytes<kShape.stages>, kRowsAt = kPaceAt + kPaceBytes;
  static_assert(kPaceAt % 8 == 0 && kRowsAt % 8 == 0 && kRowsAt + sizeof(BlockRows) <= DecodeTile::kNoteBytes,
                "the notes have room");

  __device__ DecodeShared() : base(dynamic_shared()) {}
  __device__ unsigned char* q() const { return base; }
  __device__ unsigned char* keys(int stage) const { return base + kShape.query_bytes() + stage * kShape.stage_bytes(); }
  __device__ unsigned char* values(int stage) const { return keys(stage) + kShape.stage_bytes() / 2; }
  __device__ unsigned char* notes() const { return keys(kShape.stages); }
  __device__ Ring<kShape.stages> ring() const { return Ring<kShape.stages>(notes()); }

  unsigned char* base;
};

template <std::size_t kTile>
__device__ void decode_load(const DecodeShared<kTile>& shared, const TensorMap* cache, const PagedArgs& args,
                            const BlockRows& rows, const TilePace& pace) {
  constexpr DecodeTile kShape = kDecodeTiles[kTile];
  constexpr int kChunks = 2 * kShape.dim / 64;
  const auto ring = shared.ring();
  const int box_rows = decode_box_rows(args.page_size);
  const Evict evict = args.row_tiles == 1 ? Evict::first : Evict::normal;
  Cursor at, gate;
  for (int tile = rows.tile_begin; tile < rows.tile_end; ++tile) {
    if ((tile - rows.tile_begin) % kPacedTiles == 0) pace.enter(gate);
    const int first = tile * DecodeTile::kKeys, keys = min(DecodeTile::kKeys, rows.length - first);
    const int boxes = (keys + box_rows - 1) / box_rows;  // what lies behind the sequence's end stays as it is
    ring.wait_empty(at);
    mbarrier_arrive_expect_tx(ring.full(at), static_cast<unsigned>(boxes * kChunks * box_rows * kTileRowBytes));
    for (int box = 0; box < boxes; ++box) {
      const int row = cache_row(args, rows, first + box * box_rows);
      unsigned char* const to = shared.keys(at.stage) + box * box_rows * kTileRowBytes;
#pragma unroll
      for (int chunk = 0; chunk < kChunks; ++chunk)
        tma_load_2d(to + chunk * DecodeTile::kChunkBytes, cache, ring.full(at), chunk * 64, row, evict);
    }
    ring.next(at);
  }
}

// A block's warpgroup.
template <std::size_t kTile>
class DecodeRows {
 public:
  static constexpr DecodeTile kShape = kDecodeTiles[kTile];
  static constexpr int kKeys = DecodeTile::kKeys, kColumns = kShape.dim;

  __device__ DecodeRows(const DecodeShared<kTile>& shared, const PagedArgs& args, const BlockRows& rows)
      : shared_(shared), args_(args), rows_(rows), thread_(static_cast<int>(threadIdx.x)) {}

  __device__ __forceinline__ void attend() {
    load_queries();
    const auto ring = shared_.ring();
    Cursor at;
    float sums[kColumns / 2] = {};
    for (int tile = rows_.tile_begin; tile < rows_.tile_end; ++tile) {
      float scores[kKeys / 2], carry[2];
      ring.wait_full(at);
      multiply_keys(scores, at.stage);
      hide(scores, tile * kKeys, at.stage);
      weigh(scores, sums_of_rows_, carry, args_.factor);
#pragma unroll
      for (int i = 0; i < kColumns / 2; ++i) sums[i] *= carry[row_of_register(i)];
      add_values(sums, scores, at.stage);
      give_stage_back(ring.empty(at));
      ring.next(at);
    }
#pragma unroll
    for (int row = 0; row < 2; ++row)
      write_row(args_, rows_, sums, thread_, row, 0, sum_of_quad(sums_of_rows_.weights[row]),
                sums_of_rows_.largest[row]);
  }

 private:
  static constexpr unsigned kWarpgroup = 1;  // named barrier

  // Rows of one KV head do not follow each other in memory: ordinary loads, once. Rows past the last are zero.
  __device__ __forceinline__ void load_queries() {
    constexpr int kVectors = kColumns / 8;
    for (int i = thread_; i < DecodeTile::kRows * kVectors; i += 128) {
      const int row = i / kVectors, vector = i % kVectors;
      uint4 bits = make_uint4(0U, 0U, 0U, 0U);
      if (row < rows_.rows) bits = load_16(args_.q + rows_.output_row(args_, row) * kColumns + vector * 8);
      store_tile_16(shared_.q() + vector / 8 * DecodeTile::kChunkBytes +
                        swizzled(static_cast<std::uint32_t>(row * kTileRowBytes + vector % 8 * 16)),
                    bits);
    }
    fence_proxy_async();
    barrier_sync(kWarpgroup, 128);
  }

  __device__ __forceinline__ void multiply_keys(float (&scores)[kKeys / 2], int stage) const {
    const std::uint64_t q = k_major_descriptor(shared_address(shared_.q()));
    const std::uint64_t k = k_major_descriptor(shared_address(shared_.keys(stage)));
    sums_fence(scores);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kColumns / 16; ++i) {
      const int offset = i / 4 * DecodeTile::kChunkBytes + i % 4 * kStepBytes;
      multiply_bf16<kKeys>(scores, advanced(q, offset), advanced(k, offset), i > 0);
    }
    warpgroup_commit();
    warpgroup_wait<0>();
    sums_fence(scores);
  }

  __device__ __forceinline__ void hide(float (&scores)[kKeys / 2], int first_key, int stage) const {
    if (first_key + kKeys <= rows_.all_see) return;
    hide_unseen(scores, rows_, thread_, first_key);
    if (first_key + kKeys <= rows_.length) return;
    clear_values<kColumns / 64, kKeys>(shared_.values(stage), rows_.length - first_key, thread_);
    barrier_sync(kWarpgroup, 128);
  }

  __device__ __forceinline__ void add_values(float (&sums)[kColumns / 2], const float (&weights)[kKeys / 2],
                                             int stage) const {
    const std::uint64_t v = mn_major_descriptor(shared_address(shared_.values(stage)), kKeys);
    std::uint32_t packed[kKeys / 16][4];
    pack_weights(packed, weights);
    sums_fence(sums);
    warpgroup_arrive();
#pragma unroll
    for (int i = 0; i < kKeys / 16; ++i)
      multiply_bf16<kColumns, Major::mn>(sums, packed[i], advanced(v, i * kMnMajorStepBytes), true);
    warpgroup_commit();
    warpgroup_wait<0>();
    sums_fence(sums);
  }

  const DecodeShared<kTile>& shared_;
  const PagedArgs& args_;
  const BlockRows& rows_;
  int thread_;
  RowSums sums_of_rows_;
};

template <std::size_t kTile>
__global__ void __launch_bounds__(DecodeTile::kThreads, kDecodeTiles[kTile].residents)
    decode_kernel(const __grid_constant__ TensorMap cache, const __grid_constant__ PagedArgs args) {
  const DecodeShared<kTile> shared;
  auto* const rows_at = reinterpret_cast<BlockRows*>(shared.notes() + DecodeShared<kTile>::kRowsAt);
  if (threadIdx.x == 0) new (rows_at) BlockRows(args, blockIdx.x, DecodeTile::kRows, DecodeTile::kKeys);
  __syncthreads();
  const BlockRows& rows = *rows_at;  // in shared memory: registers are short
  if (rows.tile_begin == rows.tile_end) {
    write_empty_split(args, rows);
    return;
  }
  TilePace pace(shared.notes() + DecodeShared<kTile>::kPaceAt, args.pace);
  if (threadIdx.x == 0) {
    shared.ring().init(1, 1);
    pace.init();
    fence_barrier_init();
  }
  __syncthreads();
  const int warp = __shfl_sync(0xffffffffU, static_cast<int>(threadIdx.x) / 32, 0);  // known to be the same in a warp
  if (warp < 4) {
    DecodeRows<kTile>(shared, args, rows).attend();
  } else if (warp == 4) {
    if (lane_id() == 0) decode_load(shared, &cache, args, rows, pace);
  } else if (lane_id() == 0 && pace.on()) {
    charge_block<DecodeTile::kKeys, kPacedTiles>(args, rows, pace);
  }
}

}  // namespace chokepoint::hopper
