// What of a phase's compute time is bound by tensor cores, and what by memory?
#pragma once

namespace chokepoint {

// Seconds of one phase. What is left of the phase is `gemm` in the dtype that the model multiplies in.
struct ComputeParts {
  double attention_s = 0.0;   // fused attention: tensor cores, always in 16 bits
  double fixed_gemm_s = 0.0;  // products that stay in 16 bits whatever the others are in: gate, heads
  double memory_s = 0.0;      // casts, transposes, norms, activations, permutes
};

struct PassParts {
  ComputeParts forward, backward_input, weight;
};

struct PhaseParts {
  PassParts attention, mlp, dense_mlp, head, projection;
};

}  // namespace chokepoint
