// What does attention cost, in all and per tile? Exact counts of pairs; every byte charged once.
#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.hpp"

namespace chokepoint {

// Pairs of a query row of one KV head and a key it attends to, over all rows below `row`. Sums of an
// arithmetic series: the query i of a causal sequence sees (length - seq_q + 1) + i keys.
double AttentionCost::pairs_before_row(std::int64_t b, std::int64_t row) const {
  const std::int64_t heads = sizes_.heads_per_kv(), i = row / heads, head = row % heads;
  const auto count = [](std::int64_t value) { return static_cast<double>(value); };
  const double first = count(sizes_.visible(b, 0)), step = sizes_.causal ? 1.0 : 0.0;
  const double whole_queries = count(heads) * (count(i) * first + step * 0.5 * count(i) * (count(i) - 1.0));
  return whole_queries + count(head) * (first + step * count(i));
}

// Keys and values of one KV head of one sequence, as far as the sequence goes.
double AttentionCost::kv_bytes(std::int64_t b) const {
  const std::int64_t columns = sizes_.qk_dim + (sizes_.shared_value ? 0 : sizes_.v_dim);
  const std::int64_t length = sizes_.context_length[static_cast<std::size_t>(b)];
  return static_cast<double>(length) * static_cast<double>(columns * element_bytes_);
}

// One row of q read, one row of the output written.
double AttentionCost::row_bytes() const {
  return static_cast<double>((sizes_.qk_dim + sizes_.v_dim) * element_bytes_);
}

// 2 (qk_dim + v_dim) FLOP per pair: the score and its part of the weighted mean. Non-absorbed MLA in prefill
// and absorbed MLA in decode: DeepSeek-V3 (2024), section 2.1; a causal prefill counts only what is attended.
Work AttentionCost::work() const {
  const auto heads_kv = static_cast<double>(sizes_.heads_kv),
             rows = static_cast<double>(sizes_.rows_per_kv());
  Work work;
  for (std::int64_t b = 0; b < sizes_.batch; ++b) {
    work.flop += heads_kv * 2.0 * static_cast<double>(sizes_.qk_dim + sizes_.v_dim) *
                 pairs_before_row(b, sizes_.rows_per_kv());
    work.memory_bytes += heads_kv * (kv_bytes(b) + rows * row_bytes());
  }
  work.tokens = static_cast<double>(sizes_.batch) * static_cast<double>(sizes_.seq_q);
  return work;
}

Charge AttentionCost::charge(std::int64_t b, std::int64_t row_begin, std::int64_t row_end,
                             std::int64_t key_begin, std::int64_t key_end) const {
  const std::int64_t heads = sizes_.heads_per_kv();
  double before = pairs_before_row(b, row_begin), pairs = 0.0;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    const std::int64_t visible = sizes_.visible(b, row / heads);
    before += static_cast<double>(std::min(visible, key_begin));
    pairs += static_cast<double>(std::max<std::int64_t>(0, std::min(visible, key_end) - key_begin));
  }
  // Bytes of the keys and values are handed out in the order rows, then keys: what falls to the first `done`
  // pairs.
  const double all_pairs = pairs_before_row(b, sizes_.rows_per_kv()), all_bytes = kv_bytes(b);
  const auto bytes_until = [&](double done) {
    return done >= all_pairs ? all_bytes : std::floor(all_bytes * done / all_pairs);
  };
  Charge charge;
  charge.flop = 2.0 * static_cast<double>(sizes_.qk_dim + sizes_.v_dim) * pairs;
  charge.memory_bytes = bytes_until(before + pairs) - bytes_until(before);
  if (key_begin == 0) charge.memory_bytes += static_cast<double>(row_end - row_begin) * row_bytes();
  return charge;
}

}  // namespace chokepoint
