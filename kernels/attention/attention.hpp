// What is an attention problem, to its kernels? Sizes, who attends to what, arrays, and where a key lies in
// them.
//
// One form covers all: rows of queries against the keys and values of one sequence, output = softmax(scale q
// k^T) v. Multi-head, grouped-query and multi-query differ in heads_q / heads_kv only. Absorbed MLA is
// multi-query with one cached row per token that is the key, and whose first v_dim columns are the value
// (DeepSeek-V2, 2024, section 2.1).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel.hpp"

namespace chokepoint {

struct AttentionSizes {
  bool decode = false;        // keys and values lie in a paged cache
  bool shared_value = false;  // the value is a prefix of the key (absorbed MLA)
  bool causal = true;
  std::int64_t batch = 1, heads_q = 1, heads_kv = 1, qk_dim = 1, v_dim = 1;
  std::int64_t seq_q = 1;                    // queries per sequence: its last tokens
  std::int64_t context = 1;                  // keys of the longest sequence
  std::int64_t page_size = 1;                // tokens per page of the cache (decode)
  double scale = 1.0;                        // of the scores, before the softmax
  std::vector<std::int64_t> context_length;  // keys of each sequence

  std::int64_t heads_per_kv() const { return heads_q / heads_kv; }
  std::int64_t rows_per_kv() const { return seq_q * heads_per_kv(); }
  std::int64_t pages_per_sequence() const { return (context + page_size - 1) / page_size; }

  // Keys that query `i` of sequence `b` attends to, from the first on: itself included, none that come later.
  std::int64_t visible(std::int64_t b, std::int64_t i) const {
    const std::int64_t length = context_length[static_cast<std::size_t>(b)];
    return causal ? length - seq_q + i + 1 : length;
  }
};

// `shape` is complete. Lengths of a ragged batch follow from the shape alone: work does not depend on the
// seed.
AttentionSizes attention_sizes(const Shape& shape);

class AttentionProblem final : public Problem {
 public:
  AttentionProblem(const Shape& shape, Dtype dtype, const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<AttentionProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override {
    return {sizes.batch, sizes.seq_q, sizes.heads_q, sizes.v_dim};
  }
  Dtype output_dtype() const override { return dtype; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;

  // The arrays that hold keys and values; in decode both are kv_cache.
  const Tensor& keys() const { return sizes.decode ? kv_cache : k; }
  const Tensor& values() const { return sizes.decode ? kv_cache : v; }

  // Index of the first element of a token's key or value within keys() or values().
  std::int64_t key_at(std::int64_t b, std::int64_t head_kv, std::int64_t token) const;
  std::int64_t value_at(std::int64_t b, std::int64_t head_kv, std::int64_t token) const;

  AttentionSizes sizes;
  Dtype dtype;
  Tensor q;            // [batch, seq_q, heads_q, qk_dim]
  Tensor k, v;         // prefill: [batch, context, heads_kv, qk_dim or v_dim]
  Tensor kv_cache;     // decode: [pages, heads_kv, page_size, qk_dim + v_dim]; MLA [pages, page_size, qk_dim]
  Tensor block_table;  // decode: [batch, pages_per_sequence] i32, page of each run of page_size tokens
  Tensor context_lengths;  // decode or ragged: [batch] i32
};

// The typed problem behind the contract; throws Error{config} for another operation's.
const AttentionProblem& attention_problem(const Problem& problem);

// What the rows of one KV head cost, and how that spreads over tiles. Rows of a KV head count
// query * heads_per_kv + head, so that the heads that share keys are neighbours.
class AttentionCost {
 public:
  AttentionCost(const AttentionSizes& sizes, Dtype dtype) : sizes_(sizes), element_bytes_(bytes_of(dtype)) {}

  Work work() const;

  // Rows [row_begin, row_end) of a KV head of sequence `b` against keys [key_begin, key_end): FLOP of the
  // attended pairs; the rows of q and output with the first key; and of the keys and values, which are
  // charged once for all rows together, whole bytes in proportion to the pairs. Charges that cover all rows
  // and keys add up to `work` exactly.
  Charge charge(std::int64_t b, std::int64_t row_begin, std::int64_t row_end, std::int64_t key_begin,
                std::int64_t key_end) const;

 private:
  double pairs_before_row(std::int64_t b, std::int64_t row) const;
  double kv_bytes(std::int64_t b) const;
  double row_bytes() const;

  const AttentionSizes& sizes_;
  std::int64_t element_bytes_;
};

}  // namespace chokepoint
