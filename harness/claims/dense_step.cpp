#include "harness/claims/dense_step.hpp"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.hpp"
#include "harness/base/units.hpp"
#include "harness/claims/checks.hpp"
#include "harness/claims/nanoseconds.hpp"
#include "harness/model/model_shapes.hpp"

namespace chokepoint {
namespace {

// Sequence parallelism (Korthikanti et al. 2022): a gather and a scatter around attention and around the
// network; on the way back the same, and both inputs gathered again for the weight gradients.
constexpr int kForwardTransfers = 4, kBackwardTransfers = 6;
constexpr double kBytesPerValue = 2.0;            // BF16
constexpr double kBytesPerParameter = 4.0 + 2.0;  // gradients scattered in FP32, parameters gathered in BF16

void check_share(double value, const char* name) {
  if (!(value >= 0.0 && value <= 1.0))
    throw Error(Fault::config, fmt::format("{} is {}", name, value), "give a share from 0 to 1");
}

void check(const DenseRates& rates) {
  require_positive(rates.gemm_flop_per_s, "gemm rate", "give a rate or a number");
  require_positive(rates.link_bytes_per_s, "link rate", "give a rate or a number");
  require_positive(rates.network_bytes_per_s, "network rate", "give a rate or a number");
  require_positive(rates.attention_backward, "attention backward", "give a rate or a number");
  check_share(rates.tensor_transfers_shown, "shown share of tensor transfers");
  check_share(rates.data_transfers_shown, "shown share of data transfers");
  check_share(rates.hops_shown, "shown share of hops");
}

void check(const DenseShape& shape, const DensePlan& plan) {
  require_positive(plan.tensor_ranks, "number of tensor ranks", "give a rate or a number");
  require_positive(plan.data_parallel, "data parallelism", "give a rate or a number");
  require_positive(plan.sequence, "sequence", "give a rate or a number");
  if (overlaps(plan.pipeline.schedule))
    throw Error(Fault::config,
                fmt::format("{} overlaps transfers of experts, and this model has none",
                            to_string(plan.pipeline.schedule)),
                "take 1f1b, interleaved or zb-h1");
  if (plan.ends_apart && shape.layers != plan.pipeline.stages() - 2)
    throw Error(Fault::config,
                fmt::format("{} layers do not fill the {} chunks between first and last", shape.layers,
                            plan.pipeline.stages() - 2),
                "spread the layers evenly, or change ranks or chunks per rank");
}

double attention_flop_per_token(const DenseShape& shape, double sequence, bool causal) {
  return 4.0 * shape.query_width * (causal ? sequence / 2 : sequence);
}

double hop_s(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates) {
  return plan.sequence * shape.hidden * kBytesPerValue / plan.tensor_ranks / rates.network_bytes_per_s;
}

PassTimes head_times(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates) {
  const double product_s =
      2.0 * shape.head_parameters() * plan.sequence / plan.tensor_ranks / rates.gemm_flop_per_s;
  return {product_s, product_s, product_s};
}

// A pass of one chunk. Weight gradients are half of the products on the way back.
PassTimes chunk_times(double layers, double heads, const DenseLayerTimes& layer, const PassTimes& head) {
  const double weight_s = layer.gemm_backward_s / 2;
  return {layers * layer.forward_s() + heads * head.forward_s,
          layers * (layer.backward_s() - weight_s) + heads * head.backward_input_s,
          layers * weight_s + heads * head.weight_s};
}

StageTimes stage_times(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates,
                       const DenseLayerTimes& layer) {
  const int stages = plan.pipeline.stages();
  const PassTimes head = head_times(shape, plan, rates);
  StageTimes times;
  times.hop_ns = to_ns(rates.hops_shown * hop_s(shape, plan, rates));
  for (int stage = 0; stage < stages; ++stage) {
    const bool is_last = stage == stages - 1, is_end = stage == 0 || is_last;
    const double layers = plan.ends_apart ? !is_end : shape.layers / stages;
    const PassTimes chunk = chunk_times(layers, plan.ends_apart ? is_last : 1.0 / stages, layer, head);
    times.forward_ns.push_back(to_ns(chunk.forward_s));
    times.backward_input_ns.push_back(to_ns(chunk.backward_input_s));
    times.weight_ns.push_back(to_ns(chunk.weight_s));
  }
  return times;
}

}  // namespace

double DenseShape::layer_parameters() const {
  return 2 * hidden * query_width + 2 * hidden * kv_width + 3 * hidden * intermediate;
}

double DenseShape::parameters() const { return layers * layer_parameters() + 2 * head_parameters(); }

double DenseShape::model_flop_per_token(double sequence, bool causal) const {
  return 6.0 * (layers * layer_parameters() + head_parameters()) +
         3.0 * layers * attention_flop_per_token(*this, sequence, causal);
}

DenseShape dense_shape_of(const ModelShapes& model) {
  const auto reject = [&](const char* what) {
    throw Error(Fault::config, fmt::format("model {} {}", model.id, what),
                "take a dense model with grouped attention");
  };
  if (!model.architecture) reject("has no architecture in its file");
  if (model.architecture->experts) reject("has experts");
  if (model.architecture->attention.kind != AttentionKind::grouped) reject("has latent attention");
  const AttentionArchitecture& attention = model.architecture->attention;
  const auto width = [&](std::int64_t heads) { return static_cast<double>(heads * attention.qk_dim()); };
  return {.layers = static_cast<double>(model.layers),
          .hidden = static_cast<double>(model.hidden),
          .intermediate = static_cast<double>(model.architecture->dense->intermediate),
          .vocabulary = static_cast<double>(model.vocabulary),
          .query_width = width(attention.heads),
          .kv_width = width(attention.heads_kv)};
}

StepScale DensePlan::scale() const {
  return {static_cast<double>(tensor_ranks) * pipeline.ranks * data_parallel,
          data_parallel * pipeline.micro_batches * sequence};
}

DenseLayerTimes dense_layer_times(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates) {
  check(rates);
  const double tokens_per_rank = plan.sequence / plan.tensor_ranks;
  const double product_s = 2.0 * shape.layer_parameters() * tokens_per_rank / rates.gemm_flop_per_s;
  const double attention_s =
      attention_flop_per_token(shape, plan.sequence, true) * tokens_per_rank / rates.gemm_flop_per_s;
  const double transfer_s = plan.sequence * shape.hidden * kBytesPerValue * (plan.tensor_ranks - 1) /
                            plan.tensor_ranks / rates.link_bytes_per_s * rates.tensor_transfers_shown;
  return {.gemm_forward_s = product_s + attention_s,
          .gemm_backward_s = 2 * product_s + rates.attention_backward * attention_s,
          .memory_s = rates.memory_time_s * (plan.sequence / 8192) * (8.0 / plan.tensor_ranks) *
                      (shape.hidden / 16384),
          .transfer_forward_s = kForwardTransfers * transfer_s,
          .transfer_backward_s = kBackwardTransfers * transfer_s};
}

DenseStep dense_step(const DenseShape& shape, const DensePlan& plan, const DenseRates& rates) {
  check(rates);
  check(shape, plan);
  DenseStep step{.layer = dense_layer_times(shape, plan, rates)};
  const Pipeline pipeline(plan.pipeline);
  step.pipeline_s = to_s(pipeline.run(stage_times(shape, plan, rates, step.layer)).makespan_ns);
  if (rates.hops_shown == 0.0)
    step.fill_and_drain_s = 2 * (plan.pipeline.ranks - 1) * hop_s(shape, plan, rates);
  const double parameters_per_gpu = shape.parameters() / plan.tensor_ranks / plan.pipeline.ranks;
  if (plan.data_parallel > 1)
    step.data_parallel_s =
        rates.data_transfers_shown * parameters_per_gpu * kBytesPerParameter / rates.network_bytes_per_s;
  step.step_s = step.pipeline_s + step.fill_and_drain_s + step.data_parallel_s;
  return step;
}

double gpu_hours(double tokens, double tokens_per_s_per_gpu, double effective_time) {
  require_positive(tokens, "number of tokens", "give a rate or a number");
  require_positive(tokens_per_s_per_gpu, "tokens per second", "give a rate or a number");
  require_positive(effective_time, "effective time", "give a rate or a number");
  return tokens / tokens_per_s_per_gpu / effective_time / kSecondsPerHour;
}

}  // namespace chokepoint
