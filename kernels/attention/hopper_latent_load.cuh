// How do queries and keys of absorbed MLA come into shared memory, and what lies where in it? For hopper_latent.cuh.
#pragma once

#include "kernels/attention/hopper_paged.cuh"

namespace chokepoint::hopper {

// Of a block of keys: who needs it, hence when it may be loaded again, differs.
enum Part { kLeft = 0, kRight = 1, kRest = 2, kParts = 3 };
constexpr int first_chunk(int part) { return part * 4; }
constexpr int chunks_of(int part) { return part == kRest ? 1 : 4; }

struct LatentShared {
  using Tile = LatentTile;
  static constexpr int kLargestAt = 0, kWeightSumAt = 512, kQueriesAt = 1024, kKeysAt = kQueriesAt + kRingBytes<1>,
                       kPaceAt = kKeysAt + 2 * kParts * kRingBytes<1>, kRowsAt = kPaceAt + kPaceBytes;
  static_assert(kPaceAt % 8 == 0 && kRowsAt % 8 == 0 && kRowsAt + sizeof(BlockRows) <= Tile::kNoteBytes,
                "the notes have room");

  __device__ LatentShared() : base(dynamic_shared()) {}
  __device__ unsigned char* q() const { return base; }
  __device__ unsigned char* keys(int block) const { return base + (1 + block) * Tile::kBlockBytes; }
  // Weights of block 1 lie where the queries' last columns were.
  __device__ unsigned char* weights(int block) const {
    return block == 0 ? base + 3 * Tile::kBlockBytes : q() + 8 * Tile::kChunkBytes;
  }
  __device__ unsigned char* notes() const { return base + 3 * Tile::kBlockBytes + Tile::kChunkBytes; }
  __device__ float* largest(int block) const { return reinterpret_cast<float*>(notes() + kLargestAt) + block * 64; }
  __device__ float* weight_sum(int block) const { return reinterpret_cast<float*>(notes() + kWeightSumAt) + block * 64; }
  __device__ Ring<1> queries() const { return Ring<1>(notes() + kQueriesAt); }
  __device__ Ring<1> part(int block, int part) const {
    return Ring<1>(notes() + kKeysAt + (block * kParts + part) * kRingBytes<1>);
  }

  unsigned char* base;
};

__device__ inline void latent_load_part(const LatentShared& shared, const TensorMap* keys, int block, int part, int row,
                                        const Cursor& at) {
  using Tile = LatentTile;
  const Ring<1> ring = shared.part(block, part);
  ring.wait_empty(at);
  mbarrier_arrive_expect_tx(ring.full(at), static_cast<unsigned>(chunks_of(part) * Tile::kChunkBytes));
  for (int chunk = first_chunk(part); chunk < first_chunk(part) + chunks_of(part); ++chunk)
    tma_load_2d(shared.keys(block) + chunk * Tile::kChunkBytes, keys, ring.full(at), chunk * 64, row, Evict::first);
}

__device__ inline void latent_load(const LatentShared& shared, const TensorMap* q, const TensorMap* keys,
                                   const PagedArgs& args, const BlockRows& rows, const TilePace& pace) {
  using Tile = LatentTile;
  struct Place {
    int block, part;
  };
  // In the order in which they become free.
  constexpr Place kPlaces[] = {{0, kRest}, {1, kRest}, {0, kLeft}, {1, kRight}, {0, kRight}, {1, kLeft}};
  Cursor at, gate;
  mbarrier_arrive_expect_tx(shared.queries().full(at), Tile::kBlockBytes);
  for (int chunk = 0; chunk < Tile::kChunks; ++chunk)
    tma_load_2d(shared.q() + chunk * Tile::kChunkBytes, q, shared.queries().full(at), chunk * 64,
                rows.b * args.seq_q * args.heads_q + rows.row, Evict::first);
  for (int block = rows.tile_begin; block < rows.tile_end; block += 2) {
    const bool has_second = block + 1 < rows.tile_end;
    const int first = cache_row(args, rows, block * Tile::kKeys);
    const int second = has_second ? cache_row(args, rows, (block + 1) * Tile::kKeys) : 0;
    pace.enter(gate);
#pragma unroll
    for (const Place& place : kPlaces)
      if (place.block == 0 || has_second)
        latent_load_part(shared, keys, place.block, place.part, place.block == 0 ? first : second, at);
    Ring<1>::next(at);
  }
}

}  // namespace chokepoint::hopper
