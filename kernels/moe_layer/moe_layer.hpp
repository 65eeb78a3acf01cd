// What is a mixture-of-experts layer, as one rank of an expert-parallel group sees it?
//
// Token t chooses experts e_1 .. e_K with weights w_1 .. w_K (routing.hpp) from the logits gate_weight @
// x[t]. With L = experts / ep experts per rank, l_k = e_k mod L:
//   output[t] = sum_k w_k * mlp(x[t]; w_gate_up[l_k], w_down[l_k]) + mlp(x[t]; shared_gate_up, shared_down)
//   mlp(x; U, D) = D @ (silu(g) * u)
//   [g, u] = U @ x, the first half of the rows of U makes g
//   silu(g) = g / (1 + exp(-g))
//
// Ego-centric: rank 0 is played, and every rank does the same. The row a token sends to expert e of another
// rank stands for the row that comes back for this rank's expert e mod L, so all that is sent is computed
// here and checked. Shared experts are one mlp of width shared_experts * intermediate.
//
// fp8_e4m3: weights are codes times a scale per 128 x 128 block. Activations are bf16, and are quantised
// before each product with fp8 weights (q of quantise.hpp): mlp(x) = D @ q(silu(g) * u), [g, u] = U @ q(x).
// The gate sees x as it is. Rows are dispatched as q(x), codes and scales; sums come back in bf16.
//
// Routing: `random` is the gate's own choice. `balanced`, `zipf` and `trace` impose the ids; the gate is
// still computed and gives the imposed ids their weights. For `random`, rows of x whose choice would be close
// (choice_margin below kClearMargin) are drawn again, so that f32 and double agree on the ids: that two
// kernels part at a near tie would be no error of either. It touches about 2 % of the tokens at 256 experts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernels/common/gemm_quantise.hpp"
#include "kernels/kernel.hpp"
#include "kernels/moe_layer/routing.hpp"

namespace chokepoint::moe {

// Largest relative error of a score in f32 stays 10 times below this for hidden sizes up to 16384.
inline constexpr double kClearMargin = 1e-4;

using gemm::kScaleBlock;
constexpr std::int64_t scale_blocks(std::int64_t length) { return (length + kScaleBlock - 1) / kScaleBlock; }

// Grain of a parallel loop whose items take this many operations: less is not worth waking a worker.
constexpr std::int64_t grain_of(std::int64_t operations_per_item) {
  return operations_per_item >= 65536 ? 1 : 65536 / std::max<std::int64_t>(1, operations_per_item);
}

enum class Routing { balanced, random, zipf, trace };

struct TokenRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t count() const { return end - begin; }
};

// The shape, decoded.
struct MoeSpec {
  std::int64_t tokens = 0, hidden = 0, intermediate = 0, shared_experts = 0;
  GateRule gate;
  Placement placement;
  Routing routing = Routing::balanced;
  bool overlap = false;
  Dtype dtype = Dtype::f32;  // of the weights

  bool quantised() const { return dtype == Dtype::fp8_e4m3; }
  // Of x, output, combined rows and the gate.
  Dtype activation() const { return dtype == Dtype::f32 ? Dtype::f32 : Dtype::bf16; }
  std::int64_t local_experts() const { return placement.experts_per_rank(); }
  std::int64_t shared_intermediate() const { return shared_experts * intermediate; }
  std::int64_t dispatch_row_bytes() const;
  std::int64_t combine_row_bytes() const { return hidden * bytes_of(activation()); }
  std::int64_t gate_bytes() const;                                        // gate_weight and gate_bias
  std::int64_t weight_bytes(std::int64_t rows, std::int64_t cols) const;  // one matrix with its scales
  std::int64_t up_bytes(std::int64_t width) const { return weight_bytes(2 * width, hidden); }
  std::int64_t down_bytes(std::int64_t width) const { return weight_bytes(hidden, width); }
  double mlp_flop(std::int64_t rows, std::int64_t width) const;  // both products
  std::vector<TokenRange> micro_batches() const;  // one, or two halves with overlap; none is empty
};

MoeSpec spec_of(const Shape& shape, Dtype dtype);

// Each micro-batch is a smaller layer: it reads the gate, the local experts that its rows hit and the shared
// experts once, reads x and writes the output once, and reads and writes once every row that a wire carries.
Work work_of(const MoeSpec& spec, std::span<const std::int32_t> ids);

// What the gate needs; gate_bias is empty without sigmoid scoring.
struct GateInputs {
  Tensor x, gate_weight, gate_bias;
};

// The chosen ids [tokens, top_k]; inputs are built for `random` only, and expert weights never.
std::vector<std::int32_t> chosen_ids(const MoeSpec& spec, const InputSpec& input);

// Two matrices of an mlp, or of one per local expert; scales are empty unless fp8.
struct MlpWeights {
  Tensor up, up_scale, down, down_scale;
};

class MoeProblem final : public Problem {
 public:
  MoeProblem(const MoeSpec& spec, const InputSpec& input);

  std::unique_ptr<Problem> clone() const override { return std::make_unique<MoeProblem>(*this); }
  Work work() const override { return work_of(spec_, ids_); }
  std::vector<const Tensor*> inputs() const override;
  std::vector<std::int64_t> output_dims() const override { return {spec_.tokens, spec_.hidden}; }
  Dtype output_dtype() const override { return spec_.activation(); }
  std::vector<double> reference(std::span<const std::int64_t> rows) const override;
  double tolerance() const override;
  std::vector<Tensor> extras() const override;  // topk_ids, topk_weights

  const MoeSpec& spec() const { return spec_; }
  const Tensor& x() const { return gate_.x; }
  const Tensor& gate_weight() const { return gate_.gate_weight; }
  const Tensor& gate_bias() const { return gate_.gate_bias; }
  const MlpWeights& routed() const { return routed_; }  // [local experts, ...]
  const MlpWeights& shared() const { return shared_; }  // empty without shared experts

  // What the tokens choose, imposed or by the gate, for kernels that lay out their exchange before they run.
  std::span<const std::int32_t> ids() const { return ids_; }

  // The ids a kernel has to use; empty when the gate decides.
  std::span<const std::int32_t> imposed_ids() const;

 private:
  // Weights of the chosen experts of these tokens, [tokens.size(), top_k].
  std::vector<double> weights(std::span<const std::int64_t> tokens) const;

  MoeSpec spec_;
  GateInputs gate_;
  std::vector<std::int32_t> ids_;
  MlpWeights routed_, shared_;
};

}  // namespace chokepoint::moe
