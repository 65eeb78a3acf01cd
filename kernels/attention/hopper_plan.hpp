// How does `hopper` cut attention into tiles, and in which order? Pure arithmetic, for host and device.
//
// Prefill: a block takes one tile of queries of one head of one sequence after the other, each against all keys that they see, a
// block of keys at a time, the last keys first. Sequences have tensor maps of their own, so that TMA ends where they do.
// Decode: a block takes 64 rows (the heads that share keys, of one query after the other) against all keys of a sequence
// or, where that leaves multiprocessors idle, against a split of them; splits are merged by a second kernel. Absorbed MLA
// and heads with keys and values of their own have kernels of their own.
#pragma once

#include <array>
#include <climits>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/attention/attention.hpp"
#include "kernels/common/cuda/hopper/layout.hpp"

namespace chokepoint::hopper {

// `keys` of a block; two blocks of keys and of values are in flight. Two warpgroups have 64 queries each.
struct PrefillTile {
  int qk_dim = 0, v_dim = 0, keys = 0;

  static constexpr int kQueries = 128, kStages = 2, kThreads = 384;
  // Of one warpgroup; the output leaves through the same memory, in two slices of 8 KiB.
  constexpr int query_bytes() const { return 64 * qk_dim * 2 < 16384 ? 16384 : 64 * qk_dim * 2; }
  constexpr int key_bytes() const { return keys * qk_dim * 2; }
  constexpr int value_bytes() const { return keys * v_dim * 2; }
  constexpr int shared_bytes() const {
    return 2 * query_bytes() + kStages * (key_bytes() + value_bytes()) + kNoteBytes;
  }
  static constexpr int kNoteBytes = 512;  // barriers
};

// Keys as many as registers and shared memory hold (FlashAttention-3, hopper/tile_size.h@0251105a, for causal heads):
// 64 scores and 64 sums a thread with heads of 128, 40 and 128 with 256.
inline constexpr std::array<PrefillTile, 4> kPrefillTiles = {
    {{64, 64, 128}, {128, 128, 128}, {192, 128, 128}, {256, 256, 80}}};

// Index of the tile for these heads; empty when there is none.
std::optional<std::size_t> prefill_tile(std::int64_t qk_dim, std::int64_t v_dim);

// Why this kernel cannot compute the problem; empty when it can.
std::optional<std::string> hopper_limit(const AttentionSizes& sizes);

struct PrefillPlace {
  int b = 0, head = 0, row_tile = 0;
  constexpr bool operator==(const PrefillPlace&) const = default;
};

// KV heads (of all sequences) are worked in groups whose keys and values stay in L2 together. Within a group the last
// queries, which see the most keys, come first, so that long tiles start early; heads that share keys are neighbours.
struct PrefillOrder {
  int row_tiles = 1, heads_kv = 1, heads_per_kv = 1, batch = 1;
  int group = 1;  // KV heads

  constexpr int count() const { return row_tiles * heads_kv * heads_per_kv * batch; }
  constexpr PrefillPlace place(int index) const {
    const int whole = row_tiles * heads_per_kv * group, first = index / whole * group;
    const int in_group = index % whole, left = batch * heads_kv - first;
    const int heads = (left < group ? left : group) * heads_per_kv;
    const int kv = first + in_group % heads / heads_per_kv;
    return {kv / heads_kv, kv % heads_kv * heads_per_kv + in_group % heads_per_kv,
            row_tiles - 1 - in_group / heads};
  }
};

struct PrefillMachine {
  int multiprocessors = 132;
};

struct PrefillPlan {
  std::size_t tile = 0;  // of kPrefillTiles
  PrefillOrder order;
  int grid = 0;

  constexpr const PrefillTile& shape() const { return kPrefillTiles[tile]; }
};

// `sizes` is within hopper_limit, and no decode.
PrefillPlan prefill_plan(const AttentionSizes& sizes, const PrefillMachine& machine);

// Queries of one sequence: how many keys each sees.
struct SeenKeys {
  int first = 0;  // by query 0
  int step = 0;   // more by each next one: 1 when causal
  constexpr int by(int query) const { return first + step * query; }
  // By queries [begin, end) together.
  constexpr std::int64_t pairs(int begin, int end) const {
    const std::int64_t count = end - begin;
    return count * first + step * (std::int64_t{begin} + end - 1) * count / 2;
  }
};

// Two blocks of keys at a time, one for each of two warpgroups; either has half of the columns of the output.
struct LatentTile {
  static constexpr int kQkDim = 576, kVDim = 512, kRows = 64, kKeys = 64, kThreads = 384;
  static constexpr int kChunkBytes = 64 * 128;  // 64 rows of 64 columns
  static constexpr int kChunks = kQkDim / 64;
  static constexpr int kBlockBytes = kChunks * kChunkBytes;
  static constexpr int kNoteBytes = 1024 + 512;  // two floats a row and warpgroup, barriers
  // Queries, two blocks of keys, the weights of one.
  static constexpr int kSharedBytes = 3 * kBlockBytes + kChunkBytes + kNoteBytes;
};

// Decode of heads with keys and values of their own: one warpgroup has the 64 rows, two warps load and pace. Tiles of keys
// and of values are in flight together.
struct DecodeTile {
  int dim = 0;        // columns of a query, a key and a value
  int stages = 0;     // tiles in flight
  int residents = 0;  // blocks on a multiprocessor: while one computes, the other's bytes arrive

  static constexpr int kRows = 64, kKeys = 64, kThreads = 192;
  static constexpr int kNoteBytes = 512;  // barriers, clocks, which rows
  static constexpr int kChunkBytes = kKeys * kTileRowBytes;  // 64 columns
  constexpr int query_bytes() const { return dim / 64 * kChunkBytes; }
  constexpr int stage_bytes() const { return 2 * dim / 64 * kChunkBytes; }
  constexpr int shared_bytes() const { return query_bytes() + stages * stage_bytes() + kNoteBytes; }
};
inline constexpr std::array<DecodeTile, 3> kDecodeTiles = {{{64, 6, 2}, {128, 3, 2}, {256, 3, 1}}};

// Tokens that one box of TMA takes: of one page, and a power of two, so that boxes fill a tile of keys.
constexpr int decode_box_rows(int page_size) {
  const int power = page_size & -page_size;
  return power < DecodeTile::kKeys ? power : DecodeTile::kKeys;
}

struct PagedPlan {
  std::size_t tile = 0;  // of kDecodeTiles; of no meaning in absorbed MLA
  int row_tiles = 1;     // of a KV head of a sequence
  int splits = 1;        // of its keys
  std::int64_t blocks = 1;
};

// Splits that fill the multiprocessors: none where tiles alone keep 80 % of them busy; else the fewest that come within
// 85 % of the best fill, each of at least two steps of 128 keys (FlashAttention-3's rule, hopper/heuristics.h@0251105a).
int latent_splits(std::int64_t tiles, std::int64_t keys, int multiprocessors);

// Splits of a kernel that memory limits: those that end first, by waves of blocks times tiles of keys, where a block's
// beginning and end and the merging of splits are worth two tiles each. The fewest of equals.
int decode_splits(std::int64_t blocks, std::int64_t key_tiles, std::int64_t slots);

// `sizes` is within hopper_limit, and decode.
PagedPlan paged_plan(const AttentionSizes& sizes, int multiprocessors);
// The same with as many splits as the caller wants, as far as each has a tile of keys.
PagedPlan paged_plan_with(int splits, const AttentionSizes& sizes);
// Splits worth a trial, the plan's own first.
std::vector<int> paged_split_choices(const AttentionSizes& sizes, int multiprocessors);

}  // namespace chokepoint::hopper
