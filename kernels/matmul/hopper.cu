// matmul on Hopper's own instructions (sm_90a): TMA, wgmma, 2-block clusters. bf16 with f32 sums, bf16 output.
//
// The product itself, its tiles, registers, shared memory and sources: kernels/common/cuda/hopper/product.cuh; which
// tile suits a shape: product_plan.cpp. Charges memory and compute tile by tile, from a warp of its own. Bound: compute
// for large shapes, memory for few rows. Rows whose pitch is no multiple of 16 bytes are copied within each launch
// first; such an output is written without TMA. Does not do: f32 and fp8.
#include <fmt/format.h>

#include <optional>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/hopper/product.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

const char* tile_name(hopper::ProductTileName name) {
  switch (name) {
    case hopper::ProductTileName::wide:
      return "wide";
    case hopper::ProductTileName::medium:
      return "medium";
    case hopper::ProductTileName::square:
      return "square";
    case hopper::ProductTileName::low:
      return "low";
  }
  return "?";
}

class MatmulHopper final : public DeviceLaunch {
 public:
  MatmulHopper(const MatmulProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device,
                     Tensor("output", problem.output_dims(), problem.output_dtype(), "[m, n] row-major")),
        a_(device, problem.a()),
        b_(device, problem.b()) {
    hopper::ProductTask task{.m = problem.m(),
                             .n = problem.n(),
                             .k = problem.k(),
                             .a = a_.as<void>(),
                             .b = b_.as<void>(),
                             .b_is_kn = problem.b_layout() == BLayout::kn,
                             .c = output_data<void>(),
                             .memory_bytes = problem.work().memory_bytes,
                             .multiprocessors = device.multiprocessors(Lane::compute),
                             .pace = device_pace(pace)};
    if (const std::int64_t bytes = hopper::product_workspace_bytes(task); bytes > 0) {
      workspace_ = DeviceArray(device, bytes);
      device.set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(bytes));
      task.workspace = workspace_.as<void>();
    }
    product_.emplace(task);
  }

  void run() override { product_->enqueue(stream(), device().multiprocessors(Lane::compute)); }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    const hopper::ProductPlan& plan = product_->plan();
    const hopper::ProductTile tile = plan.tile();
    return {{"tile", fmt::format("{} {}x{}, clusters of {}", tile_name(plan.name), tile.block_m, tile.block_n,
                                 tile.cluster)},
            {"cuts_along_k", fmt::format("{}", plan.order.cuts)},
            {"rows_copied", plan.a_pitch + plan.b_pitch > 0 ? "yes" : "no"},
            {"store", plan.store_by_tma ? "tma" : "registers"}};
  }

 private:
  DeviceArray a_, b_, workspace_;
  std::optional<hopper::Product> product_;
};

std::optional<std::string> unsupported(const Shape& shape, Dtype) {
  return hopper::product_obstacle(shape["m"], shape["n"], shape["k"]);
}

const Register<Kernel> kernel{{
    .name = "hopper",
    .operation = "matmul",
    .summary = "own wgmma tiles fed by TMA, two-block clusters, persistent (sm_90a)",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .probes = false,  // a probe is not verified: not before records say that this kernel is right
    .least_sm = 90,
    .exactly_that_sm = true,
    .unsupported = unsupported,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<MatmulHopper>(dynamic_cast<const MatmulProblem&>(problem), device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
