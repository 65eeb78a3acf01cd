// Which operations does a model consist of, and how much work is each of them per token? Training, prefill
// and decode.
//
// A multiply-add is 2 FLOP. Bytes are memory traffic with every input read once and every output written
// once; weights are read once per micro-batch, so their share per token falls with its size. Norms, casts,
// activations and permutes are no operations here: what they take is measured as traffic
// (harness/claims/kernel_phases.hpp).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/model/model_shapes.hpp"

namespace chokepoint {

// backward_input makes the gradient of an operation's input, backward_weight that of its weights; recompute
// repeats a forward operation whose output was not kept.
enum class OpPhase { forward, backward_input, backward_weight, recompute };

// prediction: a layer that predicts a further token, with its projection and its use of the head. ends:
// embedding, head.
enum class LayerKind { dense, expert, prediction, ends };

std::string_view to_string(OpPhase phase);
std::string_view to_string(LayerKind kind);

struct ModelOp {
  std::string name;  // "q_a", "attention_core", "routed_gate_up"; the same in every phase
  OpPhase phase = OpPhase::forward;
  LayerKind layer = LayerKind::expert;
  double flop_per_token = 0.0;  // of one layer, as executed
  double model_flop_per_token =
      0.0;  // the part that counts for model FLOP/s: no recomputation, scores not made twice
  double bytes_per_token = 0.0;  // of one layer, at this workload's micro-batch
  std::optional<double> m;       // rows of the product at this workload; absent for attention and embedding
  std::int64_t n = 0, k = 0;     // output and input features of the product
  Dtype dtype = Dtype::bf16;
  double count = 1.0;              // layers it is in
  double parameters = 0.0;         // of one layer: its weights, all experts
  double active_parameters = 0.0;  // those that one token meets
};

struct TrainingWorkload {
  std::int64_t sequence = 4096;
  bool causal = true;             // a token sees half of the sequence on average; otherwise all of it
  bool prediction = false;        // with the layers that predict further tokens
  double tokens = 4096;           // of one micro-batch on one GPU
  std::int64_t expert_ranks = 1;  // GPUs that share the experts of a layer: each reads the weights of its own
};

// All operations of a step, phase by phase. Recomputed are the up-projections of latent attention
// (DeepSeek-V3 technical report, section 3.2.3). Throws Error{config} where the model file has no
// "architecture".
std::vector<ModelOp> training_ops(const ModelShapes& model, const TrainingWorkload& workload);

// The forward operations of the same workload.
std::vector<ModelOp> prefill_ops(const ModelShapes& model, const TrainingWorkload& workload);

struct DecodeWorkload {
  double context = 4096;  // tokens in the cache, per sequence
  double sequences = 64;  // of one micro-batch on one GPU, each with one new token
  std::int64_t expert_ranks = 1;
};

// One new token per sequence. Latent attention in its absorbed form: all heads share one cached key of
// kv_rank + rope_dim numbers, its first kv_rank are the value; kv_b is split and multiplied into queries and
// outputs.
std::vector<ModelOp> decode_ops(const ModelShapes& model, const DecodeWorkload& workload);

// Sums over operations times their counts; `per_layer` sums leave the counts out.
double flop_per_token(const std::vector<ModelOp>& ops);
double model_flop_per_token(const std::vector<ModelOp>& ops);

// Of one layer of a kind, in one phase.
double layer_flop_per_token(const std::vector<ModelOp>& ops, LayerKind layer, OpPhase phase);

// The operation of this name, layer kind and phase. Throws Error{config} when there is none.
const ModelOp& find_op(const std::vector<ModelOp>& ops, std::string_view name, LayerKind layer,
                       OpPhase phase);

// Weights of all matrices, embedding and head; norms and biases, a few millionths, are left out.
double parameters(const ModelShapes& model, bool prediction = false);
// Those that one token meets: top_k of the experts. The embedding is one row per token, but counts by
// convention.
double active_parameters(const ModelShapes& model, bool with_embedding = true);

// The cache of one token in all layers, in bf16.
double kv_bytes_per_token(const ModelShapes& model);

}  // namespace chokepoint
