// matmul on all cores by the packed product of kernels/common/gemm.hpp: bf16 and fp8 become f32 while they
// are packed, sums are f32. Charges memory and compute tile by tile. Meets the compute bound; at small m, the
// memory bound.
#include "kernels/matmul/matmul.hpp"

namespace chokepoint {
namespace {

const Register<Kernel> kernel{{
    .name = "cpu_native",
    .operation = "matmul",
    .summary = "packed panels and SIMD micro-kernels on all cores",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory},
    .unsupported = scaling_obstacle,
    .prepare = [](const Problem& any, Device&, const Pace& pace) -> std::unique_ptr<Launch> {
      const auto& problem = dynamic_cast<const MatmulProblem&>(any);
      return matmul_launch(problem, [&problem, pace](Tensor& output) {
        gemm::gemm(problem.a_matrix(), problem.b_matrix(),
                   {.data = output.data(), .dtype = output.dtype(), .row_stride = problem.n()}, pace,
                   problem.work().memory_bytes);
      });
    },
}};

}  // namespace
}  // namespace chokepoint
