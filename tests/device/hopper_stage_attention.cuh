// Do prefill and decode of absorbed MLA attend as they should? The last of the bring-up stages (hopper_stages.cuh):
// from one block of keys to several tiles of queries for a persistent block, and pages in any order.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/hopper_latent.cuh"
#include "kernels/attention/hopper_prefill.cuh"
#include "kernels/common/cuda/launch.cuh"
#include "tests/device/hopper_stage_values.hpp"

namespace chokepoint::hopper::stages {

// Weights and outputs are rounded to bf16; values reach from -4 to 4.
inline constexpr double kAttentionTolerance = 0.04;

// The mean of `value(key)` over keys, weighted by 2^(factor * score(key)).
template <class Score, class Value>
std::vector<double> attended(int keys, int columns, double factor, const Score& score, const Value& value) {
  std::vector<double> scores, mean(static_cast<std::size_t>(columns), 0.0);
  double most = -1e30, total = 0.0;
  for (int key = 0; key < keys; ++key) scores.push_back(factor * score(key));
  for (const double s : scores) most = std::max(most, s);
  for (int key = 0; key < keys; ++key) {
    const double weight = std::exp2(scores[static_cast<std::size_t>(key)] - most);
    total += weight;
    for (int c = 0; c < columns; ++c) mean[static_cast<std::size_t>(c)] += weight * value(key, c);
  }
  for (double& m : mean) m /= total;
  return mean;
}

inline TensorMap columns_of_64(const void* data, std::int64_t rows, std::int64_t columns, int box_rows) {
  return encode_tensor_map(matrix_boxes(data, TensorElement::bf16, {.rows = rows, .columns = columns},
                                        {.rows = box_rows, .columns = 64}));
}

inline std::string difference(const std::string& name, const std::uint16_t* got, const std::vector<double>& wanted) {
  for (std::size_t c = 0; c < wanted.size(); ++c)
    if (!(std::abs(of_bf16(got[c]) - wanted[c]) <= kAttentionTolerance))  // NaN too
      return fmt::format("{} column {} is {} instead of {}", name, c, of_bf16(got[c]), wanted[c]);
  return "";
}

struct PrefillCase {
  int queries, keys, heads;
  bool causal;
  int blocks;  // of the launch
};

inline std::string check_prefill(const PrefillCase& test) {
  constexpr std::size_t kTile = 1;
  constexpr int kDim = kPrefillTiles[kTile].qk_dim;
  constexpr float kFactor = 1.0F / 32.0F;
  const int row = test.heads * kDim;
  const std::uint16_t *q = bf16_matrix(test.queries, row, 1), *k = bf16_matrix(test.keys, row, 2),
                      *v = bf16_matrix(test.keys, row, 3);
  auto* out = common<std::uint16_t>(static_cast<std::size_t>(test.queries * row));
  auto* maps = common<SequenceMaps>(1);
  *maps = {.q = columns_of_64(q, test.queries, row, 64),
           .k = columns_of_64(k, test.keys, row, kPrefillTiles[kTile].keys),
           .v = columns_of_64(v, test.keys, row, kPrefillTiles[kTile].keys),
           .output = columns_of_64(out, test.queries, row, 64)};
  int* lengths = common<int>(1);
  *lengths = test.keys;
  const PrefillArgs args{.order = {.row_tiles = (test.queries + PrefillTile::kQueries - 1) / PrefillTile::kQueries,
                                   .heads_kv = test.heads},
                         .maps = maps, .lengths = lengths, .seq_q = test.queries, .causal = test.causal,
                         .factor = kFactor};
  bring_memory();
  launch(prefill_kernel<kTile>, dim3(static_cast<unsigned>(test.blocks)), dim3(PrefillTile::kThreads),
         static_cast<std::size_t>(kPrefillTiles[kTile].shared_bytes()), nullptr, args);
  const std::string name = fmt::format("{} queries, {} keys, causal={}", test.queries, test.keys, test.causal);
  if (const std::string trouble = finish(); !trouble.empty()) return name + ": " + trouble;
  for (int i = 0; i < test.queries; ++i)
    for (int head = 0; head < test.heads; ++head) {
      const std::int64_t at = std::int64_t{i} * row + head * kDim;
      const auto score = [&](int key) {
        double sum = 0.0;
        for (int d = 0; d < kDim; ++d) sum += number(at + d, 1) * number(std::int64_t{key} * row + head * kDim + d, 2);
        return sum;
      };
      const auto value = [&](int key, int c) { return number(std::int64_t{key} * row + head * kDim + c, 3); };
      const int seen = test.causal ? test.keys - test.queries + 1 + i : test.keys;
      if (std::string wrong = difference(fmt::format("{}: query {} head {}", name, i, head), out + at,
                                         attended(seen, kDim, kFactor, score, value));
          !wrong.empty())
        return wrong;
    }
  return "";
}

inline std::string prefill() {
  for (const PrefillCase& test : {PrefillCase{128, 128, 1, false, 1}, PrefillCase{128, 640, 1, false, 1},
                                  PrefillCase{200, 200, 2, true, 1}, PrefillCase{140, 330, 1, true, 2},
                                  PrefillCase{1, 1, 3, true, 2}})
    if (std::string wrong = check_prefill(test); !wrong.empty()) return wrong;
  return "";
}

inline std::string check_latent(int keys) {
  constexpr int kHeads = LatentTile::kRows, kDim = LatentTile::kQkDim, kPage = LatentTile::kKeys;
  constexpr float kFactor = 1.0F / 64.0F;
  const int pages = (keys + kPage - 1) / kPage;
  const std::uint16_t *q = bf16_matrix(kHeads, kDim, 1), *cache = bf16_matrix(std::int64_t{pages} * kPage, kDim, 2);
  int *lengths = common<int>(1), *table = common<int>(static_cast<std::size_t>(pages));
  *lengths = keys;
  for (int page = 0; page < pages; ++page) table[page] = pages - 1 - page;
  PagedArgs args{};
  args.context_lengths = lengths;
  args.block_table = table;
  args.output = common<std::uint16_t>(std::size_t{kHeads} * LatentTile::kVDim);
  args.batch = args.heads_kv = args.seq_q = args.row_tiles = args.splits = 1;
  args.heads_q = args.heads_per_kv = kHeads;
  args.context = keys;
  args.qk_dim = kDim;
  args.v_dim = LatentTile::kVDim;
  args.page_size = kPage;
  args.pages_per_sequence = pages;
  args.shared_value = true;
  args.factor = kFactor;
  bring_memory();
  launch(latent_kernel, dim3(1), dim3(LatentTile::kThreads), std::size_t{LatentTile::kSharedBytes}, nullptr,
         columns_of_64(q, kHeads, kDim, 64), columns_of_64(cache, std::int64_t{pages} * kPage, kDim, kPage), args);
  if (const std::string trouble = finish(); !trouble.empty()) return fmt::format("{} keys: {}", keys, trouble);
  const auto at = [&](int key, int column) {
    return number(std::int64_t{table[key / kPage] * kPage + key % kPage} * kDim + column, 2);
  };
  for (int head = 0; head < kHeads; ++head) {
    const auto score = [&](int key) {
      double sum = 0.0;
      for (int d = 0; d < kDim; ++d) sum += number(std::int64_t{head} * kDim + d, 1) * at(key, d);
      return sum;
    };
    if (std::string wrong = difference(fmt::format("{} keys: head {}", keys, head), args.output + head * args.v_dim,
                                       attended(keys, args.v_dim, kFactor, score, at));
        !wrong.empty())
      return wrong;
  }
  return "";
}

// One block of keys, two, an odd number with an end within, and many.
inline std::string latent() {
  for (const int keys : {64, 128, 150, 700})
    if (std::string wrong = check_latent(keys); !wrong.empty()) return wrong;
  return "";
}

}  // namespace chokepoint::hopper::stages
