// How do the keys and values of one tile get into the panels of kernels/common/gemm.hpp?
#pragma once

#include <cstdint>

#include "kernels/attention/attention.hpp"

namespace chokepoint {

// A run of keys of one KV head.
struct KeyRange {
  std::int64_t b = 0, head_kv = 0, first = 0, count = 0;
};

// Sizes in floats of the panels of a tile of up to `keys` keys.
std::int64_t key_panel_floats(const AttentionSizes& sizes, std::int64_t keys);
std::int64_t value_panel_floats(const AttentionSizes& sizes, std::int64_t keys);

// Room to collect the tokens of a tile from the pages of a cache, in storage dtype; empty where they are not
// paged.
Tensor gather_room(const AttentionProblem& problem, std::int64_t keys);

// Packs k^T as [qk_dim, keys] and v as [keys, v_dim], converted to f32.
void pack_tile(const AttentionProblem& problem, const KeyRange& range, Tensor& gathered, float* key_panels,
               float* value_panels);

}  // namespace chokepoint
