// How does `hopper` cut attention into tiles, and in which order? Pure arithmetic, for host and device.
//
// Prefill: a block takes one tile of queries of one head of one sequence after the other, each against all keys that they see, a
// block of keys at a time, the last keys first. Sequences have tensor maps of their own, so that TMA ends where they do.
// Decode of absorbed MLA: a block takes 64 rows (all heads of a query, or a part) against all keys of a sequence or, where
// that leaves multiprocessors idle, against a split of them; splits are merged by a second kernel.
#pragma once

#include <array>
#include <climits>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/attention/attention.hpp"

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

struct LatentPlan {
  int row_tiles = 1;  // of a sequence
  int splits = 1;     // of its keys
  std::int64_t blocks = 1;
};

// Splits that fill the multiprocessors: none where tiles alone keep 80 % of them busy; else the fewest that come within
// 85 % of the best fill, each of at least two steps of 128 keys (FlashAttention-3's rule, hopper/heuristics.h@0251105a).
int latent_splits(std::int64_t tiles, std::int64_t keys, int multiprocessors);

// `sizes` is within hopper_limit, and decode.
LatentPlan latent_plan(const AttentionSizes& sizes, int multiprocessors);

}  // namespace chokepoint::hopper
