// tp_block on one GPU, with the products of kernels/common/cuda/gemm.hpp; cuda_simple.cuh says how.
//
// Bound: compute, or the link while the ring turns.
#include "kernels/tp_block/cuda_simple.cuh"

namespace chokepoint {

std::unique_ptr<Launch> tp_block::block_with_products(const TpBlockProblem& problem, Device& device,
                                                      const Pace& pace, const MakeProduct& make) {
  return std::make_unique<CudaSimpleLaunch>(problem, device, pace, make);
}

namespace {

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "tp_block",
    .summary = "tiled products between two paced rings, one step after the other",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .least_sm = 80,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<tp_block::CudaSimpleLaunch>(dynamic_cast<const TpBlockProblem&>(problem), device,
                                                          pace);
    },
}};

}  // namespace
}  // namespace chokepoint
