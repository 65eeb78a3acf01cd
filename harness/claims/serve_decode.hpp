// How many tokens per second does one GPU write when experts are spread over many, how fast does each user
// see them, and how many sequences does that take?
//
// Two micro-batches take turns, as in prefill; transfers use no SMs. Closed loop: a new sequence starts when
// one ends, so sequences in flight = tokens per second / tokens per second and user (Little's law).
#pragma once

#include <vector>

#include "harness/base/resource.hpp"
#include "harness/claims/kernel_table.hpp"
#include "harness/model/model_shapes.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

struct DecodePlan {
  double sequences = 128;      // on one GPU, all micro-batches
  double context = 4096;       // tokens cached per sequence
  int micro_batches = 2;       // 1: nothing is hidden
  std::int64_t ranks = 128;    // GPUs that share the experts
  std::int64_t redundant = 0;  // copies of busy experts beside the model's own
  std::int64_t gpus_per_node = 8;
  double accepted_drafts =
      0.0;  // of one token drafted per step by the model's prediction layer, the share accepted
};

struct DecodeFactors {
  double traffic_s =
      60e-6;  // norms, casts, gate, per micro-batch and layer: estimated; 72 fits DeepSeek's profile
  double traffic_memory_share = 0.5;  // of it, what follows memory's rate
  double expert_imbalance = 1.0;      // rows of the busiest GPU over the average
  double memory_efficiency = 0.85;    // the most that caches and weights are read at
  double network_efficiency =
      0.78;  // of the wire, low-latency kernels at 128 GPUs and more: DeepEP ebfe47e, 39 of 50 GB/s
  double sync_s = 20e-6;      // per layer
  double memory_ratio = 1.0;  // memory's rate over that of the machine the rows are of
  double network_ratio = 1.0;
};

// What of a machine decode depends on.
struct DecodeMachine {
  double memory_bytes_per_s = 0.0, memory_bytes = 0.0, network_bytes_per_s = 0.0;
};
DecodeMachine decode_machine(const Profile& profile);  // throws Error{config} where a figure is missing

// One micro-batch in one layer as the kernel table has it, seconds.
struct DecodeKernels {
  double core_s = 0.0;         // attention over the cache
  double projections_s = 0.0;  // q_a, q_b, kv_a
  double absorb_s = 0.0, output_s = 0.0;
  double shared_gate_up_s = 0.0, shared_down_s = 0.0, routed_s = 0.0;
  double dense_mlp_s = 0.0;  // instead of shared and routed in a layer without experts
  std::vector<const KernelRow*> sources;
};

// Throws Error{config} naming a row that is missing, or a plan that does not fit. To be looked up once where
// only factors are drawn.
DecodeKernels decode_kernels(const KernelTable& table, const ModelShapes& model, const DecodePlan& plan);

// The same on a machine, with its factors, transfers and traffic.
struct DecodeLayer {
  double core_s = 0.0;         // attention over the cache
  double projections_s = 0.0;  // q_a, q_b, kv_a
  double absorb_s = 0.0, output_s = 0.0;
  double shared_gate_up_s = 0.0, shared_down_s = 0.0, routed_s = 0.0;
  double traffic_s = 0.0;
  double dense_mlp_s = 0.0;  // instead of shared and routed in a layer without experts
  double dispatch_s = 0.0, combine_s = 0.0, sync_s = 0.0;
  double head_s = 0.0;  // per micro-batch, once
  std::vector<const KernelRow*> sources;

  double attention_s() const { return core_s + projections_s + absorb_s + output_s; }
  double compute_s() const { return attention_s() + shared_gate_up_s + shared_down_s + routed_s + traffic_s; }
  double dense_s() const { return attention_s() + dense_mlp_s + traffic_s; }
  double transfer_s() const { return dispatch_s + combine_s + sync_s; }
};

struct DecodeMemory {
  double weights_bytes = 0.0, cache_bytes = 0.0, capacity_bytes = 0.0;

  bool fits() const { return weights_bytes + cache_bytes <= capacity_bytes; }
};

struct DecodeRate {
  DecodeLayer layer;
  double step_s = 0.0;        // every sequence moves on by one step
  double tokens_per_s = 0.0;  // per GPU
  double tokens_per_s_per_node = 0.0;
  double tokens_per_s_per_user = 0.0;
  Resource bound = Resource::compute;  // or network: which of the two a layer with experts waits for
  DecodeMemory memory;
};

// A cache that does not fit is no error: `memory` says so.
DecodeRate decode_rate(const DecodeKernels& kernels, const ModelShapes& model, const DecodeMachine& machine,
                       const DecodePlan& plan, const DecodeFactors& factors = {});
DecodeRate decode_rate(const KernelTable& table, const ModelShapes& model, const DecodeMachine& machine,
                       const DecodePlan& plan, const DecodeFactors& factors = {});

// A step with other times of the same parts. Drafts take a further layer with experts and the head once more.
double decode_step_s(const DecodeLayer& layer, const ModelShapes& model, const DecodePlan& plan);

// Little's law: what is in flight at this rate when each user sees `tokens_per_s_per_user`.
double sequences_in_flight(double tokens_per_s, double tokens_per_s_per_user);

// The most sequences per GPU at which every user still sees `tokens_per_s_per_user` and the cache fits; 0
// when not even one does. `plan.sequences` is not read.
std::int64_t most_sequences(const KernelTable& table, const ModelShapes& model, const DecodeMachine& machine,
                            DecodePlan plan, const DecodeFactors& factors, double tokens_per_s_per_user);

}  // namespace chokepoint
