// matmul on Hopper's own instructions (sm_90a): TMA, wgmma, 2-block clusters. bf16, and fp8 with the scales of
// DeepSeek-V3, whose sums are promoted to f32 every 128 of k; bf16 output.
//
// The product itself, its tiles, registers, shared memory and sources: kernels/common/cuda/hopper/product.cuh; which
// tile suits a shape: product_plan.cpp. Charges memory and compute tile by tile, from a warp of its own. Bound: compute
// for large shapes, memory for few rows. Rows whose pitch is no multiple of 16 bytes are copied within each launch
// first, and a fp8 B that is [k, n] is turned; such an output is written without TMA. A's scales are laid out k first
// when a launch is prepared, as cuBLASLt wants them too; that is not timed. Does not do: f32, fp8 with other scales.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/hopper/product_choices.hpp"
#include "kernels/kernel_choices.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

// [k / 128, scale_pitch(m)].
std::vector<float> scales_k_first(const Tensor& a_scale) {
  const std::int64_t rows = a_scale.dims()[0], steps = a_scale.dims()[1], pitch = hopper::scale_pitch(rows);
  std::vector<float> scales(static_cast<std::size_t>(steps * pitch), 0.0F);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t step = 0; step < steps; ++step)
      scales[static_cast<std::size_t>(step * pitch + row)] =
          a_scale.as<float>()[static_cast<std::size_t>(row * steps + step)];
  return scales;
}

// Sizes, which alone decide about tiles.
hopper::ProductTask sizes_of(const Shape& shape, Dtype dtype, const Device& device) {
  return {.m = shape["m"],
          .n = shape["n"],
          .k = shape["k"],
          .b_is_kn = shape.word("b_layout") == "kn",
          .fp8 = dtype == Dtype::fp8_e4m3,
          .multiprocessors = device.multiprocessors(Lane::compute)};
}

std::vector<hopper::ProductPlan> choices_of(const hopper::ProductTask& task) {
  return hopper::product_choices(task, hopper::product_machine(task.multiprocessors));
}

std::vector<std::string> names_of(const std::vector<hopper::ProductPlan>& plans) {
  std::vector<std::string> names;
  for (const hopper::ProductPlan& plan : plans) names.push_back(hopper::name_of_choice(plan));
  return names;
}

class MatmulHopper final : public DeviceLaunch {
 public:
  // `configuration` is one of those that `choices` names; empty: the plan's own.
  MatmulHopper(const MatmulProblem& problem, Device& device, const Pace& pace, const std::string& configuration = "")
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
                             .fp8 = problem.dtype() == Dtype::fp8_e4m3,
                             .c = output_data<void>(),
                             .memory_bytes = problem.work().memory_bytes,
                             .multiprocessors = device.multiprocessors(Lane::compute),
                             .pace = device_pace(pace)};
    if (task.fp8) task.scales = upload_scales(problem, device);
    const std::vector<hopper::ProductPlan> plans = choices_of(task);
    const std::size_t at = configuration.empty() ? 0 : place_of_configuration(configuration, names_of(plans));
    if (const std::int64_t bytes = plans[at].workspace_bytes(); bytes > 0) {
      workspace_ = DeviceArray(device, bytes);
      device.set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(bytes));
      task.workspace = workspace_.as<void>();
    }
    product_.emplace(task, plans[at]);
  }

  void run() override { product_->enqueue(stream(), device().multiprocessors(Lane::compute)); }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    const hopper::ProductPlan& plan = product_->plan();
    const hopper::ProductTile tile = plan.tile();
    std::vector<std::pair<std::string, std::string>> said = {
        {"tile", fmt::format("{} {}x{}, clusters of {}", hopper::tile_name(plan.name), tile.block_m, tile.block_n,
                             tile.cluster)},
        {"cuts_along_k", fmt::format("{}", plan.order.cuts)},
        {"rows_copied", plan.a_pitch + plan.b_pitch > 0 ? "yes" : "no"},
        {"store", plan.store_by_tma ? "tma" : "registers"}};
    if (tile.fp8) said.emplace_back("not_timed", "scales of a laid out k first");
    return said;
  }

 private:
  hopper::ProductScales upload_scales(const MatmulProblem& problem, Device& device) {
    const std::vector<float> a_scale = scales_k_first(problem.a_scale());
    a_scale_ = DeviceArray(device, a_scale.data(), static_cast<std::int64_t>(a_scale.size() * sizeof(float)));
    b_scale_ = DeviceArray(device, problem.b_scale());
    const std::int64_t row = problem.b_scale().dims()[1];  // of B's scales, which are stored as B is
    const bool kn = problem.b_layout() == BLayout::kn;
    return {.a = a_scale_.as<float>(),
            .a_pitch = hopper::scale_pitch(problem.m()),
            .b = b_scale_.as<float>(),
            .b_step = kn ? row : 1,
            .b_block = kn ? 1 : row};
  }

  DeviceArray a_, b_, a_scale_, b_scale_, workspace_;
  std::optional<hopper::Product> product_;
};

std::optional<std::string> unsupported(const Shape& shape, Dtype dtype) {
  if (const auto reason = not_scaled_by_blocks(shape, dtype)) return reason;
  return hopper::product_obstacle(shape["m"], shape["n"], shape["k"]);
}

const Register<Kernel> kernel{{
    .name = "hopper",
    .operation = "matmul",
    .summary = "own wgmma tiles fed by TMA, two-block clusters, persistent (sm_90a)",
    .device = "cuda",
    .dtypes = {Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory},
    .probes = false,  // a probe is not verified: not before records say that this kernel is right
    .least_sm = 90,
    .exactly_that_sm = true,
    .unsupported = unsupported,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<MatmulHopper>(dynamic_cast<const MatmulProblem&>(problem), device, pace);
    },
}};

const Register<KernelChoices> choices{{
    .name = "hopper",
    .operation = "matmul",
    .configurations = [](const Shape& shape, Dtype dtype,
                         const Device& device) { return names_of(choices_of(sizes_of(shape, dtype, device))); },
    .prepare = [](const Problem& problem, Device& device, const Pace& pace,
                  const std::string& configuration) -> std::unique_ptr<Launch> {
      return std::make_unique<MatmulHopper>(dynamic_cast<const MatmulProblem&>(problem), device, pace, configuration);
    },
}};

}  // namespace
}  // namespace chokepoint
