// moe_layer on one GPU, with the products of kernels/common/cuda/gemm.hpp; cuda_simple.cuh says how.
//
// Bound: compute, the grouped products; with small batches the memory that holds the experts' weights; with an
// expensive wire the exchange, which overlap hides behind the other micro-batch. The two legs of an exchange follow
// each other, they are not pipelined by chunks. Not supported: more than two micro-batches.
#include "kernels/moe_layer/cuda_simple.cuh"

#include <optional>
#include <string>

namespace chokepoint::moe {

std::optional<std::string> layer_out_of_reach(const Shape& shape, Dtype dtype) {
  const MoeSpec spec = spec_of(shape, dtype);
  if (choice_warps(spec.gate.experts, spec.gate.groups) == 0)
    return std::to_string(spec.gate.experts) + " experts in " + std::to_string(spec.gate.groups) +
           " groups: their scores exceed " + std::to_string(kMostChoiceBytes / 1024) + " KiB of shared memory";
  if (spec.local_experts() > kMostGemmGroups)
    return std::to_string(spec.local_experts()) + " experts per rank: a grouped product has at most " +
           std::to_string(kMostGemmGroups);
  return std::nullopt;
}

int layer_wire_multiprocessors(const Shape& shape) { return wire_multiprocessors(spec_of(shape, Dtype::bf16)); }

std::unique_ptr<Launch> layer_with_products(const MoeProblem& problem, Device& device, const Pace& pace,
                                            const LayerProducts& products) {
  return std::make_unique<CudaSimpleLaunch>(problem, device, pace, products);
}

namespace {

const Register<Kernel> kernel{{
    .name = "cuda_simple",
    .operation = "moe_layer",
    .summary = "grouped products that gather their rows, sums by index, exchange on its own stream with overlap",
    .device = "cuda",
    .dtypes = {Dtype::f32, Dtype::bf16, Dtype::fp8_e4m3},
    .paces = {Resource::compute, Resource::memory, Resource::link, Resource::network},
    .least_sm = 80,
    .unsupported = layer_out_of_reach,
    .wire_multiprocessors = layer_wire_multiprocessors,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return std::make_unique<CudaSimpleLaunch>(dynamic_cast<const MoeProblem&>(problem), device, pace);
    },
}};

}  // namespace
}  // namespace chokepoint::moe
