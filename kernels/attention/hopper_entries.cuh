// Which device code does `hopper` launch, and with which arguments? Each is compiled in a file of its own.
#pragma once

#include "kernels/attention/hopper_plan.hpp"
#include "kernels/attention/simple_block.cuh"
#include "kernels/common/cuda/hopper/tensor_map.hpp"

namespace chokepoint::hopper {

// Of one sequence. Matrices [queries or keys, heads * columns]; boxes of 64 columns, and 64 queries or a block of keys.
struct SequenceMaps {
  TensorMap q, k, v, output;
};

struct PrefillArgs {
  PrefillOrder order;
  const SequenceMaps* maps = nullptr;  // [batch]
  const int* lengths = nullptr;        // [batch], keys
  int seq_q = 0;
  bool causal = false;
  float factor = 0.0F;  // weights are 2^(factor * score): scale times log2(e)
  DevicePace pace = {};
};
using PrefillEntry = void (*)(PrefillArgs args);

using PagedArgs = SimpleArguments<std::uint16_t>;  // keys, and q of absorbed MLA, are read through tensor maps
// q: [batch seq_q heads, 576], keys: [pages page_size, 576]; boxes of 64 rows and 64 columns.
using LatentEntry = void (*)(TensorMap q, TensorMap keys, PagedArgs args);
// cache: [pages heads_kv page_size, 2 dim], a key and its value; boxes of decode_box_rows(page_size) rows and 64 columns.
using DecodeEntry = void (*)(TensorMap cache, PagedArgs args);

PrefillEntry prefill_64();  // by columns of a query
PrefillEntry prefill_128();
PrefillEntry prefill_192();
PrefillEntry prefill_256();
LatentEntry latent_entry();
DecodeEntry decode_entry(std::size_t tile);  // of kDecodeTiles

}  // namespace chokepoint::hopper
