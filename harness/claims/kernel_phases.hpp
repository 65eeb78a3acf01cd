// How long do the parts of a training step take, put together from single kernels?
//
// Each part is products and attention (from the kernel table), and memory traffic of everything else. Kernels
// measured alone are stretched: by the SMs that transfers take away, and by what sharing memory and power
// costs.
#pragma once

#include <string>
#include <vector>

#include "harness/claims/kernel_table.hpp"
#include "harness/claims/op_model.hpp"
#include "harness/claims/phases.hpp"
#include "harness/claims/routing_volumes.hpp"
#include "harness/claims/transfer_time.hpp"
#include "harness/model/profile.hpp"

namespace chokepoint {

// The parallel plan of one expert layer: what one GPU does for one micro-batch.
struct StepPlan {
  double tokens = 4096;  // of a micro-batch; one sequence
  RankPlacement placement = {.nodes = 8, .gpus_per_node = 8};
  double nodes_per_token = 4.0;  // that rows are sent to, the own one included
  Dtype dispatch_dtype = Dtype::fp8_e4m3, combine_dtype = Dtype::bf16;
};

// One part of a layer before it meets a machine's split and its factors.
struct PartWork {
  double alone_sm_s = 0.0;     // SMs x seconds of kernels measured alone on the machine
  double in_place_sm_s = 0.0;  // the same of kernels measured in place
  double traffic_bytes = 0.0;
};

struct PassWork {
  PartWork forward, backward_input, weight;
};

struct StepParts {
  PassWork attention, mlp, dense_mlp;
  PassTimes head, projection;  // as published or estimated: kernel rows of these are not in the table
  TransferRows rows;
  double dispatch_row_bytes = 0.0, combine_row_bytes = 0.0;
  std::vector<const KernelRow*> sources;  // every row that was used; they live as long as the table
};

struct StepMachine {
  double sms = 0.0;                 // of the machine; rows that do not say otherwise ran on all of them
  double compute_sms = 0.0;         // those that compute has while transfers have the rest
  double memory_bytes_per_s = 0.0;  // as the maker states it
  double network_bytes_per_s = 0.0, link_bytes_per_s = 0.0;  // the same, per direction
};
// `transfer_sms` are taken from the profile's SMs: 20 in DeepSeek-V3's training (technical report,
// section 3.2.2). Throws Error{config} where the profile lacks a figure.
StepMachine step_machine(const Profile& profile, double transfer_sms = 20.0);

// Looks everything up once. Throws Error{config} that names the row that is missing.
StepParts step_parts(const KernelTable& table, const ModelShapes& model, const StepPlan& plan,
                     const StepMachine& machine);

// What nobody measured at the claimed run; each is a factor that a claim may draw. Sources: kernels of
// DeepSeek's profile-data 4496024 against the same kernels alone (InferSim f2293da, DeepGEMM).
struct KernelPhaseFactors {
  double compute_in_place = 1.06;    // time of a kernel beside transfers over its time alone, same SMs
  double traffic_efficiency = 0.58;  // of memory's rate, for norms, casts and permutes
  double network_efficiency = 0.8, link_efficiency = 0.8;  // DeepEP alone, of the wire's rate
  double transfer_in_place = 0.75;                         // of that, beside compute
  double expert_imbalance =
      1.0;               // rows of the busiest GPU over the average (harness/claims/expert_imbalance.hpp)
  double sync_s = 1e-3;  // per transfer
  double gap = 1.029;    // wall time of a pair over its kernels
  double hop_s = 1.3e-3;
  double optimizer_s = 0.26;
};

TrainingPhases phases_from_kernels(const StepParts& parts, const StepMachine& machine,
                                   const KernelPhaseFactors& factors);

}  // namespace chokepoint
