// How many prompt tokens per second does one GPU take in when experts are spread over several nodes?
//
// Two micro-batches take turns: one computes while the other's rows travel. A layer of both takes twice the
// longer of the two. The rate is that of kernels alone: prompts that wait, caches that hit and uneven loads
// are not in it.
#pragma once

#include <vector>

#include "harness/base/resource.hpp"
#include "harness/claims/kernel_table.hpp"
#include "harness/claims/routing_volumes.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {

struct PrefillPlan {
  double sequence = 4096;  // tokens of a prompt
  double tokens = 8192;    // of a micro-batch on one GPU
  int micro_batches = 2;   // 1: nothing is hidden
  RankPlacement placement = {.nodes = 4, .gpus_per_node = 8};
  double nodes_per_token = 22.0 / 7.0;  // two groups on each of 4 nodes, 4 groups per token; 4: groups apart
  double compute_sms = 108;  // of the machine's, while transfers have the rest (DeepSeek profile-data)
};

struct PrefillFactors {
  double traffic_s_per_token = 4.3e-3 / 8192;  // norms, casts, permutes: estimated, a layer and token
  double expert_imbalance = 1.0;               // rows of the busiest GPU over the average
  double network_ratio = 1.0;                  // the network's rate over that of the machine the rows are of
  double link_ratio = 1.0;
  double compute_ratio = 1.0;  // the same of arithmetic
  double memory_ratio = 1.0;   // the same of memory
};

// One micro-batch in one layer as the kernel table has it: seconds alone, on all SMs.
struct PrefillKernels {
  double core_s = 0.0, attention_products_s = 0.0, routed_s = 0.0, shared_s = 0.0;
  LogicalRate dispatch, combine;  // of so many GPUs
  std::vector<const KernelRow*> sources;
};

// `sms` are the machine's. Throws Error{config} naming a row that is missing, or a plan that does not fit. To
// be looked up once where only factors are drawn.
PrefillKernels prefill_kernels(const KernelTable& table, const ModelShapes& model, double sms,
                               const PrefillPlan& plan);

// The same beside transfers, with its factors.
struct PrefillLayer {
  double core_s = 0.0, attention_products_s = 0.0, routed_s = 0.0, shared_s = 0.0;  // alone, on all SMs
  double compute_s = 0.0;  // all of them on compute_sms, and traffic
  double dispatch_s = 0.0, combine_s = 0.0;
  std::vector<const KernelRow*> sources;

  double transfer_s() const { return dispatch_s + combine_s; }
};

struct PrefillRate {
  PrefillLayer layer;
  double layer_s = 0.0;       // of all micro-batches
  double tokens_per_s = 0.0;  // per GPU
  double tokens_per_s_per_node = 0.0;
  Resource bound = Resource::compute;  // or network
  double slack = 0.0;  // what hides over what is hidden, less 1: room before the other one binds
};

// Transfers take their logical bytes at the rates of DeepEP's rows. Of the plan, kernels were looked up for
// `sequence`, `tokens` and `placement`; the rest may differ.
PrefillRate prefill_rate(const PrefillKernels& kernels, const ModelShapes& model, double sms,
                         const PrefillPlan& plan, const PrefillFactors& factors = {});
PrefillRate prefill_rate(const KernelTable& table, const ModelShapes& model, double sms,
                         const PrefillPlan& plan, const PrefillFactors& factors = {});

}  // namespace chokepoint
