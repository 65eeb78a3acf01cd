// How does cpu_native cut attention into tiles? Pure arithmetic from sizes and machine, no clock, no thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/attention/attention.hpp"

namespace chokepoint {

struct NativeMachine {
  int workers = 1;
  std::int64_t rows_per_panel = 6, cols_per_panel = 16;  // of kernels/common/gemm.hpp
  std::int64_t l2_bytes = 512 * 1024;                    // per core
};

// Where the keys and values of a tile are read.
enum class KeyAccess {
  in_place,      // few rows: packing would cost more than the products
  own_panels,    // one block of rows per KV head packs each tile as it gets there
  shared_panels  // several blocks of rows read what was packed once
};

// An item of work is one block of rows of one KV head of one sequence, against one part of its keys.
struct NativePlan {
  KeyAccess access = KeyAccess::own_panels;
  std::int64_t row_block = 1, row_blocks = 1;  // rows of a KV head: query * heads_per_kv + head
  std::int64_t key_tile = 1;                   // keys per step of the online softmax
  std::int64_t parts = 1;                      // the context is cut into that many, merged at the end
  std::int64_t heads_at_once = 1;  // KV heads (of all sequences) whose panels exist at the same time

  std::int64_t key_tiles(std::int64_t keys) const { return (keys + key_tile - 1) / key_tile; }
};

// Instead of what the plan would choose.
struct NativeChoice {
  std::int64_t key_tile = 1, parts = 1;
  bool operator==(const NativeChoice&) const = default;
  std::string name() const;  // "keys=64,parts=4"
};

NativePlan plan_attention(const AttentionSizes& sizes, const NativeMachine& machine);
NativePlan plan_attention_with(const NativeChoice& choice, const AttentionSizes& sizes, const NativeMachine& machine);

// What can be chosen, the plan's own first.
std::vector<NativeChoice> native_choices(const AttentionSizes& sizes, const NativeMachine& machine);

}  // namespace chokepoint
