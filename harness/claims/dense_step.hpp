// How long does a training step of a dense model take, split by tensor, pipeline and data parallelism?
#pragma once

#include "harness/claims/phases.hpp"
#include "harness/claims/pipeline.hpp"
#include "harness/claims/throughput.hpp"

namespace chokepoint {

struct ModelShapes;

// The matrices of a decoder with grouped attention and a gated network in every layer. Defaults:
// Llama-3.1-405B.
struct DenseShape {
  double layers = 126, hidden = 16384, intermediate = 53248, vocabulary = 128256;
  double query_width = 16384, kv_width = 1024;  // heads times head size

  double layer_parameters() const;
  double head_parameters() const { return hidden * vocabulary; }  // the embedding is as large again
  double parameters() const;
  double model_flop_per_token(double sequence, bool causal = true) const;  // of a training step
};

// Throws Error{config} where the model has experts, or latent attention, or no architecture in its file.
DenseShape dense_shape_of(const ModelShapes& model);

// Defaults: what Llama 3's report states (arXiv 2407.21783, table 4), one sequence per micro-batch. Eight
// chunks of one layer per rank are inferred from its section 3.3.2.
struct DensePlan {
  int tensor_ranks = 8;  // they also split sequences between matrices
  PipelinePlan pipeline{
      .schedule = Schedule::interleaved, .ranks = 16, .micro_batches = 16, .chunks_per_rank = 8};
  int data_parallel = 128;
  double sequence = 8192;
  // First and last chunk hold embedding and head alone, the others a layer each; otherwise layers and head
  // are spread evenly over all chunks, as if they could be cut.
  bool ends_apart = false;

  StepScale scale() const;
};

// Achieved rates of an H100, and what of the transfers shows. Assumed where no source is given.
struct DenseRates {
  double gemm_flop_per_s = 620e12;  // attention included
  double link_bytes_per_s = 360e9;  // per direction
  double network_bytes_per_s = 45e9;
  double memory_time_s =
      2.2e-3;  // norms, activations, rotations of a layer, forward and back, per 8192 tokens
  double attention_backward = 3.5;      // of its forward FLOP: 2.5 and what is computed again
  double tensor_transfers_shown = 1.0;  // share that no compute hides
  double data_transfers_shown = 0.5;
  double hops_shown = 0.0;  // of every hop between stages; those that fill and drain always show
};

// Seconds of one layer and one micro-batch on one GPU.
struct DenseLayerTimes {
  double gemm_forward_s = 0.0, gemm_backward_s = 0.0, memory_s = 0.0;
  double transfer_forward_s = 0.0, transfer_backward_s = 0.0;  // gathers and scatters between tensor ranks

  double forward_s() const { return gemm_forward_s + transfer_forward_s + memory_s / 3; }
  double backward_s() const { return gemm_backward_s + transfer_backward_s + memory_s * 2 / 3; }
  double total_s() const { return forward_s() + backward_s(); }
};

struct DenseStep {
  double step_s = 0.0;
  DenseLayerTimes layer;
  double pipeline_s = 0.0, fill_and_drain_s = 0.0, data_parallel_s = 0.0;  // they add up to the step
};

DenseLayerTimes dense_layer_times(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates);

// Throws Error{config} where a rate or plan is none.
DenseStep dense_step(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates);

// For a whole run, of which only a share of the time makes progress: restarts, checkpoints, slow hosts.
double gpu_hours(double tokens, double tokens_per_s_per_gpu, double effective_time);

}  // namespace chokepoint
