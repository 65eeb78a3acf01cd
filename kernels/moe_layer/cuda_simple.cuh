// moe_layer on one GPU: what runs in what order, on which stream.
//
// Per micro-batch: gate (and fp8: quantised rows) | dispatch over network, then link | grouped product, SwiGLU,
// grouped product, sums per rank | combine over link, sums per node, combine over network | shared experts | sums
// per token. Rows are never permuted: the wire's copy packs them, the grouped product gathers them from the inbox,
// and sums gather results by index. In f32 and bf16 the tokens' own rows of the inbox are x itself.
//
// Which row goes where (device_plan.hpp) is laid out when the launch is prepared, from the ids the tokens are known
// to choose, and is not timed: expert-parallel libraries spend some microseconds on it. The gate is computed in every
// run; where it decides and some token chooses otherwise than laid out, the whole output becomes NaN.
//
// With overlap, the exchange of one micro-batch runs on the stream for wires while the other computes:
//   wires    dispatch A | dispatch B | combine A | combine B
//   compute  gate A  gate B  shared A | experts A | shared B  experts B | finish A | finish B
// Both have SMs of their own where the device can divide them; else the products leave as many free as a wire has
// blocks, for all of the run.
// Rounding: sums that travel and the output are bf16, unless all is f32. Besides, bf16 rounds silu(g) * u, and fp8,
// whose tolerance is wider, the experts' results; gate and up stay in f32, since a code may flip with their last bits.
//
// With the products of a library (grouped_product.hpp), the experts' rows are gathered into an array of their own.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

#include "kernels/common/cuda/activate.cuh"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/common/cuda/stream_event.hpp"
#include "kernels/common/cuda/wire.hpp"
#include "kernels/moe_layer/cuda_gate.cuh"
#include "kernels/moe_layer/cuda_rows.cuh"
#include "kernels/moe_layer/device_plan.hpp"
#include "kernels/moe_layer/grouped_product.hpp"
#include "kernels/moe_layer/moe_layer.hpp"

namespace chokepoint::moe {

inline constexpr std::int64_t kGateBlocks = 264;  // two per SM of an H100

// Those that the wire is to have for itself: with overlap, where anything is sent.
inline int wire_multiprocessors(const MoeSpec& spec) {
  return spec.micro_batches().size() == 2 && spec.placement.ep > 1 ? kWireBlocks : 0;
}

inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

inline DeviceArray uploaded(Device& device, const std::vector<std::int32_t>& values) {
  return {device, values.data(), static_cast<std::int64_t>(values.size() * sizeof(std::int32_t))};
}

struct DeviceSums {
  std::int64_t rows = 0;
  DeviceArray use_begin, use_row, use_choice, term_begin, term_row;

  DeviceSums(Device& device, const RowSums& sums)
      : rows(sums.rows()),
        use_begin(uploaded(device, sums.use_begin)),
        use_row(uploaded(device, sums.use_row)),
        use_choice(uploaded(device, sums.use_choice)),
        term_begin(uploaded(device, sums.term_begin)),
        term_row(uploaded(device, sums.term_row)) {}
};

// Rows as the left side of a product; scales only in fp8.
struct DeviceRows {
  DeviceArray data, scales;
};

struct DeviceMlp {
  DeviceArray up, up_scale, down, down_scale;

  DeviceMlp(Device& device, const MlpWeights& weights)
      : up(device, weights.up),
        up_scale(device, weights.up_scale),
        down(device, weights.down),
        down_scale(device, weights.down_scale) {}
};

// One micro-batch on its way.
struct DeviceBatch {
  TokenRange tokens;
  DevicePlan plan;
  DeviceArray ids, weights, mismatches;
  DeviceArray network_from, link_from, expert_begin, expert_inbox;
  DeviceSums to_link, to_network, to_tokens;
  DeviceArray x;        // fp8 only: rows before they are quantised
  DeviceRows inbox;     // [plan.inbox_rows(), hidden]
  DeviceArray results;  // [expert rows, hidden]
  DeviceArray link_out, network_out;
  DeviceArray returned;  // [link rows, then network rows, hidden]
  DeviceArray shared;    // [tokens, hidden]
  StreamEvent routed, arrived, computed, came_back;
  std::unique_ptr<GroupedProduct> up, down;  // of the routed experts, where a library makes them and there are rows
};

inline ExchangePlan plan_batch(const MoeProblem& problem, const TokenRange& tokens) {
  const MoeSpec& spec = problem.spec();
  const auto first = static_cast<std::size_t>(tokens.begin * spec.gate.top_k),
             count = static_cast<std::size_t>(tokens.count() * spec.gate.top_k);
  // Weights are computed in every run; the plan only says where they belong.
  return plan_exchange(spec.placement, spec.gate.top_k, problem.ids().subspan(first, count),
                       std::vector<float>(count, 0.0F), 1);
}

class CudaSimpleLaunch final : public DeviceLaunch {
 public:
  // With `make`, the routed experts' products are a library's, and nothing but the wires is charged.
  CudaSimpleLaunch(const MoeProblem& problem, Device& device, const Pace& pace, const MakeGroupedProduct& make = {})
      : DeviceLaunch(device, Tensor("output", problem.output_dims(), problem.output_dtype())),
        spec_(problem.spec()),
        library_products_(make != nullptr),
        pace_(library_products_ ? wires_only(device_pace(pace)) : device_pace(pace)),
        gate_decides_(problem.imposed_ids().empty()),
        gate_weight_(device, problem.gate_weight()),
        gate_bias_(device, problem.gate_bias()),
        routed_(device, problem.routed()),
        shared_(device, problem.shared()),
        wire_(device) {
    for (const TokenRange& tokens : spec_.micro_batches()) batches_.push_back(make_batch(problem, tokens));
    allocate_scratch();
    if (library_products_)
      for (const auto& batch : batches_) make_products(*batch, make);
  }

  void run() override {
    if (batches_.size() == 2) return run_overlapped(*batches_[0], *batches_[1]);
    DeviceBatch& batch = *batches_.front();
    void* const all = stream();
    route(batch, all);
    fetch(batch, all);
    compute_experts(batch, all);
    send_back(batch, all);
    compute_shared(batch, all);
    finish(batch, all);
  }

 private:
  void run_overlapped(DeviceBatch& a, DeviceBatch& b) {
    void* const compute = stream(Lane::compute);
    void* const wires = stream(Lane::wire);
    route(a, compute);
    hand_over(a.routed, compute, wires);
    fetch(a, wires);
    a.arrived.record(wires);
    route(b, compute);
    hand_over(b.routed, compute, wires);
    fetch(b, wires);
    b.arrived.record(wires);
    compute_shared(a, compute);
    a.arrived.hold(compute);
    compute_experts(a, compute);
    hand_over(a.computed, compute, wires);
    send_back(a, wires);
    a.came_back.record(wires);
    compute_shared(b, compute);
    b.arrived.hold(compute);
    compute_experts(b, compute);
    hand_over(b.computed, compute, wires);
    send_back(b, wires);
    b.came_back.record(wires);
    a.came_back.hold(compute);
    finish(a, compute);
    b.came_back.hold(compute);
    finish(b, compute);
  }

  static void hand_over(StreamEvent& event, void* from, void* to) {
    event.record(from);
    event.hold(to);
  }

  static DevicePace wires_only(DevicePace pace) {
    pace.compute = pace.memory = nullptr;
    return pace;
  }

  // ---- Memory ----

  std::int64_t hidden() const { return spec_.hidden; }
  Dtype row_dtype() const { return spec_.quantised() ? Dtype::fp8_e4m3 : spec_.dtype; }
  Dtype result_dtype() const { return spec_.quantised() || library_products_ ? Dtype::bf16 : Dtype::f32; }

  DeviceArray combine_rows(std::int64_t rows) const { return {device(), rows * spec_.combine_row_bytes()}; }
  DeviceArray result_rows(std::int64_t rows) const {
    return {device(), rows * hidden() * bytes_of(result_dtype())};
  }

  DeviceRows make_rows(std::int64_t rows, std::int64_t length) const {
    return {.data = {device(), rows * length * bytes_of(row_dtype())},
            .scales = {device(), spec_.quantised() ? 4 * rows * scale_blocks(length) : 0}};
  }

  std::unique_ptr<DeviceBatch> make_batch(const MoeProblem& problem, const TokenRange& tokens) const {
    Device& on = device();
    const DevicePlan plan = device_plan(plan_batch(problem, tokens));
    const std::int64_t choices = tokens.count() * spec_.gate.top_k, x_bytes = tokens.count() * spec_.combine_row_bytes();
    const std::byte* x = problem.x().data() + tokens.begin * spec_.combine_row_bytes();
    std::unique_ptr<DeviceBatch> batch(new DeviceBatch{  // built in place: its events cannot be moved
        .tokens = tokens,
        .plan = plan,
        .ids = {on, problem.ids().data() + tokens.begin * spec_.gate.top_k, 4 * choices},
        .weights = {on, 4 * choices},
        .mismatches = {on, 4},
        .network_from = uploaded(on, plan.network_from),
        .link_from = uploaded(on, plan.link_from),
        .expert_begin = uploaded(on, plan.expert_begin),
        .expert_inbox = uploaded(on, plan.expert_inbox),
        .to_link = {on, plan.to_link},
        .to_network = {on, plan.to_network},
        .to_tokens = {on, plan.to_tokens},
        .inbox = make_rows(plan.inbox_rows(), hidden()),
        .results = result_rows(plan.expert_rows()),
        .link_out = combine_rows(plan.link_rows),
        .network_out = combine_rows(plan.network_rows),
        .returned = combine_rows(plan.link_rows + plan.network_rows),
        .shared = result_rows(spec_.shared_experts > 0 ? tokens.count() : 0),
        .up = nullptr,
        .down = nullptr});
    if (spec_.quantised())
      batch->x = {on, x, x_bytes};
    else
      on.upload(batch->inbox.data.as<void>(), x, static_cast<std::size_t>(x_bytes));
    return batch;
  }

  // What every micro-batch uses, one after the other.
  void allocate_scratch() {
    std::int64_t gate_bytes = 0, gate_up_values = 0, hidden_rows = 0, hidden_values = 0, hidden_blocks = 0,
                 workspace_bytes = 0;
    for (const auto& batch : batches_) {
      const GateLogits gate = gate_task(*batch);
      gate_bytes = std::max(gate_bytes, 4 * gate.splits * gate.tokens * gate.experts);
      for (const Mlp& mlp : {routed_mlp(*batch), shared_mlp(*batch)}) {
        gate_up_values = std::max(gate_up_values, mlp.rows * 2 * mlp.width);
        hidden_values = std::max(hidden_values, mlp.rows * mlp.width);
        hidden_blocks = std::max(hidden_blocks, mlp.rows * scale_blocks(mlp.width));
        for (const GemmTask& task : {up_task(mlp), down_task(mlp)})
          if (task.m > 0 && task.n > 0 && task.k > 0)
            workspace_bytes = std::max(workspace_bytes, gemm_workspace_bytes(task));
      }
      hidden_rows = std::max(hidden_rows, batch->plan.expert_rows());
    }
    partial_logits_ = {device(), gate_bytes};
    gate_up_ = {device(), 4 * gate_up_values};
    activated_ = {.data = {device(), hidden_values * bytes_of(row_dtype())},
                  .scales = {device(), spec_.quantised() ? 4 * hidden_blocks : 0}};
    if (library_products_) gathered_ = make_rows(hidden_rows, hidden()).data;
    workspace_ = {device(), workspace_bytes};
    if (workspace_bytes > 0)
      device().set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(workspace_bytes));
  }

  // ---- Gate ----

  GateLogits gate_task(const DeviceBatch& batch) const {
    GateLogits task{.x = spec_.quantised() ? batch.x.as<void>() : batch.inbox.data.as<void>(),
                    .gate_weight = gate_weight_.as<void>(),
                    .tokens = batch.tokens.count(),
                    .experts = spec_.gate.experts,
                    .hidden = hidden(),
                    .partial = partial_logits_.as<float>(),
                    .mismatches = batch.mismatches.as<unsigned>(),
                    .memory_bytes = static_cast<double>(batch.tokens.count() * spec_.combine_row_bytes() +
                                                        spec_.gate_bytes()),
                    .pace = pace_};
    cut_gate(task, kGateBlocks);
    return task;
  }

  // Weights of the ids; fp8: the own rows of the inbox.
  void route(const DeviceBatch& batch, void* on) const {
    const GateLogits logits = gate_task(batch);
    const dim3 grid(static_cast<unsigned>(logits.expert_tiles()), static_cast<unsigned>(logits.token_tiles()),
                    static_cast<unsigned>(logits.splits));
    launch(spec_.activation() == Dtype::f32 ? gate_logits<float> : gate_logits<std::uint16_t>, grid,
           dim3(kGateThreads), 0, on, logits);
    const GateRule& rule = spec_.gate;
    const GateChoice choice{.partial = logits.partial,
                            .splits = logits.splits,
                            .tokens = logits.tokens,
                            .experts = static_cast<int>(rule.experts),
                            .top_k = static_cast<int>(rule.top_k),
                            .groups = static_cast<int>(rule.groups),
                            .group_limit = static_cast<int>(rule.group_limit),
                            .sigmoid = rule.scoring == Scoring::sigmoid,
                            .renormalise = rule.renormalise,
                            .routed_scaling = static_cast<float>(rule.routed_scaling),
                            .bias = gate_bias_.bytes() > 0 ? gate_bias_.as<float>() : nullptr,
                            .ids = batch.ids.as<std::int32_t>(),
                            .gate_decides = gate_decides_,
                            .weights = batch.weights.as<float>(),
                            .mismatches = logits.mismatches};
    const int warps = choice_warps(rule.experts, rule.groups);
    launch(gate_choose, dim3(blocks_for(logits.tokens, warps)), dim3(static_cast<unsigned>(32 * warps)),
           static_cast<std::size_t>(warps * choice_bytes_per_warp(rule.experts, rule.groups)), on, choice);
    if (!spec_.quantised()) return;
    launch_quantise(quantise_rows<std::uint16_t, false>,
                    {.in = batch.x.as<void>(),
                     .codes = batch.inbox.data.as<std::uint8_t>(),
                     .scales = batch.inbox.scales.as<float>(),
                     .rows = logits.tokens,
                     .length = hidden()},
                    on);
  }

  static void launch_quantise(void (*kernel)(Quantise), const Quantise& task, void* on) {
    if (task.rows == 0 || task.length == 0) return;
    launch(kernel, dim3(blocks_for(task.threads(), kQuantiseThreads)), dim3(kQuantiseThreads), 0, on, task);
  }

  // ---- Exchange ----

  // Rows of one leg from their places in the inbox to the leg's own, one message.
  void deliver(const DeviceBatch& batch, const DeviceArray& from_rows, std::int64_t rows, std::int64_t first_row,
               Wire wire, void* on) const {
    const std::int64_t row_bytes = hidden() * bytes_of(row_dtype());
    const std::int64_t scales = spec_.quantised() ? scale_blocks(hidden()) : 0;
    auto* data = batch.inbox.data.as<std::byte>();
    auto* scale = batch.inbox.scales.as<float>();
    wire_.send({.from = data,
                .to = data + first_row * row_bytes,
                .from_2 = scale,
                .to_2 = scale + first_row * scales,
                .row_bytes_2 = 4 * scales,
                .from_rows = from_rows.as<std::int32_t>(),
                .rows = rows,
                .row_bytes = row_bytes,
                .wire = wire,
                .memory_bytes = 2.0 * static_cast<double>(rows * spec_.dispatch_row_bytes())},
               pace_, on);
  }

  void fetch(const DeviceBatch& batch, void* on) const {
    const DevicePlan& plan = batch.plan;
    deliver(batch, batch.network_from, plan.network_rows, plan.tokens, Wire::network, on);
    deliver(batch, batch.link_from, plan.link_rows, plan.tokens + plan.network_rows, Wire::link, on);
  }

  void give_back(const DeviceArray& from, std::byte* to, std::int64_t rows, Wire wire, void* on) const {
    const std::int64_t row_bytes = spec_.combine_row_bytes();
    wire_.send({.from = from.as<void>(),
                .to = to,
                .rows = rows,
                .row_bytes = row_bytes,
                .wire = wire,
                .memory_bytes = 2.0 * static_cast<double>(rows * row_bytes)},
               pace_, on);
  }

  void send_back(const DeviceBatch& batch, void* on) const {
    auto* returned = batch.returned.as<std::byte>();
    give_back(batch.link_out, returned, batch.plan.link_rows, Wire::link, on);
    add_up(batch, batch.to_network, batch.network_out.as<void>(), on);
    give_back(batch.network_out, returned + batch.plan.link_rows * spec_.combine_row_bytes(),
              batch.plan.network_rows, Wire::network, on);
  }

  // ---- Experts ----

  // Those of the lane, less the wire's where it has none of its own.
  int product_multiprocessors() const {
    const int reached = device().multiprocessors(Lane::compute);
    const int shared = device().lanes_are_apart() ? 0 : wire_multiprocessors(spec_);
    return std::max(1, reached - shared);
  }

  // Rows through one mlp, or through one per group.
  struct Mlp {
    const DeviceMlp& weights;
    const DeviceRows& x;
    const std::int32_t *x_rows = nullptr, *group_begin = nullptr;
    std::int64_t rows = 0, width = 0, groups = 1, groups_hit = 1;
    void* result = nullptr;
  };

  Mlp routed_mlp(const DeviceBatch& batch) const {
    return {.weights = routed_,
            .x = batch.inbox,
            .x_rows = batch.expert_inbox.as<std::int32_t>(),
            .group_begin = batch.expert_begin.as<std::int32_t>(),
            .rows = batch.plan.expert_rows(),
            .width = spec_.intermediate,
            .groups = spec_.local_experts(),
            .groups_hit = batch.plan.experts_hit,
            .result = batch.results.as<void>()};
  }

  Mlp shared_mlp(const DeviceBatch& batch) const {
    return {.weights = shared_,
            .x = batch.inbox,
            .rows = spec_.shared_experts > 0 ? batch.tokens.count() : 0,
            .width = spec_.shared_intermediate(),
            .result = batch.shared.as<void>()};
  }

  GemmTask up_task(const Mlp& mlp) const {
    return {.dtype = row_dtype(),
            .m = mlp.rows,
            .n = 2 * mlp.width,
            .k = hidden(),
            .a = mlp.x.data.as<void>(),
            .a_scale = mlp.x.scales.as<float>(),
            .a_rows = mlp.x_rows,
            .b = mlp.weights.up.as<void>(),
            .b_scale = mlp.weights.up_scale.as<float>(),
            .group_begin = mlp.group_begin,
            .groups = mlp.groups,
            .rows_per_group = mlp.rows / std::max<std::int64_t>(1, mlp.groups_hit),
            .c = gate_up_.as<void>(),
            .c_dtype = Dtype::f32,
            .workspace = workspace_.as<void>(),
            .workspace_bytes = workspace_.bytes(),
            .multiprocessors = product_multiprocessors(),
            .memory_bytes = static_cast<double>(mlp.groups_hit * spec_.up_bytes(mlp.width)),
            .pace = pace_};
  }

  GemmTask down_task(const Mlp& mlp) const {
    return {.dtype = row_dtype(),
            .m = mlp.rows,
            .n = hidden(),
            .k = mlp.width,
            .a = activated_.data.as<void>(),
            .a_scale = activated_.scales.as<float>(),
            .b = mlp.weights.down.as<void>(),
            .b_scale = mlp.weights.down_scale.as<float>(),
            .group_begin = mlp.group_begin,
            .groups = mlp.groups,
            .rows_per_group = mlp.rows / std::max<std::int64_t>(1, mlp.groups_hit),
            .c = mlp.result,
            .c_dtype = result_dtype(),
            .workspace = workspace_.as<void>(),
            .workspace_bytes = workspace_.bytes(),
            .multiprocessors = product_multiprocessors(),
            .memory_bytes = static_cast<double>(mlp.groups_hit * spec_.down_bytes(mlp.width)),
            .pace = pace_};
  }

  void multiply(const Mlp& mlp, void* on) const {
    if (mlp.rows == 0) return;
    cuda_gemm(up_task(mlp), on);
    if (spec_.quantised())
      launch_quantise(quantise_rows<float, true>,
                      {.in = gate_up_.as<void>(),
                       .codes = activated_.data.as<std::uint8_t>(),
                       .scales = activated_.scales.as<float>(),
                       .rows = mlp.rows,
                       .length = mlp.width},
                      on);
    else
      launch_activate({.in = gate_up_.as<void>(), .out = activated_.data.as<void>(), .rows = mlp.rows, .width = mlp.width},
                      Dtype::f32, spec_.dtype, on);
    cuda_gemm(down_task(mlp), on);
  }

  void make_products(DeviceBatch& batch, const MakeGroupedProduct& make) const {
    const Mlp mlp = routed_mlp(batch);
    if (mlp.rows == 0) return;
    GemmTask up = up_task(mlp);
    up.a = gathered_.as<void>();
    up.a_rows = nullptr;
    up.c_dtype = Dtype::bf16;
    batch.up = make(device(), up, batch.plan.expert_begin);
    batch.down = make(device(), down_task(mlp), batch.plan.expert_begin);
  }

  void multiply_by_library(const DeviceBatch& batch, void* on) const {
    if (batch.up == nullptr) return;
    const Mlp mlp = routed_mlp(batch);
    launch_gather({.from = mlp.x.data.as<void>(),
                   .from_rows = mlp.x_rows,
                   .to = gathered_.as<void>(),
                   .rows = mlp.rows,
                   .row_bytes = hidden() * bytes_of(row_dtype())},
                  on);
    batch.up->enqueue(on);
    launch_activate({.in = gate_up_.as<void>(), .out = activated_.data.as<void>(), .rows = mlp.rows, .width = mlp.width},
                    Dtype::bf16, Dtype::bf16, on);
    batch.down->enqueue(on);
  }

  static void launch_gather(const GatherRows& task, void* on) {
    const bool aligned = task.row_bytes % 16 == 0;
    const dim3 grid(static_cast<unsigned>(task.rows), blocks_for(task.row_bytes, kGatherThreads * (aligned ? 16 : 2)));
    launch(aligned ? gather_rows<uint4> : gather_rows<std::uint16_t>, grid, dim3(kGatherThreads), 0, on, task);
  }

  void compute_experts(const DeviceBatch& batch, void* on) const {
    if (library_products_)
      multiply_by_library(batch, on);
    else
      multiply(routed_mlp(batch), on);
    add_up(batch, batch.to_link, batch.link_out.as<void>(), on);
  }

  void compute_shared(const DeviceBatch& batch, void* on) const { multiply(shared_mlp(batch), on); }

  // ---- Sums ----

  SumRows sum_task(const DeviceBatch& batch, const DeviceSums& sums, void* out) const {
    return {.rows = sums.rows,
            .length = hidden(),
            .use_begin = sums.use_begin.as<std::int32_t>(),
            .use_row = sums.use_row.as<std::int32_t>(),
            .use_choice = sums.use_choice.as<std::int32_t>(),
            .term_begin = sums.term_begin.as<std::int32_t>(),
            .term_row = sums.term_row.as<std::int32_t>(),
            .weights = batch.weights.as<float>(),
            .results = batch.results.as<void>(),
            .returned = batch.returned.as<void>(),
            .out = out};
  }

  void add_up(const DeviceBatch& batch, const DeviceSums& sums, void* out, void* on) const {
    launch_sums(sum_task(batch, sums, out), on);
  }

  void finish(const DeviceBatch& batch, void* on) const {
    const std::int64_t row_bytes = spec_.combine_row_bytes();
    SumRows task = sum_task(batch, batch.to_tokens, output_data<std::byte>() + batch.tokens.begin * row_bytes);
    if (spec_.shared_experts > 0) task.shared = batch.shared.as<void>();
    task.mismatches = batch.mismatches.as<unsigned>();
    task.memory_bytes = static_cast<double>(batch.tokens.count() * row_bytes);
    task.pace = pace_;
    launch_sums(task, on);
  }

  void launch_sums(const SumRows& task, void* on) const {
    if (spec_.activation() == Dtype::f32)
      launch_sums_of<float, float>(task, on);
    else if (result_dtype() == Dtype::f32)
      launch_sums_of<float, std::uint16_t>(task, on);
    else
      launch_sums_of<std::uint16_t, std::uint16_t>(task, on);
  }

  template <class Result, class T>
  static void launch_sums_of(const SumRows& task, void* on) {
    if (task.rows == 0) return;
    constexpr int kVector = kValuesPer16Bytes<T>;
    const bool aligned = rows_are_aligned<T>(task.length);
    const dim3 grid(static_cast<unsigned>(task.rows), blocks_for(task.length, kSumThreads * (aligned ? kVector : 1)));
    launch(aligned ? sum_rows<Result, T, kVector> : sum_rows<Result, T, 1>, grid, dim3(kSumThreads), 0, on, task);
  }

  MoeSpec spec_;
  bool library_products_;
  DevicePace pace_;
  bool gate_decides_;
  DeviceArray gate_weight_, gate_bias_;
  DeviceMlp routed_, shared_;
  WireCopier wire_;
  std::vector<std::unique_ptr<DeviceBatch>> batches_;
  DeviceArray partial_logits_, gate_up_, workspace_;
  DeviceArray gathered_;  // rows of the experts, with a library's products only
  DeviceRows activated_;
};

}  // namespace chokepoint::moe
