// matmul on a GPU by the products of kernels/common/cuda/gemm.hpp: tensor cores through mma.sync for bf16 and
// fp8, true f32 multiply-adds for f32. Charges memory and compute tile by tile. Meets the compute bound of
// mma.sync (about 60 % of wgmma's on Hopper); at small m, the memory bound. Does not do: fp8 with other scales than
// those of 1x128 and 128x128.
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/common/cuda/gemm.hpp"
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

class MatmulCuda final : public DeviceLaunch {
 public:
  MatmulCuda(const MatmulProblem& problem, Device& device, const Pace& pace)
      : DeviceLaunch(device,
                     Tensor("output", problem.output_dims(), problem.output_dtype(), "[m, n] row-major")),
        a_(device, problem.a()),
        b_(device, problem.b()) {
    task_ = {.dtype = problem.dtype(), .m = problem.m(), .n = problem.n(), .k = problem.k()};
    task_.a = a_.as<void>();
    task_.b = b_.as<void>();
    task_.b_layout = problem.b_layout() == BLayout::nk ? GemmLayout::nk : GemmLayout::kn;
    if (problem.dtype() == Dtype::fp8_e4m3) {
      a_scale_ = DeviceArray(device, problem.a_scale());
      b_scale_ = DeviceArray(device, problem.b_scale());
      task_.a_scale = a_scale_.as<float>();
      task_.b_scale = b_scale_.as<float>();
    }
    task_.c = output_data<void>();
    task_.c_dtype = problem.output_dtype();
    task_.memory_bytes = problem.work().memory_bytes;
    task_.pace = device_pace(pace);
    give_workspace();
  }

  void run() override {
    task_.multiprocessors = device().multiprocessors(Lane::compute);  // a green context may reach fewer than there are
    cuda_gemm(task_, stream());
  }

 private:
  void give_workspace() {
    const std::int64_t bytes = gemm_workspace_bytes(task_);
    if (bytes == 0) return;
    workspace_ = DeviceArray(device(), bytes);
    device().set_bytes(workspace_.as<void>(), 0, static_cast<std::size_t>(bytes));
    task_.workspace = workspace_.as<void>();
    task_.workspace_bytes = bytes;
  }

  DeviceArray a_, b_, a_scale_, b_scale_, workspace_;
  GemmTask task_;
};

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "matmul",
    .summary = "mma.sync tiles fed by asynchronous copies; f32 by multiply-adds",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory},
    .least_sm = 80,
    .unsupported = not_scaled_by_blocks,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<MatmulCuda>(dynamic_cast<const MatmulProblem&>(problem), device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
