#include "kernels/attention/hopper_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace chokepoint::hopper {
namespace {

// Of L2's 50 MB, what keys and values of the heads at work may take (FlashAttention-3, hopper/tile_scheduler.hpp@0251105a).
constexpr double kResidentBytes = 32e6;

std::optional<std::string> prefill_limit(const AttentionSizes& sizes) {
  if (prefill_tile(sizes.qk_dim, sizes.v_dim)) return std::nullopt;
  return fmt::format("heads of {} and {} columns have no tile; there are tiles for 64/64, 128/128, 192/128 and 256/256",
                     sizes.qk_dim, sizes.v_dim);
}

std::optional<std::size_t> decode_tile(const AttentionSizes& sizes) {
  for (std::size_t i = 0; i < kDecodeTiles.size(); ++i)
    if (kDecodeTiles[i].dim == sizes.qk_dim && kDecodeTiles[i].dim == sizes.v_dim) return i;
  return std::nullopt;
}

std::optional<std::string> latent_limit(const AttentionSizes& sizes) {
  if (sizes.qk_dim != LatentTile::kQkDim || sizes.v_dim != LatentTile::kVDim)
    return fmt::format("absorbed MLA with {} and {} columns, but it does 576 and 512 only", sizes.qk_dim, sizes.v_dim);
  if (sizes.page_size % LatentTile::kKeys != 0)
    return fmt::format("pages of {} tokens, but it reads {} from one page at a time", sizes.page_size, LatentTile::kKeys);
  return std::nullopt;
}

std::optional<std::string> decode_limit(const AttentionSizes& sizes) {
  const std::int64_t most = INT_MAX / 2;
  if (sizes.batch * sizes.pages_per_sequence() * sizes.page_size > most / sizes.heads_kv)
    return fmt::format("a cache of more than {} rows of tokens and KV heads is out of reach", most);
  if (sizes.shared_value) return latent_limit(sizes);
  if (decode_tile(sizes)) return std::nullopt;
  return fmt::format("heads of {} and {} columns have no tile for decode; there are tiles for 64, 128 and 256 of both",
                     sizes.qk_dim, sizes.v_dim);
}

constexpr std::int64_t kMostSplits = 128;  // what the merging kernel reads per row
constexpr std::int64_t kStartTiles = 2, kMergeTiles = 2;

std::int64_t tiles_of(std::int64_t length, std::int64_t tile) { return (length + tile - 1) / tile; }

std::int64_t most_paged_splits(const AttentionSizes& sizes) {
  return std::min(kMostSplits, tiles_of(sizes.context, DecodeTile::kKeys));
}

}  // namespace

std::optional<std::size_t> prefill_tile(std::int64_t qk_dim, std::int64_t v_dim) {
  for (std::size_t i = 0; i < kPrefillTiles.size(); ++i)
    if (kPrefillTiles[i].qk_dim == qk_dim && kPrefillTiles[i].v_dim == v_dim) return i;
  return std::nullopt;
}

std::optional<std::string> hopper_limit(const AttentionSizes& sizes) {
  const std::int64_t most = INT_MAX / 2;
  if (sizes.seq_q > most || sizes.context > most || sizes.heads_q * sizes.qk_dim > most ||
      sizes.batch * sizes.heads_q * sizes.seq_q > most)
    return fmt::format("sizes beyond {} are out of reach", most);
  return sizes.decode ? decode_limit(sizes) : prefill_limit(sizes);
}

PrefillPlan prefill_plan(const AttentionSizes& sizes, const PrefillMachine& machine) {
  PrefillPlan plan{.tile = *prefill_tile(sizes.qk_dim, sizes.v_dim)};
  const auto narrow = [](std::int64_t value) { return static_cast<int>(value); };
  PrefillOrder& order = plan.order;
  order = {.row_tiles = narrow((sizes.seq_q + PrefillTile::kQueries - 1) / PrefillTile::kQueries),
           .heads_kv = narrow(sizes.heads_kv),
           .heads_per_kv = narrow(sizes.heads_per_kv()),
           .batch = narrow(sizes.batch)};
  const double head_bytes = 2.0 * static_cast<double>(sizes.context * (sizes.qk_dim + sizes.v_dim));
  const int resident = narrow(static_cast<std::int64_t>(std::clamp(kResidentBytes / head_bytes, 1.0, 1e6)));
  // A group has work for every multiprocessor, or some would idle at its end.
  const int busy = (machine.multiprocessors + order.row_tiles * order.heads_per_kv - 1) / (order.row_tiles * order.heads_per_kv);
  order.group = std::min(std::max(resident, busy), order.batch * order.heads_kv);
  plan.grid = std::min(order.count(), machine.multiprocessors);
  return plan;
}

int latent_splits(std::int64_t tiles, std::int64_t keys, int multiprocessors) {
  if (static_cast<double>(tiles) >= 0.8 * multiprocessors) return 1;
  const std::int64_t most = std::clamp<std::int64_t>(keys / (4 * LatentTile::kKeys), 1, 128);
  const auto fill = [&](std::int64_t splits) {
    const double waves = static_cast<double>(tiles * splits) / multiprocessors;
    return waves / std::ceil(waves);
  };
  double best = 0.0;
  for (std::int64_t splits = 1; splits <= most; ++splits) best = std::max(best, fill(splits));
  for (std::int64_t splits = 1; splits <= most; ++splits)
    if (fill(splits) >= 0.85 * best) return static_cast<int>(splits);
  return 1;
}

int decode_splits(std::int64_t blocks, std::int64_t key_tiles, std::int64_t slots) {
  std::int64_t best = 1, least = 0;
  for (std::int64_t splits = 1; splits <= std::min(kMostSplits, key_tiles); ++splits) {
    const std::int64_t extra = kStartTiles + (splits > 1 ? kMergeTiles : 0);
    const std::int64_t time = tiles_of(blocks * splits, slots) * (tiles_of(key_tiles, splits) + extra);
    if (splits > 1 && time >= least) continue;
    best = splits;
    least = time;
  }
  return static_cast<int>(best);
}

PagedPlan paged_plan_with(int splits, const AttentionSizes& sizes) {
  PagedPlan plan;
  if (!sizes.shared_value) plan.tile = *decode_tile(sizes);
  plan.row_tiles = static_cast<int>(tiles_of(sizes.rows_per_kv(), DecodeTile::kRows));
  plan.splits = static_cast<int>(std::clamp<std::int64_t>(splits, 1, most_paged_splits(sizes)));
  plan.blocks = plan.row_tiles * sizes.heads_kv * sizes.batch * plan.splits;
  return plan;
}

PagedPlan paged_plan(const AttentionSizes& sizes, int multiprocessors) {
  const PagedPlan whole = paged_plan_with(1, sizes);
  if (sizes.shared_value) return paged_plan_with(latent_splits(whole.blocks, sizes.context, multiprocessors), sizes);
  const std::int64_t slots = std::int64_t{multiprocessors} * kDecodeTiles[whole.tile].residents;
  return paged_plan_with(decode_splits(whole.blocks, tiles_of(sizes.context, DecodeTile::kKeys), slots), sizes);
}

// By steps of a third to a half.
std::vector<int> paged_split_choices(const AttentionSizes& sizes, int multiprocessors) {
  std::vector<int> choices = {paged_plan(sizes, multiprocessors).splits};
  for (const int splits : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128})
    if (splits != choices.front() && splits <= most_paged_splits(sizes)) choices.push_back(splits);
  return choices;
}

}  // namespace chokepoint::hopper
