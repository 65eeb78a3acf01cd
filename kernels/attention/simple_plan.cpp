#include "kernels/attention/simple_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.hpp"

namespace chokepoint {
namespace {

constexpr std::int64_t kFewRows = 32;             // a KV head with more takes tiles of many rows
constexpr std::int64_t kMostSplits = 64;          // what the merging kernel reads per row
constexpr std::int64_t kReservedBytes = 1024;     // of shared memory, per block, by the driver
constexpr std::int64_t kLatentFewRows = 32;       // as many as the smaller tile has
constexpr std::int64_t kMostBlocks = 2147483647;  // of a grid
// What a block does besides its tiles (queries, start of the pipeline, output), in tiles; with splits the
// merge comes on top.
constexpr std::int64_t kStartTiles = 2, kMergeTiles = 2;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

template <class Tile>
bool holds(const Tile& tile, const AttentionSizes& sizes, const SimpleMachine& machine) {
  return sizes.qk_dim <= tile.qk_dim && sizes.v_dim <= tile.v_dim &&
         tile.shared_bytes() <= machine.shared_bytes_per_block;
}

template <class Tile>
SimplePlan plan_of(SimpleMethod method, std::size_t index, const Tile& tile) {
  return {.method = method,
          .tile = index,
          .rows = tile.rows(),
          .keys = tile.keys,
          .threads = tile.threads(),
          .shared_bytes = tile.shared_bytes()};
}

// The number of splits that ends first: waves of blocks times tiles per block. The fewest of equals.
int best_splits(std::int64_t blocks, std::int64_t key_tiles, std::int64_t slots) {
  std::int64_t best = 1, least = 0;
  for (std::int64_t splits = 1; splits <= std::min(kMostSplits, key_tiles); ++splits) {
    const std::int64_t extra = kStartTiles + (splits > 1 ? kMergeTiles : 0);
    const std::int64_t time = ceil_div(blocks * splits, slots) * (ceil_div(key_tiles, splits) + extra);
    if (splits > 1 && time >= least) continue;
    best = splits;
    least = time;
  }
  return static_cast<int>(best);
}

SimplePlan spread(SimplePlan plan, const AttentionSizes& sizes, std::int64_t residents,
                  const SimpleMachine& machine) {
  const std::int64_t fit =
      plan.shared_bytes == 0 ? residents
                             : machine.shared_bytes_per_multiprocessor / (plan.shared_bytes + kReservedBytes);
  plan.row_tiles = ceil_div(sizes.rows_per_kv(), plan.rows);
  const std::int64_t blocks = sizes.batch * sizes.heads_kv * plan.row_tiles;
  const std::int64_t slots = machine.multiprocessors * std::clamp(fit, std::int64_t{1}, residents);
  plan.splits = best_splits(blocks, ceil_div(sizes.context, plan.keys), slots);
  plan.blocks = blocks * plan.splits;
  return plan;
}

}  // namespace

std::int64_t SimplePlan::partial_floats(const AttentionSizes& sizes) const {
  return splits == 1 ? 0 : sizes.batch * sizes.seq_q * sizes.heads_q * splits * (sizes.v_dim + 1);
}

std::optional<std::string> simple_limit(const AttentionSizes& sizes, Dtype dtype) {
  const auto within = [&](std::int64_t qk_dim, std::int64_t v_dim) -> std::optional<std::string> {
    if (sizes.qk_dim <= qk_dim && sizes.v_dim <= v_dim) return std::nullopt;
    return fmt::format("qk_dim={}, v_dim={} is beyond {} and {}, the columns that registers hold",
                       sizes.qk_dim, sizes.v_dim, qk_dim, v_dim);
  };
  // Rows of the tile of fewest rows, unsplit: no plan has fewer blocks in a row of blocks than this allows.
  const std::int64_t least_rows = dtype == Dtype::f32 ? PlainTile::kRows : kRowsTiles[4].rows();
  if (sizes.batch * sizes.heads_kv * ceil_div(sizes.rows_per_kv(), least_rows) > kMostBlocks)
    return fmt::format("{} rows of queries need more blocks than a grid has",
                       sizes.batch * sizes.seq_q * sizes.heads_q);
  if (dtype == Dtype::f32) return within(PlainTile::kMostColumns, PlainTile::kMostColumns);
  if (sizes.qk_dim % 8 != 0 || sizes.v_dim % 8 != 0)
    return fmt::format(
        "qk_dim={}, v_dim={}: bf16 rows are copied 16 bytes at a time, so both have to be "
        "multiples of 8",
        sizes.qk_dim, sizes.v_dim);
  return sizes.shared_value ? within(kLatentTiles[0].qk_dim, kLatentTiles[0].v_dim)
                            : within(kRowsTiles.back().qk_dim, kRowsTiles.back().v_dim);
}

SimplePlan plan_simple(const AttentionSizes& sizes, Dtype dtype, const SimpleMachine& machine) {
  if (dtype == Dtype::f32)
    return spread({.method = SimpleMethod::plain,
                   .rows = PlainTile::kRows,
                   .keys = PlainTile::kKeys,
                   .threads = PlainTile::kThreads},
                  sizes, PlainTile::kResidents, machine);
  if (sizes.shared_value) {
    for (std::size_t i = sizes.rows_per_kv() <= kLatentFewRows ? 1 : 0; i < kLatentTiles.size(); ++i)
      if (holds(kLatentTiles[i], sizes, machine))
        return spread(plan_of(SimpleMethod::latent, i, kLatentTiles[i]), sizes, kLatentTiles[i].residents,
                      machine);
  } else {
    // Tiles of many rows come first, by columns; where one does not fit, its counterpart of few rows may.
    for (std::size_t i = sizes.rows_per_kv() <= kFewRows ? kRowsTiles.size() / 2 : 0; i < kRowsTiles.size();
         ++i)
      if (holds(kRowsTiles[i], sizes, machine))
        return spread(plan_of(SimpleMethod::rows, i, kRowsTiles[i]), sizes, kRowsTiles[i].residents, machine);
  }
  throw Error(
      Fault::unsupported,
      fmt::format("attention with qk_dim={}, v_dim={} needs more shared memory than the {} bytes that a "
                  "block of this GPU may have",
                  sizes.qk_dim, sizes.v_dim, machine.shared_bytes_per_block),
      "take another kernel (`chokepoint list kernels`) or a GPU with more");
}

}  // namespace chokepoint
