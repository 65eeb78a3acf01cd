// How long do the parts of a training step take on one GPU? What the pair and pipeline schedules are fed with, whether
// it was measured in a trace or put together from single kernels.
#pragma once

namespace chokepoint {

// One part of a layer, for one micro-batch. `backward_input` makes the gradient of the input (and recomputes what was
// not kept), `weight` that of the weights; a whole backward pass is both.
struct PassTimes {
  double forward_s = 0.0, backward_input_s = 0.0, weight_s = 0.0;

  double backward_s() const { return backward_input_s + weight_s; }
};

// One expert-parallel layer, for one micro-batch. Compute and transfers are two streams of one GPU (two sets of SMs).
// Times are those in place: beside the other stream, on the SMs left to each.
struct ExpertLayerTimes {
  PassTimes attention, mlp;  // compute stream; mlp is the experts, the shared one, the gate and all casts and permutes
  double dispatch_forward_s = 0.0, combine_forward_s = 0.0;    // transfer stream, without waiting for others
  double combine_backward_s = 0.0, dispatch_backward_s = 0.0;  // gradients: combine's come first
  double sync_s = 0.0;                                         // waiting for the slowest rank, per transfer
};

// What a pipeline of such layers is put together from.
struct TrainingPhases {
  ExpertLayerTimes expert_layer;
  PassTimes dense_mlp;   // instead of `expert_layer.mlp` in a layer without experts; such a layer transfers nothing
  PassTimes head;        // one output head with its loss
  PassTimes projection;  // joins hidden state and embedding before a multi-token prediction layer
  double gap = 1.0;      // wall time over kernel time of a pair of chunks, at least 1: launch gaps
  double hop_s = 0.0;    // activations from one pipeline stage to the next
  double optimizer_s = 0.0;  // optimizer and exchange of gradients and parameters, per step, not hidden
};

}  // namespace chokepoint
