// Inputs of a mixture-of-experts layer, and the experts its tokens choose.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "harness/base/parallel.hpp"
#include "harness/base/random.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"
#include "kernels/moe_layer/moe_layer.hpp"
#include "kernels/moe_layer/reference.hpp"

namespace chokepoint::moe {
namespace {

// A row whose choice stays close (hidden = 1 and two nearly equal gate weights, say) stays in the end.
constexpr std::int64_t kDraws = 32;

GateInputs make_gate_inputs(const MoeSpec& spec, const InputSpec& input) {
  const std::string x_layout =
      spec.quantised()
          ? "[tokens, hidden] row-major; quantised in blocks of 128 before fp8 products: scale = max(max|v|, "
            "1e-4) / 448 and code = e4m3(v / scale), all in f32"
          : "[tokens, hidden] row-major";
  GateInputs inputs{
      .x = Tensor("x", {spec.tokens, spec.hidden}, spec.activation(), x_layout),
      .gate_weight = Tensor("gate_weight", {spec.gate.experts, spec.hidden}, spec.activation(),
                            "[experts, hidden] row-major"),
  };
  fill(inputs.x, input.distribution, input.seed);
  fill(inputs.gate_weight, input.distribution, input.seed, 1.0 / std::sqrt(static_cast<double>(spec.hidden)));
  if (spec.gate.scoring == Scoring::sigmoid) {
    inputs.gate_bias =
        Tensor("gate_bias", {spec.gate.experts}, Dtype::f32, "[experts]; added for selection only");
    fill(inputs.gate_bias, input.distribution, input.seed, 0.01);
  }
  return inputs;
}

// Selection scores of one row of x.
std::vector<double> selection_of(const MoeSpec& spec, const GateInputs& inputs,
                                 const std::vector<float>& gate, std::int64_t token) {
  const std::vector<double> logits = gate_logits(inputs.x, token, gate);
  std::vector<double> selection(logits.size());
  gate_scores<double>(spec.gate, logits, selection);
  if (!inputs.gate_bias.empty())
    for (std::size_t i = 0; i < selection.size(); ++i)
      selection[i] += inputs.gate_bias.at(static_cast<std::int64_t>(i));
  return selection;
}

void draw_row_again(Tensor& x, std::int64_t token, std::int64_t draw, const InputSpec& input) {
  const std::int64_t hidden = x.dims()[1];
  Tensor row(fmt::format("x/{}/{}", token, draw), {hidden}, x.dtype());
  fill(row, input.distribution, input.seed);
  std::memcpy(x.data() + token * hidden * bytes_of(x.dtype()), row.data(),
              static_cast<std::size_t>(row.bytes()));
}

std::vector<std::int32_t> ids_by_gate(const MoeSpec& spec, GateInputs& inputs, const InputSpec& input) {
  const std::vector<float> gate = float_values(inputs.gate_weight);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(spec.tokens * spec.gate.top_k));
  parallel_for(spec.tokens, grain_of(std::ssize(gate)), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t token = begin; token < end; ++token) {
      std::vector<double> selection = selection_of(spec, inputs, gate, token);
      for (std::int64_t draw = 1;
           draw < kDraws && choice_margin<double>(spec.gate, selection) < kClearMargin &&
           input.distribution != "zeros";
           ++draw) {
        draw_row_again(inputs.x, token, draw, input);
        selection = selection_of(spec, inputs, gate, token);
      }
      choose<double>(spec.gate, selection,
                     std::span(ids).subspan(static_cast<std::size_t>(token * spec.gate.top_k),
                                            static_cast<std::size_t>(spec.gate.top_k)));
    }
  });
  return ids;
}

std::optional<std::vector<std::int32_t>> ids_by_shape(const MoeSpec& spec) {
  switch (spec.routing) {
    case Routing::balanced:
      return balanced_ids(spec.gate, spec.tokens);
    case Routing::zipf:
      return zipf_ids(spec.gate, spec.tokens);
    case Routing::trace:
      return fold_trace(load_routing_trace(default_trace_path()), spec.gate.experts, spec.gate.top_k, spec.tokens);
    case Routing::random:
      break;
  }
  return std::nullopt;
}

// fp8 codes spread over the range of the format, and scales that differ from block to block and bring the
// values back to `deviation`.
constexpr double kCodeDeviation = 64.0;

void make_matrix(Tensor& weights, Tensor& scales, const std::string& role, std::vector<std::int64_t> dims,
                 Dtype dtype, const std::string& layout, const InputSpec& input) {
  const double deviation = 1.0 / std::sqrt(static_cast<double>(dims.back()));
  weights = Tensor(role, dims, dtype, layout);
  if (dtype != Dtype::fp8_e4m3) return fill(weights, input.distribution, input.seed, deviation);
  fill(weights, input.distribution, input.seed, kCodeDeviation);
  for (std::size_t i = dims.size() - 2; i < dims.size(); ++i) dims[i] = scale_blocks(dims[i]);
  scales =
      Tensor(role + "_scale", dims, Dtype::f32, "one factor per 128 x 128 block of each matrix of " + role);
  fill(scales, "uniform", input.seed);
  for (float& scale : scales.as<float>())
    scale = static_cast<float>(deviation / kCodeDeviation * (1.0 + 0.5 * scale));
}

}  // namespace

std::vector<std::int32_t> chosen_ids(const MoeSpec& spec, const InputSpec& input) {
  if (std::optional<std::vector<std::int32_t>> ids = ids_by_shape(spec)) return *std::move(ids);
  GateInputs inputs = make_gate_inputs(spec, input);
  return ids_by_gate(spec, inputs, input);
}

MoeProblem::MoeProblem(const MoeSpec& spec, const InputSpec& input)
    : spec_(spec), gate_(make_gate_inputs(spec, input)) {
  std::optional<std::vector<std::int32_t>> imposed = ids_by_shape(spec);
  ids_ = imposed ? *std::move(imposed) : ids_by_gate(spec, gate_, input);
  const std::string up = "2*intermediate, hidden] row-major, first half: silu";
  make_matrix(routed_.up, routed_.up_scale, "w_gate_up",
              {spec.local_experts(), 2 * spec.intermediate, spec.hidden}, spec.dtype,
              "[experts/ep, " + up + "; expert e uses matrix e mod (experts/ep)", input);
  make_matrix(routed_.down, routed_.down_scale, "w_down",
              {spec.local_experts(), spec.hidden, spec.intermediate}, spec.dtype,
              "[experts/ep, hidden, intermediate] row-major", input);
  if (spec.shared_experts == 0) return;
  make_matrix(shared_.up, shared_.up_scale, "shared_gate_up", {2 * spec.shared_intermediate(), spec.hidden},
              spec.dtype, "[2*shared_experts*intermediate, hidden] row-major, first half: silu", input);
  make_matrix(shared_.down, shared_.down_scale, "shared_down", {spec.hidden, spec.shared_intermediate()},
              spec.dtype, "[hidden, shared_experts*intermediate] row-major", input);
}

std::vector<const Tensor*> MoeProblem::inputs() const {
  std::vector<const Tensor*> arrays;
  for (const Tensor* array :
       {&gate_.x, &gate_.gate_weight, &gate_.gate_bias, &routed_.up, &routed_.up_scale, &routed_.down,
        &routed_.down_scale, &shared_.up, &shared_.up_scale, &shared_.down, &shared_.down_scale})
    if (!array->empty()) arrays.push_back(array);
  return arrays;
}

std::span<const std::int32_t> MoeProblem::imposed_ids() const {
  if (spec_.routing == Routing::random) return {};
  return ids_;
}

std::vector<Tensor> MoeProblem::extras() const {
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(spec_.tokens));
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int64_t>(i);
  const std::vector<std::int64_t> dims = {spec_.tokens, spec_.gate.top_k};
  const std::string order =
      spec_.routing == Routing::random ? "best first" : "imposed, the gate only weighs them";
  Tensor ids("topk_ids", dims, Dtype::i32, "[tokens, top_k]; " + order);
  Tensor chosen_weights("topk_weights", dims, Dtype::f32, "[tokens, top_k], routed scaling included");
  const std::vector<double> values = weights(tokens);
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    ids.set(static_cast<std::int64_t>(i), ids_[i]);
    chosen_weights.set(static_cast<std::int64_t>(i), values[i]);
  }
  std::vector<Tensor> arrays;
  arrays.push_back(std::move(ids));
  arrays.push_back(std::move(chosen_weights));
  return arrays;
}

}  // namespace chokepoint::moe
