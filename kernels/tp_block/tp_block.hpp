// What is one tp_block problem? The MLP of a dense transformer layer, cut over `tp` ranks, as rank 0 of the
// ring sees it.
//
// Tensor parallelism with sequence parallelism (Korthikanti et al. 2022): between the blocks every rank holds
// the activations of tokens / tp tokens (its shard); inside, it holds intermediate / tp columns of the
// weights.
//   1. all-gather: in ring step s = 1 .. tp-1 rank 0 receives shard tp-s of x from rank tp-1 and passes one
//   on to rank 1
//   2. h = silu(x w_gate^T) * (x w_up^T), or silu(x w_up^T) when not gated: this rank's columns only
//   3. partial = h w_down^T: [tokens, hidden], a summand of the layer's output
//   4. reduce-scatter: tokens form tp chunks of one shard each, chunk c ends at rank c. In ring step s rank 0
//   sends its
//      sum of chunk tp-s and receives chunk tp-1-s from rank tp-1: the sum of the ranks before it
// Peers are memory: x holds the shards of all ranks, ring_in[s-1] is what arrives in step s. The output is
// everything rank 0 passes on, and at last its own chunk:
//   output[chunk c] = partial[chunk c] + ring_in[tp-2-c]   for c < tp-1
//   output[chunk tp-1] = partial[chunk tp-1]               its journey begins here; all there is for tp = 1
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kernels/common/loopback.hpp"
#include "kernels/kernel.hpp"

namespace chokepoint {

struct TpBlockSizes {
  std::int64_t tokens = 0, hidden = 0, intermediate = 0, tp = 1, node_size = 8;
  bool gated = true;
  Dtype dtype = Dtype::f32;

  std::int64_t shard_tokens() const { return tokens / tp; }
  std::int64_t columns() const { return intermediate / tp; }  // of h, on this rank
  std::int64_t up_rows() const { return gated ? 2 * columns() : columns(); }
  std::int64_t shard_bytes() const { return shard_tokens() * hidden * bytes_of(dtype); }

  // The ring advances at the pace of its slowest hop. Beyond one node, and also from rank tp-1 to rank 0,
  // that is the network: then both directions of every step are charged to the network, and none to the link.
  Wire wire() const { return tp > node_size ? Wire::network : Wire::link; }

  // The index in ring_in of what arrives for a chunk; absent for the chunk whose journey begins at rank 0.
  std::optional<std::int64_t> arrival_of_chunk(std::int64_t chunk) const {
    if (chunk == tp - 1) return std::nullopt;
    return tp - 2 - chunk;
  }
};

class TpBlockProblem final : public Problem {
 public:
  TpBlockProblem(const TpBlockSizes& sizes, const InputSpec& inputs);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<TpBlockProblem>(*this); }
  Work work() const override;
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override { return {sizes_.tokens, sizes_.hidden}; }
  Dtype output_dtype() const override { return sizes_.dtype; }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;

  const TpBlockSizes& sizes() const { return sizes_; }
  const Tensor& x() const { return x_; }              // [tokens, hidden]: shard r is rows r * shard_tokens ..
  const Tensor& w_up() const { return w_up_; }        // [up_rows, hidden]: gate rows first, then up rows
  const Tensor& w_down() const { return w_down_; }    // [hidden, columns]
  const Tensor& ring_in() const { return ring_in_; }  // [tp-1, shard_tokens, hidden]; empty for tp = 1

 private:
  TpBlockSizes sizes_;
  Tensor x_, w_up_, w_down_, ring_in_;
};

}  // namespace chokepoint
