// matmul by cuBLASLt, found at run time: f32 without TF32, bf16, and fp8 with one scale for each operand, or (sm_90)
// one per 128 of k, or the 1x128 and 128x128 of DeepSeek-V3. Its heuristic's suggestions are timed on first use of a
// shape, and the fastest is kept. Paces nothing, so it runs uncapped.
#include <fmt/format.h>

#include <optional>

#include "kernels/common/cuda/cublaslt_matmul.hpp"
#include "kernels/common/cuda/device_array.hpp"
#include "kernels/matmul/cublaslt_fp8.hpp"

namespace chokepoint {
namespace {

class MatmulCublasLt final : public DeviceLaunch {
 public:
  MatmulCublasLt(const MatmulProblem& problem, Device& device)
      : DeviceLaunch(device,
                     Tensor("output", problem.output_dims(), problem.output_dtype(), "[m, n] row-major")),
        a_(device, problem.a()),
        b_(device, problem.b()) {
    const GemmTask task{.dtype = problem.dtype(),
                        .m = problem.m(),
                        .n = problem.n(),
                        .k = problem.k(),
                        .a = a_.as<void>(),
                        .b = b_.as<void>(),
                        .b_layout = problem.b_layout() == BLayout::nk ? GemmLayout::nk : GemmLayout::kn,
                        .c = output_data<void>(),
                        .c_dtype = problem.output_dtype()};
    CublasLtProduct described(task);
    if (problem.dtype() == Dtype::fp8_e4m3) {
      w_scale_ = upload(cublaslt_w_scales(problem));
      x_scale_ = upload(cublaslt_x_scales(problem));
      described.set_scales(problem.scaling(), w_scale_.as<float>(), x_scale_.as<float>());
    }
    product_.emplace(device, task, std::move(described));
  }

  void run() override { product_->enqueue(stream()); }

  std::vector<std::pair<std::string, std::string>> remarks() const override {
    auto all = product_->remarks();
    all.push_back(cublaslt_version_remark());
    return all;
  }

 private:
  DeviceArray upload(const std::vector<float>& values) {
    return {device(), values.data(), static_cast<std::int64_t>(values.size() * sizeof(float))};
  }

  DeviceArray a_, b_, w_scale_, x_scale_;
  std::optional<CublasLtMatmul> product_;
};

// 130100 is 13.1.0.
std::string describe() {
  const CublasLt& found = cublaslt();
  if (!found.missing.empty()) return found.missing;
  const std::size_t version = found.version();
  return fmt::format("{}.{}.{}, {}", version / 10000, version / 100 % 100, version % 100, found.name);
}

const Register<OptionalLibrary> library{{.name = "cublaslt", .describe = describe}};

const Register<Kernel> kernel{{
    .name = "cublaslt",
    .operation = "matmul",
    .summary = "cublasLtMatmul of cuBLAS, found at run time; the fastest of its suggestions",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .least_sm = 80,
    .unsupported = cublaslt_unsupported,
    .prepare = [](const Problem& any, Device& device, const Pace&) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      if (const auto reason = cublaslt_unsupported(problem.shape(), problem.dtype()))
        throw Error(Fault::unsupported, "matmul/cublaslt: " + *reason, "choose another kernel or dtype");
      return std::make_unique<MatmulCublasLt>(problem, device);
    },
}};

}  // namespace
}  // namespace chokepoint
