// moe_layer with the experts' products on Hopper's own instructions (sm_90a), in bf16 and fp8 with sums in f32.
//
// The grouped products, their tiles, registers, shared memory and sources: kernels/common/cuda/hopper/grouped.cuh;
// which tile suits: grouped_plan.cpp. The first product writes silu(g) * u, in fp8 as codes and scales; weights of
// experts are applied where their results are added up, which reads every result once anyway. Shared experts are a
// group of their own. Everything else is cuda_simple.cuh, with rows gathered before the first product. Charges all that
// the operation counts: products tile by tile, from a warp of their own. Bound: compute for many tokens, the weights'
// memory for few. Rows whose pitch is no multiple of 16 bytes, and then the weights too, are copied within each launch
// first. Does not do: f32; fp8 of hidden sizes that are no multiple of 16 and intermediate ones that are none of 128.
#include <fmt/format.h>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/hopper/grouped.hpp"
#include "kernels/moe_layer/grouped_product.hpp"

namespace chokepoint::moe {
namespace {

class HopperProduct final : public GroupedProduct {
 public:
  HopperProduct(Device& device, const hopper::GroupedTask& task)
      : workspace_(device, hopper::grouped_workspace_bytes(task)), product_(with(task, workspace_.as<void>())) {}

  void enqueue(void* stream, int multiprocessors) const override { product_.enqueue(stream, multiprocessors); }

  std::string remark() const override {
    const hopper::GroupedPlan& plan = product_.plan();
    const hopper::ProductTile tile = plan.tile();
    return fmt::format("{} {}x{}, clusters of {}, {}{}", hopper::tile_name(plan.name), tile.block_m, tile.block_n,
                       tile.cluster, plan.store_by_tma ? "tma stores" : "stores from registers",
                       plan.workspace_bytes() > 0 ? ", rows copied first" : "");
  }

 private:
  static hopper::GroupedTask with(hopper::GroupedTask task, void* workspace) {
    task.workspace = workspace;
    return task;
  }

  DeviceArray workspace_;
  hopper::GroupedLaunch product_;
};

hopper::GroupedTask grouped_task(const GemmTask& task) {
  return {.m = task.m,
          .n = task.n,
          .k = task.k,
          .groups = task.groups,
          .fp8 = task.dtype == Dtype::fp8_e4m3,
          .a = task.a,
          .b = task.b,
          .a_scale = task.a_scale,
          .b_scale = task.b_scale,
          .c = task.c,
          .group_begin = task.group_begin,
          .rows_per_group = task.rows_per_group,
          .multiprocessors = task.multiprocessors,
          .memory_bytes = task.memory_bytes,
          .pace = task.pace};
}

std::unique_ptr<GroupedProduct> make_product(Device& device, const GemmTask& task, std::span<const std::int32_t>) {
  return std::make_unique<HopperProduct>(device, grouped_task(task));
}

std::unique_ptr<GroupedProduct> make_gated_product(Device& device, const GemmTask& task, float* c_scale) {
  hopper::GroupedTask gated = grouped_task(task);
  gated.gated = true;
  gated.c_scale = c_scale;
  return std::make_unique<HopperProduct>(device, gated);
}

std::optional<std::string> out_of_reach(const Shape& shape, Dtype dtype) {
  if (auto reason = layer_out_of_reach(shape, dtype)) return reason;
  const MoeSpec spec = spec_of(shape, dtype);
  const std::int64_t rows = spec.tokens * spec.gate.top_k;
  if (auto reason = hopper::grouped_obstacle({.m = rows,
                                              .n = 2 * spec.intermediate,
                                              .k = spec.hidden,
                                              .groups = spec.local_experts(),
                                              .fp8 = spec.quantised(),
                                              .gated = true}))
    return reason;
  return hopper::grouped_obstacle({.m = rows,
                                   .n = spec.hidden,
                                   .k = spec.intermediate,
                                   .groups = spec.local_experts(),
                                   .fp8 = spec.quantised()});
}

const Register<Kernel> hopper_kernel{{
    .name = "hopper",
    .operation = "moe_layer",
    .summary = "the layer of cuda_simple with own grouped wgmma products, SwiGLU in the first one's epilogue (sm_90a)",
    .device = "cuda",
    .dtypes = {Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .probes = false,
    .least_sm = 90,
    .exactly_that_sm = true,
    .unsupported = out_of_reach,
    .wire_multiprocessors = layer_wire_multiprocessors,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return layer_with_products(dynamic_cast<const MoeProblem&>(problem), device, pace,
                                 {.make = make_product, .make_gated = make_gated_product});
    },
}};

}  // namespace
}  // namespace chokepoint::moe
