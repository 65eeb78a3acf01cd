// How are rows multiplied with the weights of their experts? Grouped product, SwiGLU, grouped product: those of
// gemm.hpp or another's (grouped_product.hpp), for which the experts' rows are gathered into an array of their own.
// Shared experts are one mlp.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "kernels/common/cuda/activate.cuh"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/common/cuda/launch.cuh"
#include "kernels/moe_layer/cuda_batch.cuh"
#include "kernels/moe_layer/cuda_exchange.cuh"
#include "kernels/moe_layer/cuda_route.cuh"

namespace chokepoint::moe {

inline void launch_gather(const GatherRows& task, void* on) {
  const bool aligned = task.row_bytes % 16 == 0;
  const dim3 grid(static_cast<unsigned>(task.rows), blocks_for(task.row_bytes, kGatherThreads * (aligned ? 16 : 2)));
  launch(aligned ? gather_rows<uint4> : gather_rows<std::uint16_t>, grid, dim3(kGatherThreads), 0, on, task);
}

class Experts {
 public:
  // `layer` outlives it.
  Experts(const DeviceLayer& layer, const MoeProblem& problem)
      : layer_(layer), routed_(layer.device, problem.routed()), shared_(layer.device, problem.shared()) {}

  // Micro-batches use it one after the other.
  void allocate_scratch(const std::vector<std::unique_ptr<DeviceBatch>>& batches) {
    std::int64_t gate_up_values = 0, hidden_rows = 0, hidden_values = 0, hidden_blocks = 0, workspace_bytes = 0;
    for (const auto& batch : batches) {
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
    Device& on = layer_.device;
    if (!layer_.gated_products) gate_up_ = {on, 4 * gate_up_values};
    activated_ = {.data = {on, hidden_values * bytes_of(layer_.row_dtype())},
                  .scales = {on, layer_.spec.quantised() ? 4 * hidden_blocks : 0}};
    if (layer_.others_products) gathered_ = layer_.product_rows(hidden_rows, layer_.hidden());
    workspace_ = {on, workspace_bytes};
    if (workspace_bytes > 0) on.set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(workspace_bytes));
  }

  // Another's, after the scratch.
  void make_products(DeviceBatch& batch, const LayerProducts& products) const {
    const Mlp routed = routed_mlp(batch);
    batch.routed_products = products_of(routed, gathered_, batch.plan.expert_begin, products);
    if (products.make_gated == nullptr) return;
    Mlp shared = shared_mlp(batch);
    const std::vector<std::int32_t> begin = {0, static_cast<std::int32_t>(shared.rows)};
    DeviceArray group_begin = uploaded(layer_.device, begin);
    shared.group_begin = group_begin.as<std::int32_t>();
    batch.shared_products = products_of(shared, shared.x, begin, products);
    batch.shared_products.group_begin = std::move(group_begin);
  }

  void compute_routed(const DeviceBatch& batch, void* on) const {
    const Mlp mlp = routed_mlp(batch);
    if (!layer_.others_products) return multiply(mlp, on);
    if (mlp.rows == 0) return;
    gather(mlp, mlp.x.data, gathered_.data, layer_.hidden() * bytes_of(layer_.row_dtype()), on);
    if (layer_.spec.quantised()) gather(mlp, mlp.x.scales, gathered_.scales, 4 * scale_blocks(layer_.hidden()), on);
    multiply_by(batch.routed_products, mlp, on);
  }

  void compute_shared(const DeviceBatch& batch, void* on) const {
    const Mlp mlp = shared_mlp(batch);
    if (batch.shared_products.up != nullptr)
      multiply_by(batch.shared_products, mlp, on);
    else
      multiply(mlp, on);
  }

 private:
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
            .width = layer_.spec.intermediate,
            .groups = layer_.spec.local_experts(),
            .groups_hit = batch.plan.experts_hit,
            .result = batch.results.as<void>()};
  }

  Mlp shared_mlp(const DeviceBatch& batch) const {
    return {.weights = shared_,
            .x = batch.inbox,
            .rows = layer_.spec.shared_experts > 0 ? batch.tokens.count() : 0,
            .width = layer_.spec.shared_intermediate(),
            .result = batch.shared.as<void>()};
  }

  // Those of the lane, less the wire's where it has none of its own.
  int multiprocessors() const {
    const int reached = layer_.device.multiprocessors(Lane::compute);
    const int shared = layer_.device.lanes_are_apart() ? 0 : wire_multiprocessors(layer_.spec);
    return std::max(1, reached - shared);
  }

  // What both products of an mlp have in common.
  GemmTask task_of(const Mlp& mlp) const {
    return {.dtype = layer_.row_dtype(),
            .m = mlp.rows,
            .group_begin = mlp.group_begin,
            .groups = mlp.groups,
            .rows_per_group = mlp.rows / std::max<std::int64_t>(1, mlp.groups_hit),
            .workspace = workspace_.as<void>(),
            .workspace_bytes = workspace_.bytes(),
            .multiprocessors = multiprocessors(),
            .pace = layer_.pace};
  }

  GemmTask up_task(const Mlp& mlp) const {
    GemmTask task = task_of(mlp);
    task.n = 2 * mlp.width;
    task.k = layer_.hidden();
    task.a = mlp.x.data.as<void>();
    task.a_scale = mlp.x.scales.as<float>();
    task.a_rows = mlp.x_rows;
    task.b = mlp.weights.up.as<void>();
    task.b_scale = mlp.weights.up_scale.as<float>();
    task.c = gate_up_.as<void>();
    task.c_dtype = Dtype::f32;
    task.memory_bytes = static_cast<double>(mlp.groups_hit * layer_.spec.up_bytes(mlp.width));
    return task;
  }

  GemmTask down_task(const Mlp& mlp) const {
    GemmTask task = task_of(mlp);
    task.n = layer_.hidden();
    task.k = mlp.width;
    task.a = activated_.data.as<void>();
    task.a_scale = activated_.scales.as<float>();
    task.b = mlp.weights.down.as<void>();
    task.b_scale = mlp.weights.down_scale.as<float>();
    task.c = mlp.result;
    task.c_dtype = layer_.result_dtype();
    task.memory_bytes = static_cast<double>(mlp.groups_hit * layer_.spec.down_bytes(mlp.width));
    return task;
  }

  void activate(const Mlp& mlp, Dtype gate_up, void* on) const {
    launch_activate(
        {.in = gate_up_.as<void>(), .out = activated_.data.as<void>(), .rows = mlp.rows, .width = mlp.width}, gate_up,
        layer_.spec.dtype, on);
  }

  void multiply(const Mlp& mlp, void* on) const {
    if (mlp.rows == 0) return;
    cuda_gemm(up_task(mlp), on);
    if (layer_.spec.quantised())
      launch_quantise(quantise_rows<float, true>,
                      {.in = gate_up_.as<void>(),
                       .codes = activated_.data.as<std::uint8_t>(),
                       .scales = activated_.scales.as<float>(),
                       .rows = mlp.rows,
                       .length = mlp.width},
                      on);
    else
      activate(mlp, Dtype::f32, on);
    cuda_gemm(down_task(mlp), on);
  }

  static void gather(const Mlp& mlp, const DeviceArray& from, const DeviceArray& to, std::int64_t row_bytes, void* on) {
    launch_gather({.from = from.as<void>(),
                   .from_rows = mlp.x_rows,
                   .to = to.as<void>(),
                   .rows = mlp.rows,
                   .row_bytes = row_bytes},
                  on);
  }

  // `x` are the rows, gathered.
  OthersProducts products_of(const Mlp& mlp, const DeviceRows& x, std::span<const std::int32_t> group_begin,
                             const LayerProducts& products) const {
    if (mlp.rows == 0) return {};
    GemmTask up = up_task(mlp);
    up.a = x.data.as<void>();
    up.a_scale = x.scales.as<float>();
    up.a_rows = nullptr;
    up.c_dtype = Dtype::bf16;
    OthersProducts made{.gated = products.make_gated != nullptr};
    if (made.gated) {
      up.c = activated_.data.as<void>();
      made.up = products.make_gated(layer_.device, up, activated_.scales.as<float>());
    } else {
      made.up = products.make(layer_.device, up, group_begin);
    }
    made.down = products.make(layer_.device, down_task(mlp), group_begin);
    return made;
  }

  void multiply_by(const OthersProducts& products, const Mlp& mlp, void* on) const {
    products.up->enqueue(on, multiprocessors());
    if (!products.gated)
      activate(mlp, Dtype::bf16, on);
    products.down->enqueue(on, multiprocessors());
  }

  const DeviceLayer& layer_;
  DeviceMlp routed_, shared_;
  DeviceArray gate_up_, workspace_;
  DeviceRows activated_, gathered_;  // the latter with another's products only: rows of the experts
};

}  // namespace chokepoint::moe
