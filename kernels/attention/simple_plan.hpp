// How does cuda_simple cut attention into blocks of threads? Pure arithmetic from sizes and machine, no
// device.
//
// Rows of a KV head count query * heads_per_kv + head, so that the heads that share keys fill the rows of one
// tile. A block takes one tile of rows of one KV head of one sequence against all keys or a part of them, a
// tile of keys at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/attention/attention.hpp"

namespace chokepoint {

struct SimpleMachine {
  int multiprocessors = 132;
  std::int64_t shared_bytes_per_block = 232448, shared_bytes_per_multiprocessor = 233472;  // H100
};

constexpr int kSimpleStateBytes = 512;  // of shared memory, where a block keeps what all its threads know

// Keys and values apart. Every warp has 16 * row_blocks rows; key_warps warps share the rows and split the
// keys of a tile, each with sums of its own that are merged at the end.
struct RowsTile {
  int qk_dim, v_dim;  // columns; smaller ones are padded
  int row_warps, key_warps, row_blocks;
  int keys;       // of a tile, by all key_warps
  int stages;     // tiles of keys, and of values, in shared memory
  int residents;  // blocks on a multiprocessor, as far as registers go

  constexpr int rows() const { return row_warps * row_blocks * 16; }
  constexpr int threads() const { return row_warps * key_warps * 32; }
  constexpr int query_bytes() const { return rows() * qk_dim * 2; }
  constexpr int key_bytes() const { return keys * qk_dim * 2; }
  constexpr int value_bytes() const { return keys * v_dim * 2; }
  constexpr int ring_bytes() const { return stages * (key_bytes() + value_bytes()); }
  constexpr int shared_bytes() const { return query_bytes() + ring_bytes() + kSimpleStateBytes; }
};

// The value is the front of the key. Warps of one row of the warp grid split the keys of a tile for the
// scores and the columns of the value for the sums; the weights pass through shared memory.
struct LatentTile {
  int qk_dim, v_dim;
  int row_warps, column_warps, row_blocks;
  int keys;
  int residents;

  static constexpr int kStages = 2;
  static constexpr int kWeightRowBytes = 128;  // up to 64 keys
  constexpr int rows() const { return row_warps * row_blocks * 16; }
  constexpr int threads() const { return row_warps * column_warps * 32; }
  constexpr int query_bytes() const { return rows() * qk_dim * 2; }
  constexpr int key_bytes() const { return keys * qk_dim * 2; }
  constexpr int weight_bytes() const { return rows() * kWeightRowBytes; }
  constexpr int exchange_bytes() const { return column_warps * rows() * 4; }
  constexpr int shared_bytes() const {
    return query_bytes() + kStages * key_bytes() + weight_bytes() + exchange_bytes() + kSimpleStateBytes;
  }
};

// f32: one score per thread, in static shared memory.
struct PlainTile {
  static constexpr int kRows = 8, kKeys = 32, kThreads = 256, kMostColumns = 1024, kResidents = 4;
};

// Many rows: 32 per warp, so that a fragment of keys serves two products (16 where 256 columns leave no
// registers). Few rows: a warp per 16 keys, and three tiles in flight.
inline constexpr std::array<RowsTile, 8> kRowsTiles = {{{64, 64, 4, 1, 2, 64, 2, 2},
                                                        {128, 128, 4, 1, 2, 64, 2, 2},
                                                        {192, 128, 4, 1, 2, 64, 1, 2},
                                                        {256, 256, 4, 1, 1, 64, 1, 2},
                                                        {64, 64, 1, 4, 1, 64, 3, 4},
                                                        {128, 128, 1, 4, 1, 64, 3, 2},
                                                        {192, 128, 1, 4, 1, 64, 2, 2},
                                                        {256, 256, 1, 2, 1, 32, 3, 4}}};
inline constexpr std::array<LatentTile, 2> kLatentTiles = {
    {{576, 512, 2, 4, 2, 64, 1}, {576, 512, 2, 2, 1, 32, 2}}};

enum class SimpleMethod { rows, latent, plain };

struct SimplePlan {
  SimpleMethod method = SimpleMethod::plain;
  std::size_t tile = 0;           // of kRowsTiles or kLatentTiles
  int rows = 1, keys = 1;         // of a tile
  int threads = 1;                // of a block
  std::int64_t shared_bytes = 0;  // dynamic, of a block
  std::int64_t row_tiles = 1;     // of a KV head of a sequence
  int splits = 1;  // the keys are cut into that many, merged by a second kernel when more than 1
  std::int64_t blocks = 1;

  std::int64_t partial_floats(
      const AttentionSizes& sizes) const;  // sums of all splits, then their logarithms
};

// Why cuda_simple cannot compute this on any machine; empty when it can.
std::optional<std::string> simple_limit(const AttentionSizes& sizes, Dtype dtype);

// `sizes` is within simple_limit. Throws Error{unsupported} when no tile fits into the machine's shared
// memory.
SimplePlan plan_simple(const AttentionSizes& sizes, Dtype dtype, const SimpleMachine& machine);

}  // namespace chokepoint
