#include "harness/claims/trace_phases.hpp"

namespace chokepoint {
namespace {

constexpr double kGate_s = 44e-6;  // the router's product, in BF16; backward ones taken to be as long

}  // namespace

TrainingPhases trace_phases() {
  TrainingPhases phases;
  // Read from deepseek-ai/profile-data@4496024, train.json, rounded to 0.05 ms.
  phases.expert_layer = {
      .attention = {.forward_s = 4.45e-3, .backward_input_s = 9.50e-3, .weight_s = 2.40e-3},
      .mlp = {.forward_s = 4.60e-3, .backward_input_s = 5.35e-3, .weight_s = 5.05e-3},
      .dispatch_forward_s = 4.35e-3,
      .combine_forward_s = 6.00e-3,
      .combine_backward_s = 3.40e-3,
      .dispatch_backward_s = 6.40e-3,
      .sync_s = 1.0e-3};  // chosen: the trace's own waits of 0.75 to 3.8 ms absorb its skew
  // Derived: the same kernels on a dense layer of 18432 instead of nine experts of 2048.
  phases.dense_mlp = {.forward_s = 4.247e-3, .backward_input_s = 4.747e-3, .weight_s = 5.073e-3};
  // Derived: 2 x 4096 x 7168 x 129280 FLOP in BF16 at an assumed 650 TFLOP/s (weights 600), and the loss.
  phases.head = {.forward_s = 13.18e-3, .backward_input_s = 11.68e-3, .weight_s = 12.65e-3};
  phases.projection = {.forward_s = 0.935e-3, .backward_input_s = 0.935e-3, .weight_s = 0.935e-3};
  phases.gap = 1.029;          // layer pair 32.25 ms, its kernels 31.35 ms
  phases.hop_s = 1.3e-3;       // derived: 4096 x 7168 values of BF16 at 45 GB/s
  phases.optimizer_s = 0.260;  // derived: 11.7 GB of gradients and parameters per GPU at 45 GB/s
  return phases;
}

PhaseParts trace_parts() {
  PhaseParts parts;
  // Sums over the trace's kernels, per layer: fused attention, and what is neither that nor a product.
  parts.attention.forward = {.attention_s = 1.24e-3, .memory_s = 1.41e-3};
  parts.attention.backward_input = {.attention_s = 4.25e-3, .memory_s = 2.73e-3};
  parts.mlp.forward = {.fixed_gemm_s = kGate_s, .memory_s = 1.31e-3};
  parts.mlp.backward_input = {.fixed_gemm_s = kGate_s, .memory_s = 2.11e-3};
  // Derived: transposes for the weight gradients, 250 KB per token at the 1.75 TB/s that the trace's others
  // reach.
  parts.mlp.weight = {.fixed_gemm_s = kGate_s, .memory_s = 250e3 * 4096 / 1.75e12};
  // Derived with the phases: 3.247 TFLOP at 1000 TFLOP/s and the rest.
  parts.dense_mlp.forward.memory_s = 1.0e-3;
  parts.dense_mlp.backward_input.memory_s = 1.5e-3;
  parts.head.forward = {.fixed_gemm_s = 11.68e-3, .memory_s = 1.5e-3};
  parts.head.backward_input.fixed_gemm_s = 11.68e-3;
  parts.head.weight.fixed_gemm_s = 12.65e-3;
  return parts;
}

}  // namespace chokepoint
