// The operation moe_layer: fields, checks and work counts. What it computes is defined in moe_layer.hpp.
#include "kernels/moe_layer/moe_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.hpp"
#include "kernels/moe_layer/imposed_ids.hpp"

namespace chokepoint::moe {
namespace {

[[noreturn]] void reject(const std::string& message, const std::string& remedy) {
  throw Error(Fault::config, message, remedy);
}

// Ids of all tokens are kept, also to count the work before anything is measured: 1 GiB of them at most.
constexpr std::int64_t kMostIds = std::int64_t{1} << 28;

void check(const Shape& shape) {
  const std::int64_t experts = shape["experts"], top_k = shape["top_k"], ep = shape["ep"];
  const std::int64_t groups = shape["groups"], limit = shape["group_limit"], node_size = shape["node_size"];
  if (top_k > experts)
    reject(fmt::format("top_k is {} but there are {} experts", top_k, experts), "lower top_k or add experts");
  if (shape["tokens"] > kMostIds / top_k)
    reject(fmt::format("tokens is {} and top_k {}, together above the limit of {} choices", shape["tokens"], top_k,
                       kMostIds),
           "lower tokens");
  if (experts % ep != 0)
    reject(fmt::format("ep is {}, which does not divide {} experts", ep, experts),
           "every rank holds the same number of experts: change ep or experts");
  if (ep > node_size && ep % node_size != 0)
    reject(fmt::format("node_size is {}, which does not divide ep {}", node_size, ep),
           "every node holds the same number of ranks: change node_size or ep");
  if (experts % groups != 0)
    reject(fmt::format("groups is {}, which does not divide {} experts", groups, experts),
           "every group holds the same number of experts: change groups or experts");
  if (limit > groups)
    reject(fmt::format("group_limit is {} but there are {} groups", limit, groups),
           "lower group_limit or raise groups");
  if (top_k > limit * (experts / groups))
    reject(fmt::format("top_k is {} but {} groups of {} experts hold {}", top_k, limit, experts / groups,
                       limit * (experts / groups)),
           "lower top_k or raise group_limit");
  if (shape.word("routing") == "trace") fold_trace(load_routing_trace(default_trace_path()), experts, top_k, 1);
}

std::vector<ShapeField> fields() {
  return {
      {.name = "tokens", .meaning = "tokens of this rank"},
      {.name = "hidden", .meaning = "length of a token's row", .most = 1 << 20},
      {.name = "intermediate", .meaning = "width of one expert", .most = 1 << 20},
      {.name = "experts", .meaning = "routed experts of the layer, over all ranks", .most = 1 << 16},
      {.name = "top_k", .meaning = "experts per token"},
      {.name = "shared_experts",
       .meaning = "experts that see every token",
       .fallback = 0,
       .least = 0,
       .most = 1 << 10},
      {.name = "ep", .meaning = "expert-parallel ranks; divides experts", .fallback = 1},
      {.name = "node_size",
       .meaning = "ranks that share a link; ranks of other nodes are reached over the network",
       .fallback = 8},
      {.name = "groups", .meaning = "groups of neighbouring experts", .fallback = 1},
      {.name = "group_limit",
       .meaning = "groups a token may choose from; all of them unless given",
       .fallback_field = "groups"},
      {.name = "scoring", .meaning = "how logits become scores", .words = {"softmax", "sigmoid"}},
      {.name = "routing",
       .meaning = "which experts tokens choose: imposed (balanced, zipf, trace), or by the gate on random "
                  "inputs (random)",
       .words = {"balanced", "random", "zipf", "trace"}},
      {.name = "overlap",
       .meaning = "1: two micro-batches, one communicates while the other computes",
       .fallback = 0,
       .least = 0,
       .most = 1},
      {.name = "routed_scaling_milli",
       .meaning = "factor of the routed experts' weights, in thousandths",
       .fallback = 1000,
       .most = 1000000},
  };
}

const Register<Operation> operation{{
    .name = "moe_layer",
    .summary = "gate, dispatch, grouped expert matmuls with SwiGLU, shared experts, combine",
    .fields = fields(),
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .check = check,
    .make = [](const Shape& shape, Dtype dtype, const InputSpec& input) -> std::unique_ptr<Problem> {
      return std::make_unique<MoeProblem>(spec_of(shape, dtype), input);
    },
    // With `random` the gate decides, and counts vary a little with the seed: here, the default one.
    .work =
        [](const Shape& shape, Dtype dtype) {
          const MoeSpec spec = spec_of(shape, dtype);
          return work_of(spec, chosen_ids(spec, InputSpec{}));
        },
}};

}  // namespace

MoeSpec spec_of(const Shape& shape, Dtype dtype) {
  static const std::map<std::string, Routing> routings = {{"balanced", Routing::balanced},
                                                          {"random", Routing::random},
                                                          {"zipf", Routing::zipf},
                                                          {"trace", Routing::trace}};
  return {.tokens = shape["tokens"],
          .hidden = shape["hidden"],
          .intermediate = shape["intermediate"],
          .shared_experts = shape["shared_experts"],
          .gate = {.scoring = shape.word("scoring") == "sigmoid" ? Scoring::sigmoid : Scoring::softmax,
                   .experts = shape["experts"],
                   .top_k = shape["top_k"],
                   .groups = shape["groups"],
                   .group_limit = shape["group_limit"],
                   .routed_scaling = static_cast<double>(shape["routed_scaling_milli"]) / 1000.0},
          .placement = {.experts = shape["experts"], .ep = shape["ep"], .node_size = shape["node_size"]},
          .routing = routings.at(shape.word("routing")),
          .overlap = shape["overlap"] == 1,
          .dtype = dtype};
}

std::int64_t MoeSpec::dispatch_row_bytes() const {
  return quantised() ? hidden + 4 * scale_blocks(hidden) : hidden * bytes_of(dtype);
}

std::int64_t MoeSpec::gate_bytes() const {
  return gate.experts * hidden * bytes_of(activation()) +
         (gate.scoring == Scoring::sigmoid ? 4 * gate.experts : 0);
}

std::int64_t MoeSpec::weight_bytes(std::int64_t rows, std::int64_t cols) const {
  return rows * cols * bytes_of(dtype) + (quantised() ? 4 * scale_blocks(rows) * scale_blocks(cols) : 0);
}

double MoeSpec::mlp_flop(std::int64_t rows, std::int64_t width) const {
  return 6.0 * static_cast<double>(rows) * static_cast<double>(hidden) * static_cast<double>(width);
}

std::vector<TokenRange> MoeSpec::micro_batches() const {
  if (!overlap || tokens < 2) return {{0, tokens}};
  const std::int64_t half = (tokens + 1) / 2;
  return {{0, half}, {half, tokens}};
}

Work work_of(const MoeSpec& spec, std::span<const std::int32_t> ids) {
  Work work{.tokens = static_cast<double>(spec.tokens)};
  for (const TokenRange& batch : spec.micro_batches()) {
    Reach reach;
    std::vector<bool> hit(static_cast<std::size_t>(spec.local_experts()), false);
    for (std::int64_t token = batch.begin; token < batch.end; ++token) {
      const auto chosen = ids.subspan(static_cast<std::size_t>(token * spec.gate.top_k),
                                      static_cast<std::size_t>(spec.gate.top_k));
      reach += reach_of(spec.placement, chosen);
      for (std::int32_t expert : chosen) hit[static_cast<std::size_t>(expert % spec.local_experts())] = true;
    }
    const std::int64_t experts_hit = std::count(hit.begin(), hit.end(), true);
    const std::int64_t there_and_back = spec.dispatch_row_bytes() + spec.combine_row_bytes();
    const std::int64_t wire_bytes = (reach.link_rows + reach.network_rows) * there_and_back;
    std::int64_t memory_bytes =
        2 * batch.count() * spec.combine_row_bytes() + spec.gate_bytes() + 2 * wire_bytes;
    memory_bytes += experts_hit * (spec.up_bytes(spec.intermediate) + spec.down_bytes(spec.intermediate));
    if (spec.shared_experts > 0)
      memory_bytes += spec.up_bytes(spec.shared_intermediate()) + spec.down_bytes(spec.shared_intermediate());
    work.memory_bytes += static_cast<double>(memory_bytes);
    work.link_bytes += static_cast<double>(reach.link_rows * there_and_back);
    work.network_bytes += static_cast<double>(reach.network_rows * there_and_back);
    work.link_messages += reach.link_rows > 0 ? 2.0 : 0.0;
    work.network_messages += reach.network_rows > 0 ? 2.0 : 0.0;
  }
  work.flop = 2.0 * static_cast<double>(spec.tokens * spec.gate.experts) * static_cast<double>(spec.hidden) +
              spec.mlp_flop(spec.tokens * spec.gate.top_k, spec.intermediate) +
              spec.mlp_flop(spec.tokens, spec.shared_intermediate());
  return work;
}

}  // namespace chokepoint::moe
