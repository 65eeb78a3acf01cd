// How does a micro-batch get the weights of its experts? The gate, and in fp8 its rows as codes.
//
// The gate is computed in every run; where it decides and some token chooses otherwise than laid out, tokens are counted
// as mismatches, and the whole output becomes NaN.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/common/cuda/launch.cuh"
#include "kernels/moe_layer/cuda_batch.cuh"
#include "kernels/moe_layer/cuda_gate.cuh"
#include "kernels/moe_layer/cuda_rows.cuh"

namespace chokepoint::moe {

inline constexpr std::int64_t kGateBlocks = 264;  // two per SM of an H100

inline void launch_quantise(void (*kernel)(Quantise), const Quantise& task, void* on) {
  if (task.rows == 0 || task.length == 0) return;
  launch(kernel, dim3(blocks_for(task.threads(), kQuantiseThreads)), dim3(kQuantiseThreads), 0, on, task);
}

class Router {
 public:
  // `layer` outlives it.
  Router(const DeviceLayer& layer, const MoeProblem& problem)
      : layer_(layer),
        gate_decides_(problem.imposed_ids().empty()),
        gate_weight_(layer.device, problem.gate_weight()),
        gate_bias_(layer.device, problem.gate_bias()) {}

  // Micro-batches use it one after the other.
  void allocate_scratch(const std::vector<std::unique_ptr<DeviceBatch>>& batches) {
    std::int64_t bytes = 0;
    for (const auto& batch : batches) {
      const GateLogits task = logits_of(*batch);
      bytes = std::max(bytes, 4 * task.splits * task.tokens * task.experts);
    }
    partial_logits_ = {layer_.device, bytes};
  }

  // Weights of the ids; fp8: the own rows of the inbox.
  void route(const DeviceBatch& batch, void* on) const {
    const GateLogits logits = logits_of(batch);
    const dim3 grid(static_cast<unsigned>(logits.expert_tiles()), static_cast<unsigned>(logits.token_tiles()),
                    static_cast<unsigned>(logits.splits));
    launch(layer_.spec.activation() == Dtype::f32 ? gate_logits<float> : gate_logits<std::uint16_t>, grid,
           dim3(kGateThreads), 0, on, logits);
    const GateRule& rule = layer_.spec.gate;
    const int warps = choice_warps(rule.experts, rule.groups);
    launch(gate_choose, dim3(blocks_for(logits.tokens, warps)), dim3(static_cast<unsigned>(32 * warps)),
           static_cast<std::size_t>(warps * choice_bytes_per_warp(rule.experts, rule.groups)), on,
           choice_of(batch, logits));
    if (!layer_.spec.quantised()) return;
    launch_quantise(quantise_rows<std::uint16_t, false>,
                    {.in = batch.x.as<void>(),
                     .codes = batch.inbox.data.as<std::uint8_t>(),
                     .scales = batch.inbox.scales.as<float>(),
                     .rows = logits.tokens,
                     .length = layer_.hidden()},
                    on);
  }

 private:
  GateLogits logits_of(const DeviceBatch& batch) const {
    const MoeSpec& spec = layer_.spec;
    GateLogits task{.x = spec.quantised() ? batch.x.as<void>() : batch.inbox.data.as<void>(),
                    .gate_weight = gate_weight_.as<void>(),
                    .tokens = batch.tokens.count(),
                    .experts = spec.gate.experts,
                    .hidden = spec.hidden,
                    .partial = partial_logits_.as<float>(),
                    .mismatches = batch.mismatches.as<unsigned>(),
                    .memory_bytes = static_cast<double>(batch.tokens.count() * spec.combine_row_bytes() +
                                                        spec.gate_bytes()),
                    .pace = layer_.pace};
    cut_gate(task, kGateBlocks);
    return task;
  }

  GateChoice choice_of(const DeviceBatch& batch, const GateLogits& logits) const {
    const GateRule& rule = layer_.spec.gate;
    return {.partial = logits.partial,
            .splits = logits.splits,
            .tokens = logits.tokens,
            .experts = static_cast<int>(rule.experts),
            .top_k = static_cast<int>(rule.top_k),
            .groups = static_cast<int>(rule.groups),
            .group_limit = static_cast<int>(rule.group_limit),
            .sigmoid = rule.scoring == Scoring::sigmoid,
            .renormalise = rule.renormalise,
            .routed_scaling = static_cast<float>(rule.routed_scaling),
            .bias = gate_bias_.bytes() > 0 ? gate_bias_.as<float>() : nullptr,
            .ids = batch.ids.as<std::int32_t>(),
            .gate_decides = gate_decides_,
            .weights = batch.weights.as<float>(),
            .mismatches = logits.mismatches};
  }

  const DeviceLayer& layer_;
  bool gate_decides_;
  DeviceArray gate_weight_, gate_bias_, partial_logits_;
};

}  // namespace chokepoint::moe
