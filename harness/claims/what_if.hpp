// How do the phases of a training step stretch when the machine, the routing or a format changes, and all
// else stays?
#pragma once

#include "harness/base/dtype.hpp"
#include "harness/claims/phase_parts.hpp"
#include "harness/claims/phases.hpp"

namespace chokepoint {

// What phases hold for. The defaults are those of DeepSeek's published trace: H800s, 64 experts' ranks on 8
// nodes.
struct Conditions {
  double gemm_flop_per_s = 1979e12, attention_flop_per_s = 989e12;  // of the whole GPU, by its datasheet
  double memory_bytes_per_s = 3.35e12;
  double link_bytes_per_s = 200e9, network_bytes_per_s = 50e9;  // per direction, by the datasheet
  double link_efficiency = 0.8, network_efficiency = 0.8;       // what transfers get of them: 160 and 40 GB/s
  double tensor_clock = 1.0;                                    // as a share of the datasheet's
  int sms = 132, transfer_sms = 20;                             // what transfers occupy computes nothing
  Dtype gemm = Dtype::fp8_e4m3, dispatch = Dtype::fp8_e4m3, combine = Dtype::bf16;
  double bf16_gemm_time = 1.65;   // over that in FP8, at the shapes of the model; assumed
  double nodes_per_token = 4.0;   // that the experts of a token lie on: network traffic
  double gpus_per_token = 7.613;  // and GPUs: link traffic; 4 x 8 (1 - C(28,2) / C(32,2)) for 4 nodes
};

// What a change reaches. The published sensitivities of DeepSeek-V3's step change the layers with experts and
// leave dense layers, heads, hops between stages and the optimizer as they are; `whole_step` changes those
// too.
enum class RescaleReach { expert_layers, whole_step };

// `phases` hold under `from` and consist of `parts`. Links and network work at the same time, so the slower
// of them decides how long a transfer takes; a plan that would suit the new machine better is not looked for.
// Throws Error{config} that names the condition that is no machine, or parts longer than their phase.
TrainingPhases rescaled(const TrainingPhases& phases, const PhaseParts& parts, const Conditions& from,
                        const Conditions& to, RescaleReach reach = RescaleReach::expert_layers);

// The link rate below which the link, not the network, decides how long transfers take.
double break_even_link_bytes_per_s(const Conditions& conditions);

}  // namespace chokepoint
