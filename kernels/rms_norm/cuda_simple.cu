// rms_norm on one GPU; cuda_simple.cuh says how.
#include "kernels/rms_norm/cuda_simple.cuh"

namespace chokepoint {
namespace {

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "rms_norm",
    .summary = "one pass over memory, rows kept in registers",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory},
    .least_sm = 80,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<rms_norm::CudaSimpleLaunch>(dynamic_cast<const RmsNormProblem&>(problem),
                                                          device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint
