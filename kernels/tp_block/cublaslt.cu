// tp_block on one GPU with both products by cuBLASLt, in bf16 with sums in f32.
//
// Everything else is cuda_simple.cuh. Paces the wires only. Bound: compute, or the link while the ring turns.
// Of the library's suggestions for a product the fastest is kept.
#include <optional>

#include "kernels/common/cuda/cublaslt_matmul.hpp"
#include "kernels/tp_block/product.hpp"

namespace chokepoint::tp_block {
namespace {

// Rows of any length: where the library has no algorithm for a shape, it says so when the launch is prepared.
std::optional<std::string> out_of_reach(const Shape&, Dtype) {
  if (!cublaslt().missing.empty()) return cublaslt().missing;
  return std::nullopt;
}

class CublasLtBlockProduct final : public Product {
 public:
  CublasLtBlockProduct(Device& device, const GemmTask& task)
      : product_(device, task, CublasLtProduct(task)) {}

  void enqueue(void* stream) const override { product_.enqueue(stream); }

  std::vector<std::pair<std::string, std::string>> remarks(std::string_view which) const override {
    auto all = product_.remarks(which);
    all.push_back(cublaslt_version_remark());
    return all;
  }

 private:
  mutable CublasLtMatmul product_;  // may choose anew where multiprocessors are others
};

const Register<Kernel> kernel{{
    .name = "cublaslt",
    .operation = "tp_block",
    .summary = "the block of cuda_simple with both products by cuBLASLt",
    .device = "cuda",
    .dtypes = {Dtype::bf16},
    .paces = {Resource::link, Resource::network},
    .probes = false,
    .least_sm = 80,
    .unsupported = out_of_reach,
    .prepare = [](const Problem& problem, Device& device, const Pace& pace) -> std::unique_ptr<Launch> {
      return block_with_products(dynamic_cast<const TpBlockProblem&>(problem), device, pace,
                                 [](Device& on, const GemmTask& task) -> std::unique_ptr<Product> {
                                   return std::make_unique<CublasLtBlockProduct>(on, task);
                                 });
    },
}};

}  // namespace
}  // namespace chokepoint::tp_block
